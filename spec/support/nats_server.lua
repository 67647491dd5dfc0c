-- A nats-server of its own.
local socket = require "socket"
local files = require "support.files"
local ports = require "support.ports"
local process = require "support.process"
local wait = require "support.wait"

local nats_server = {}
local Server = {}
Server.__index = Server

local function configuration(self, options)
  local lines = { ("listen: %s:%d"):format(self.host, self.port) }
  if options.jetstream then
    lines[#lines + 1] = ("jetstream { store_dir: %q }"):format(self.folder .. "/jetstream")
  end
  lines[#lines + 1] = options.conf
  return table.concat(lines, "\n") .. "\n"
end

local function answers(self)
  local tcp = assert(socket.tcp())
  tcp:settimeout(1)
  local line = tcp:connect(self.host, self.port) and tcp:receive("*l")
  tcp:close()
  return line and line:match("^INFO ")
end

local function spawn(self)
  local command = { unpack(self.network and self.network.words or {}) }
  for _, word in ipairs { "nats-server", "-c", self.folder .. "/nats.conf" } do command[#command + 1] = word end
  self.process = process.spawn { name = "nats-server", folder = self.folder, command = command }
end

local function await_ready(self)
  wait.until_(function()
    if not self.process:alive() then error("nats-server ended at its start:\n" .. self.process:log(), 0) end
    return answers(self)
  end, 15, "nats-server on port " .. self.port)
end

-- start{conf = "more lines of its configuration", jetstream = true, network = one of support.network, at whose far end it
-- runs}
function nats_server.start(options)
  options = options or {}
  local self = setmetatable({ host = "127.0.0.1", port = ports.free(), network = options.network }, Server)
  if self.network then self.host = self.network.far_address end
  self.url = ("nats://%s:%d"):format(self.host, self.port)
  self.folder = files.new_folder("nats-server")
  files.write(self.folder .. "/nats.conf", configuration(self, options))
  spawn(self)
  await_ready(self)
  return self
end

function Server:kill9() self.process:kill() end

-- After kill9: the same port and data. With {wait = false} it returns before the server is ready.
function Server:start_again(options)
  spawn(self)
  if not (options and options.wait == false) then await_ready(self) end
end

function Server:await_ready() await_ready(self) end

function Server:freeze() process.freeze(self.process.pid) end

function Server:thaw() self.process:signal("CONT") end

function Server:log() return self.process:log() end

function Server:cpu() return self.process:cpu() end

function Server:stop()
  if self.process:alive() then self.process:kill() end
end

return nats_server
