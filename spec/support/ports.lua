-- Free ports of 127.0.0.1. They lie below the range the kernel hands out to clients: a client that keeps connecting to
-- a port of that range while its server is down ends up connected to itself. Runs beside each other have SPEC_PORTS,
-- FIRST-LAST: a server that is down for a moment comes back to its port.
local socket = require "socket"
local files = require "support.files"

local ports = {}
local range = os.getenv "SPEC_PORTS" or "20000-31999"
local first, last = range:match "^(%d+)%-(%d+)$"
local given = {}

math.randomseed(files.own_pid() * 7919 + math.floor(socket.gettime() * 1000) % 1000003)

local function is_free(port)
  local tcp, udp = assert(socket.tcp()), assert(socket.udp())
  local free = tcp:bind("127.0.0.1", port) and udp:setsockname("127.0.0.1", port)
  tcp:close()
  udp:close()
  return free ~= nil
end

-- A port that is free for TCP and UDP and was not given before.
function ports.free()
  for _ = 1, 1000 do
    local port = math.random(tonumber(first), tonumber(last))
    if not given[port] and is_free(port) then
      given[port] = true
      return port
    end
  end
  error("no free port between " .. first .. " and " .. last)
end

return ports
