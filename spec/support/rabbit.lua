-- A RabbitMQ of its own: ports, folder, Erlang name service and cookie are private, so it disturbs no other.
local lfs = require "lfs"
local socket = require "socket"
local files = require "support.files"
local ports = require "support.ports"
local process = require "support.process"
local wait = require "support.wait"

local rabbit = {}
local Rabbit = {}
Rabbit.__index = Rabbit

local bin = "/usr/lib/rabbitmq/bin/"
-- The packaged wrapper would become the user rabbitmq by `su`, which makes a new session and hides the VM from us.
local as_rabbitmq = { "setpriv", "--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups" }

local function command(...)
  local words = { unpack(as_rabbitmq) }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return words
end

local function environment(self)
  return {
    HOME = self.folder,
    ERL_EPMD_PORT = self.epmd_port,
    ERL_EPMD_ADDRESS = "127.0.0.1",
    RABBITMQ_NODENAME = ("kemibus%d@localhost"):format(self.port),
    RABBITMQ_DIST_PORT = self.dist_port,
    RABBITMQ_MNESIA_BASE = self.folder .. "/data",
    RABBITMQ_LOG_BASE = self.folder .. "/log",
    RABBITMQ_CONFIG_FILE = self.folder .. "/rabbitmq.conf",
    RABBITMQ_CONF_ENV_FILE = self.folder .. "/no-env.conf",
    RABBITMQ_ENABLED_PLUGINS_FILE = self.folder .. "/enabled_plugins",
    RABBITMQ_PID_FILE = self.folder .. "/rabbit.pid",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS = "-kernel inet_dist_use_interface {127,0,0,1}",
  }
end

local function write_configuration(self, extra)
  files.write(self.folder .. "/enabled_plugins", "[].\n")
  files.write(self.folder .. "/rabbitmq.conf", table.concat({
    "listeners.tcp.local = 127.0.0.1:" .. self.port,
    "log.console = true",
    "log.file = false",
    extra or "",
  }, "\n") .. "\n")
  files.must_run("chown -R rabbitmq: " .. self.folder)
end

-- A broker that is up answers a wrong protocol header with its own and closes.
local function answers(self)
  local tcp = assert(socket.tcp())
  tcp:settimeout(1)
  local header = tcp:connect(self.host, self.port) and tcp:send("AMQP\0\0\0\0") and tcp:receive(8)
  tcp:close()
  return header == "AMQP\0\0\9\1"
end

local function spawn_epmd(self)
  self.epmd = process.spawn {
    name = "epmd", folder = files.new_folder("epmd"), command = command(
      "epmd", "-port", self.epmd_port, "-address", "127.0.0.1"),
  }
end

local function spawn_server(self)
  self.process = process.spawn {
    name = "rabbitmq", folder = self.folder, env = environment(self), command = command(bin .. "rabbitmq-server"),
  }
end

local function await_ready(self)
  wait.until_(function()
    if not self.process:alive() then error("RabbitMQ ended at its start:\n" .. self.process:log(), 0) end
    return answers(self)
  end, 60, "RabbitMQ on port " .. self.port)
end

-- start{conf = "more lines of rabbitmq.conf"}
function rabbit.start(options)
  options = options or {}
  local self = setmetatable({ host = "127.0.0.1", port = ports.free() }, Rabbit)
  self.epmd_port, self.dist_port = ports.free(), ports.free()
  self.url = ("amqp://guest:guest@%s:%d"):format(self.host, self.port)
  self.folder, self.link = files.new_folder_for("rabbitmq", "rabbitmq")
  write_configuration(self, options.conf)
  spawn_epmd(self)
  spawn_server(self)
  await_ready(self)
  return self
end

-- The process id of the Erlang VM, which is what holds the sockets and the data.
function Rabbit:vm()
  for _, member in ipairs(self.process:members()) do
    if member.comm == "beam.smp" then return member.pid end
  end
  error("no Erlang VM runs for RabbitMQ on port " .. self.port, 2)
end

function Rabbit:kill9()
  process.signal(self:vm(), "KILL")
  assert(self.process:wait(10), "RabbitMQ still runs after SIGKILL")
end

-- After kill9: the same ports and data. With {wait = false} it returns before the broker is ready.
function Rabbit:start_again(options)
  spawn_server(self)
  if not (options and options.wait == false) then await_ready(self) end
end

function Rabbit:await_ready() await_ready(self) end

local function stands_still(pid)
  for thread in lfs.dir(("/proc/%d/task"):format(pid)) do
    local stat = thread:match("^%d+$") and process.stat(("%d/task/%s"):format(pid, thread))
    if stat and stat.state ~= "T" then return false end
  end
  return true
end

-- Returns when no thread of it can do anything more.
function Rabbit:freeze()
  local vm = self:vm()
  process.signal(vm, "STOP")
  wait.until_(function() return stands_still(vm) end, 5, "all threads of RabbitMQ to stop")
end

function Rabbit:thaw() process.signal(self:vm(), "CONT") end

-- rabbitmqctl with these arguments: its output; an error when it fails.
function Rabbit:ctl(...)
  local words = { "env" }
  for name, value in pairs(environment(self)) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs { bin .. "rabbitmqctl", "--quiet", ... } do words[#words + 1] = word end
  return files.must_run(("cd %s && %s"):format(self.folder, files.quote_all(command(unpack(words)))))
end

function Rabbit:log() return self.process:log() end

function Rabbit:cpu() return self.process:cpu() end

-- Its data is of no further use, so there is no reason for an orderly end.
function Rabbit:stop()
  if self.process:alive() then
    process.signal(self:vm(), "CONT")
    self.process:kill()
  end
  self.epmd:kill()
  files.must_run("rm -rf " .. files.quote(self.folder .. "/data"))
  files.keep_logs(self.folder, self.link)
end

return rabbit
