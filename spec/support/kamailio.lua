-- A Kamailio of its own. The specs write the interesting part of kamailio.cfg, this adds what every one needs.
local files = require "support.files"
local ports = require "support.ports"
local process = require "support.process"
local sip = require "support.sip"
local wait = require "support.wait"

local kamailio = {}
local Kamailio = {}
Kamailio.__index = Kamailio

kamailio.our_modules = files.root .. "/build/modules"

-- Loaded ahead of the spec's own part.
local base = {
  "ctl", "kex", "corex", "tm", "sl", "pv", "xlog", "textops", "textopsx", "cfgutils", "siputils", "maxfwd",
}

local default_route = [[
request_route {
  sl_send_reply("200", "OK");
}
]]

local stock_modules

-- The folder in which Kamailio looks for modules when it is told no other. It depends on the machine's architecture.
function kamailio.stock_modules()
  stock_modules = stock_modules or files.must_run("kamailio -I"):match("Default paths to modules: ([^:%s]+)")
  return assert(stock_modules, "kamailio -I names no folder of modules")
end

local function module_path(which)
  if which == "stock" then return kamailio.stock_modules() .. "/" end
  return kamailio.our_modules .. "/:" .. kamailio.stock_modules() .. "/"
end

local function load_lines(modules, without)
  local lines = {}
  for _, name in ipairs(modules) do
    if name ~= without then lines[#lines + 1] = ('loadmodule "%s.so"'):format(name) end
  end
  return table.concat(lines, "\n")
end

-- KEMI: app_lua goes before the spec's own part, or after it with lua_after.
local function lua_parts(self, options)
  if not options.lua then return "", "" end
  files.write(self.folder .. "/kemi.lua", options.lua)
  local load = ('loadmodule "app_lua.so"\nmodparam("app_lua", "load", "%s/kemi.lua")\n'):format(self.folder)
  local engine = 'cfgengine "lua"\n'
  if options.lua_after then return "", load .. engine end
  return load, engine
end

-- Kamailio wants modules before routes, so what goes after the spec's own modules goes ahead of its routes.
local function split_at_routes(cfg)
  local start = ("\n" .. cfg):find("\n%s*[%a_]*route[%[%s{]")
  if not start then return cfg, "" end
  return cfg:sub(1, start - 1), cfg:sub(start)
end

local function configuration(self, options)
  local lua_before, lua_after = lua_parts(self, options)
  local settings, routes = split_at_routes(options.cfg or "")
  local needs_route = not options.lua and not routes:find("request_route", 1, true)
  local text = table.concat({
    "#!KAMAILIO",
    "debug=" .. (options.debug or 2),
    "log_stderror=yes",
    "children=" .. (options.children or 1),
    "disable_tcp=yes",
    "auto_aliases=no",
    ("listen=udp:127.0.0.1:%d"):format(self.port),
    ('mpath="%s"'):format(module_path(options.modules)),
    load_lines(base, options.without),
    'modparam("ctl", "binrpc", "unix:./ctl.sock")',
    lua_before, settings, lua_after, routes,
    needs_route and default_route or "",
  }, "\n")
  return (text:gsub("%$FOLDER", function() return self.folder end))
end

local function write_files(self, options)
  for name, text in pairs(options.files or {}) do
    text = text:gsub("%$FOLDER", function() return self.folder end):gsub("%$PORT", self.port)
    files.write(self.folder .. "/" .. name, text)
  end
end

-- The words of the command that say where modules are, after the configuration is in the server's folder.
local function configure(self, options)
  if not options.copy_of then
    files.write(self.folder .. "/kamailio.cfg", configuration(self, options))
    return {}
  end
  files.must_run(("cp -r %s/. %s"):format(files.quote(options.copy_of), files.quote(self.folder)))
  write_files(self, options)
  return { "-L", module_path(options.modules) }
end

local function spawn(self, options)
  local where = configure(self, options)
  local command = { unpack(options.prefix or {}) }
  -- glibc from 2.37 on writes a line to an unbuffered stderr in pieces of 128 bytes, and those of several processes mix.
  for _, word in ipairs {
    "stdbuf", "--error=L",
    "kamailio", "-DD", "-E", "-f", self.folder .. "/kamailio.cfg", "-Y", self.folder, "-w", self.folder,
    "-m", options.shared_memory or 64, "-M", options.private_memory or 8,
    unpack(where),
  } do command[#command + 1] = word end
  self.process = process.spawn { name = "kamailio", folder = self.folder, env = options.env, command = command }
  self.pid = self.process.pid
end

-- How many processes a start makes, by its log: what it announces, but for those that a module takes back. Nil before it
-- announces any.
function kamailio.announced(log)
  local expected = tonumber(log:match("processes %(at least%): (%d+)"))
  if not expected then return nil end
  for fewer in log:gmatch("(%d+) process%a* fewer than announced") do expected = expected - tonumber(fewer) end
  return expected
end

-- Whether Kamailio's list, the output of core.psx, has that many processes. It has each a moment after the process is
-- there, and the name of each a moment after that.
function kamailio.lists(psx, expected)
  local _, listed = psx:gsub("PID: [1-9]%d*%s+DSC: %S", "")
  return listed >= expected
end

-- The control process answers while modules still fork theirs, and one of those may still end the start. So its answer is
-- not enough: all processes that the log announces must be alive and known to Kamailio. Debian's kazoo.so announces
-- more than it starts.
local function all_there(self)
  if self.modules == "stock" then return select(2, self:try_rpc("core.psx")) end
  local expected = kamailio.announced(self:log())
  if not expected or #self.process:members() < expected then return false end
  local psx, ok = self:try_rpc("core.psx")
  return ok and kamailio.lists(psx, expected)
end

local function await_ready(self, deadline)
  return wait.for_(function()
    if not self.process:alive() then return "ended" end
    return all_there(self) and "ready"
  end, deadline)
end

-- start{cfg, modules = "ours"|"stock", lua, lua_after, files = {name = text}, children, shared_memory, private_memory,
-- debug, env, deadline, without = a module to leave out, prefix = words before the command}: the running server, or nil
-- and its log when it did not start. In cfg, $FOLDER is the server's folder, where `files` and kemi.lua (the text of
-- `lua`) are. Without a request_route the answer is always 200. With copy_of instead of cfg, the server runs the
-- kamailio.cfg of a copy of that folder as it is; the control socket is to be unix:./ctl.sock. In `files`, which may replace
-- those of the folder, $FOLDER and $PORT are the server's.
function kamailio.start(options)
  local self = setmetatable({ port = ports.free(), host = "127.0.0.1", modules = options.modules }, Kamailio)
  self.folder = files.new_folder("kamailio")
  write_files(self, options)
  spawn(self, options)
  local state = await_ready(self, options.deadline or 20)
  if state == "ready" then
    self.sip = sip.client(self.port)
    return self
  end
  self:stop()
  return nil, ("Kamailio %s\n%s"):format(state or "did not become ready", self:log())
end

function Kamailio:log() return self.process:log() end

-- How many lines of the log have a match of the Lua pattern.
function Kamailio:count_log(pattern)
  local count = 0
  for line in self:log():gmatch("[^\n]+") do
    if line:find(pattern) then count = count + 1 end
  end
  return count
end

-- The first line of the log with a match, or an error after the deadline (default 10 s) or when Kamailio has ended
-- without. With `times`, that many lines.
function Kamailio:wait_log(pattern, deadline, times)
  wait.until_(function()
    local alive = self:alive()
    local count = self:count_log(pattern)
    if count >= (times or 1) then return true end
    if not alive then error(("Kamailio ended without %q in its log %s"):format(pattern, self.process.log_path), 0) end
    return nil, count .. " such lines"
  end, deadline or 10, ("%q in the log %s"):format(pattern, self.process.log_path))
  for line in self:log():gmatch("[^\n]+") do
    if line:find(pattern) then return line end
  end
end

function Kamailio:alive() return self.process:alive() end

function Kamailio:cpu() return self.process:cpu() end

function Kamailio:rss() return self.process:rss() end

function Kamailio:pids()
  local pids = {}
  for i, member in ipairs(self.process:members()) do pids[i] = member.pid end
  return pids
end

-- The output of kamcmd and whether it succeeded.
function Kamailio:try_rpc(...)
  return files.run(("cd %s && kamcmd -s unix:./ctl.sock %s"):format(files.quote(self.folder), files.quote_all { ... }))
end

-- The same, an error when it fails.
function Kamailio:rpc(...)
  local output, ok = self:try_rpc(...)
  if not ok then error(("rpc %s: %s"):format(table.concat({ ... }, " "), output), 2) end
  return output
end

-- The ids of the processes whose description, as Kamailio lists it, begins with a match of this Lua pattern.
function Kamailio:pids_of(pattern)
  local pids = {}
  for pid in self:rpc("core.psx"):gmatch("PID: (%d+)%s+DSC: " .. pattern) do pids[#pids + 1] = tonumber(pid) end
  return pids
end

-- The first of them; an error when there is none.
function Kamailio:pid_of(pattern)
  return self:pids_of(pattern)[1] or error("no process " .. pattern, 2)
end

-- Sends a SIP request given as text: the final reply, or nil and why.
function Kamailio:send_sip(text, deadline)
  self.sip:send(text)
  return self.sip:await_reply(deadline or 5)
end

-- What a crash or a stuck child leaves in the log, or nil.
function Kamailio:crash()
  local log = self:log()
  return log:match("[^\n]*exited by a signal[^\n]*") or log:match("[^\n]*core was generated[^\n]*")
    or log:match("[^\n]*core was not generated[^\n]*")
end

-- Kamailio 5.6: a process that is told to end before it knows that it is not the main one forgets that, and the server
-- waits for it. So those that are left are told again.
local function tell_to_end(self)
  if not self:alive() then return end
  self.process:signal("TERM")
  if not self.process:wait(1) then process.signal(-self.pid, "TERM") end
end

-- Ends it: {status, crash = the log's line about a signal, killed = true when it did not end by itself}.
function Kamailio:stop(deadline)
  if self.sip then self.sip:close() end
  if self.stopped then return self.stopped end
  tell_to_end(self)
  local status, killed = self.process:stop(deadline or 10)
  self.stopped = { status = status, crash = self:crash(), killed = killed }
  return self.stopped
end

return kamailio
