-- A RabbitMQ of its own: ports, folder, Erlang name service and cookie are private, so it disturbs no other.
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

local function command(self, ...)
  local words = {}
  for _, part in ipairs { self.network and self.network.words or {}, as_rabbitmq, { ... } } do
    for _, word in ipairs(part) do words[#words + 1] = word end
  end
  return words
end

local function environment(self)
  return {
    HOME = self.folder,
    ERL_EPMD_PORT = self.epmd_port,
    ERL_EPMD_ADDRESS = "127.0.0.1",
    RABBITMQ_NODENAME = self.node,
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

local function write_configuration(self, extra, plugins)
  files.write(self.folder .. "/enabled_plugins", ("[%s].\n"):format(table.concat(plugins or {}, ",")))
  files.write(self.folder .. "/rabbitmq.conf", table.concat({
    ("listeners.tcp.local = %s:%d"):format(self.host, self.port),
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
    name = "epmd", folder = files.new_folder("epmd"), command = command(self,
      "epmd", "-port", self.epmd_port, "-address", "127.0.0.1"),
  }
end

local function spawn_server(self)
  self.process = process.spawn {
    name = "rabbitmq", folder = self.folder, env = environment(self),
    command = command(self, bin .. "rabbitmq-server"),
  }
end

local function await_ready(self)
  wait.until_(function()
    if not self.process:alive() then error("RabbitMQ ended at its start:\n" .. self.process:log(), 0) end
    return answers(self)
  end, 60, "RabbitMQ on port " .. self.port)
end

-- In a cluster, all nodes have one cookie and find each other by one name service; a node joins when it first starts.
local function become_member(self, first)
  local cookie = self.folder .. "/.erlang.cookie"
  files.must_run(("cp -p %s/.erlang.cookie %s"):format(files.quote(first.folder), files.quote(cookie)))
  self.epmd_port = first.epmd_port
  return table.concat({
    "cluster_formation.peer_discovery_backend = classic_config",
    "cluster_formation.classic_config.nodes.1 = " .. first.node,
    "cluster_formation.classic_config.nodes.2 = " .. self.node,
  }, "\n")
end

-- start{conf = "more lines of rabbitmq.conf", plugins = their names, join = another one, whose cluster it joins, network =
-- one of support.network, at whose far end it runs}. A joined one is to be stopped before the one that it joined.
function rabbit.start(options)
  options = options or {}
  local self = setmetatable({ host = "127.0.0.1", port = ports.free(), network = options.network }, Rabbit)
  local conf = options.conf or ""
  if self.network then
    self.host = self.network.far_address
    conf = conf .. "\nloopback_users = none"
  end
  self.epmd_port, self.dist_port = ports.free(), ports.free()
  self.node = ("kemibus%d@localhost"):format(self.port)
  self.url = ("amqp://guest:guest@%s:%d"):format(self.host, self.port)
  self.folder, self.link = files.new_folder_for("rabbitmq", "rabbitmq")
  if options.join then conf = conf .. "\n" .. become_member(self, options.join) end
  write_configuration(self, conf, options.plugins)
  if not options.join then spawn_epmd(self) end
  spawn_server(self)
  await_ready(self)
  return self
end

-- Returns when what was declared so far is on disk. RabbitMQ 3.10 now and then says that it has declared a durable queue
-- while that is in its memory alone for the next two seconds: killed then, it forgets the queue and the messages in it.
function Rabbit:keep_declared() self:ctl("eval", "mnesia:sync_log().") end

local is_at_rest = [[
{ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)),
process_info(amqqueue:get_pid(Queue), current_function) =:= {current_function, {erlang, hibernate, 3}}.]]

-- Returns when the process of this queue sleeps. It does after a second without work, and gives away then what it has no
-- use for; until then its garbage collector goes through all messages in it again and again while they are delivered.
function Rabbit:await_rest(queue)
  wait.until_(function() return self:ctl("eval", is_at_rest:format(queue)):find("true", 1, true) end, 30,
    "the queue " .. queue .. " at rest")
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

function Rabbit:freeze() process.freeze(self:vm()) end

function Rabbit:thaw() process.signal(self:vm(), "CONT") end

local function ctl_command(self, ...)
  local words = { "env" }
  for name, value in pairs(environment(self)) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs { bin .. "rabbitmqctl", "--quiet", ... } do words[#words + 1] = word end
  return ("cd %s && %s"):format(self.folder, files.quote_all(command(self, unpack(words))))
end

-- rabbitmqctl with these arguments: its output; an error when it fails.
function Rabbit:ctl(...) return files.must_run(ctl_command(self, ...)) end

-- The rows of such a list, as list("list_queues", "name", "messages"): tables by column, by the first one.
function Rabbit:list(what, ...)
  local columns, rows = { ... }, {}
  for line in self:ctl(what, ...):gmatch("[^\n]+") do
    local row, i = {}, 0
    for value in (line .. "\t"):gmatch("([^\t]*)\t") do
      i = i + 1
      row[columns[i]] = value
    end
    rows[row[columns[1]]] = row
  end
  return rows
end

-- How many lines of such a list are these columns.
function Rabbit:count(what, columns)
  local names, values, count = {}, {}, 0
  for i, column in ipairs(columns) do names[i], values[i] = column[1], column[2] end
  for line in self:ctl(what, unpack(names)):gmatch("[^\n]+") do
    if line == table.concat(values, "\t") then count = count + 1 end
  end
  return count
end

-- rabbitmqctl without waiting for it.
function Rabbit:start_ctl(...)
  files.must_run(("{ %s; } >%s/ctl.log 2>&1 </dev/null &"):format(ctl_command(self, ...), files.quote(self.folder)))
end

function Rabbit:log() return self.process:log() end

function Rabbit:cpu() return self.process:cpu() end

-- Its data is of no further use, so there is no reason for an orderly end.
function Rabbit:stop()
  if self.process:alive() then
    process.signal(self:vm(), "CONT")
    self.process:kill()
  end
  if self.epmd then self.epmd:kill() end
  files.must_run("rm -rf " .. files.quote(self.folder .. "/data"))
  files.keep_logs(self.folder, self.link)
end

return rabbit
