-- A NATS server of one's own: answers to a client what it must, and says the rest when it is told to.
local socket = require "socket"
local ports = require "support.ports"

local nats_peer = {}
local Listener = {}
Listener.__index = Listener

-- {port = ..., url = ...}
function nats_peer.listen()
  local port = ports.free()
  local tcp = assert(socket.bind("127.0.0.1", port))
  tcp:settimeout(10)
  return setmetatable({ tcp = tcp, port = port, url = "nats://127.0.0.1:" .. port }, Listener)
end

-- The next client once it has logged in, a socket, and the name it goes by.
function Listener:serve()
  local peer = assert(self.tcp:accept())
  peer:settimeout(10)
  peer:send('INFO {"server_id":"x","max_payload":1048576,"headers":true}\r\n')
  local name = assert(peer:receive("*l")):match('"name":"([^"]*)"')
  repeat local line = assert(peer:receive("*l")) until line == "PING"
  peer:send("PONG\r\n")
  return peer, name
end

function Listener:close() self.tcp:close() end

-- Lines of a client up to one that matches, which is returned.
function nats_peer.read_until(peer, pattern)
  local line
  repeat line = assert(peer:receive("*l")) until line:find(pattern)
  return line
end

return nats_peer
