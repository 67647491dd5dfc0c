-- Processes that belong to a spec: each in a session of its own, ended by the ids it was started with and, through
-- `supervise`, by the kernel's word that this Lua is gone.
local lfs = require "lfs"
local files = require "support.files"
local wait = require "support.wait"

local process = {}
local Process = {}
Process.__index = Process

local clock_ticks = tonumber(files.must_run("getconf CLK_TCK"))
local page_size = tonumber(files.must_run("getconf PAGESIZE"))

process.running = {} -- what has not been stopped yet, for the failure report and the end of the run

local function environment(env)
  local words = {}
  for name, value in pairs(env or {}) do words[#words + 1] = files.quote(name .. "=" .. value) end
  if #words == 0 then return "" end
  return "env " .. table.concat(words, " ") .. " "
end

-- spawn{name, folder, command = {program, ...}, env = {}, log = "file name"}: the process runs in its folder.
function process.spawn(options)
  local self = setmetatable({
    name = options.name,
    folder = options.folder,
    log_path = options.folder .. "/" .. (options.log or options.name .. ".log"),
  }, Process)
  os.remove(self.folder .. "/pid")
  os.remove(self.folder .. "/status")
  local command = ("cd %s && exec %s %s %s %s%s"):format(
    files.quote(self.folder), files.quote(files.root .. "/spec/support/supervise"), files.quote(self.folder),
    files.quote(self.log_path), environment(options.env), files.quote_all(options.command))
  self.pipe = assert(io.popen(command, "w"))
  self.pid = tonumber(wait.until_(function() return files.read(self.folder .. "/pid") end, 10,
    "the process id of " .. self.name))
  process.running[self] = true
  return self
end

-- The exit status (128 + signal when killed by one), or nil while it runs.
function Process:status()
  return tonumber(files.read(self.folder .. "/status") or "")
end

function Process:alive()
  return self:status() == nil
end

function Process:log()
  return files.read(self.log_path) or ""
end

function process.signal(pid, name)
  local _, ok = files.run(("kill -s %s -- %d"):format(name, pid))
  return ok
end

function Process:signal(name)
  return process.signal(self.pid, name)
end

local function stands_still(pid)
  for thread in lfs.dir(("/proc/%d/task"):format(pid)) do
    local stat = thread:match("^%d+$") and process.stat(("%d/task/%s"):format(pid, thread))
    if stat and stat.state ~= "T" then return false end
  end
  return true
end

-- Returns when no thread of it can do anything more.
function process.freeze(pid)
  process.signal(pid, "STOP")
  wait.until_(function() return stands_still(pid) end, 5, ("all threads of process %d to stop"):format(pid))
end

-- Waits for the end: the status, or nil when the deadline has passed.
function Process:wait(deadline)
  local status = wait.for_(function() return self:status() end, deadline)
  if not status then return nil end
  if self.pipe then
    self.pipe:close()
    self.pipe = nil
  end
  process.running[self] = nil
  return status
end

function Process:kill()
  process.signal(-self.pid, "KILL")
  return self:wait(10)
end

-- Asks it to end, kills it when it does not: the status and whether it had to be killed.
function Process:stop(deadline)
  if self:alive() then self:signal("TERM") end
  local status = self:wait(deadline or 10)
  if status then return status, false end
  return self:kill(), true
end

-- Of /proc/PID/stat: name, session, CPU in seconds, resident bytes; nil when the process is gone.
function process.stat(pid)
  local text = files.read("/proc/" .. pid .. "/stat")
  local comm, rest = (text or ""):match("%((.*)%) (.*)")
  if not comm then return nil end
  local fields = {}
  for field in rest:gmatch("%S+") do fields[#fields + 1] = field end
  return {
    pid = tonumber(pid), comm = comm, state = fields[1], session = tonumber(fields[4]),
    cpu = (tonumber(fields[12]) + tonumber(fields[13])) / clock_ticks,
    rss = tonumber(fields[22]) * page_size,
  }
end

-- All processes of its session.
function Process:members()
  local found = {}
  for entry in lfs.dir("/proc") do
    local stat = entry:match("^%d+$") and process.stat(entry)
    if stat and stat.session == self.pid and stat.state ~= "Z" then found[#found + 1] = stat end
  end
  return found
end

local function sum(members, field)
  local total = 0
  for _, stat in ipairs(members) do total = total + stat[field] end
  return total
end

-- CPU seconds (user and system) of all its processes that are alive.
function Process:cpu() return sum(self:members(), "cpu") end

function Process:rss() return sum(self:members(), "rss") end

-- The last lines of every log of what still runs, for the report of a failed spec.
function process.report()
  local parts = {}
  for running in pairs(process.running) do
    local tail = files.run("tail -n 40 " .. files.quote(running.log_path))
    parts[#parts + 1] = ("--- %s: the end of %s\n%s"):format(running.name, running.log_path, tail)
  end
  return table.concat(parts, "\n")
end

function process.kill_all()
  for running in pairs(process.running) do running:kill() end
end

return process
