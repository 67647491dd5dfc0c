-- nats-servers that form a cluster on the loopback, with JetStream.
local nats_server = require "support.nats_server"
local ports = require "support.ports"

local nats_cluster = {}
local Cluster = {}
Cluster.__index = Cluster

local node_conf = [[
server_name: %s
cluster { name: spec, listen: 127.0.0.1:%d, routes: [ %s ] }
]]

local function name_of(i) return "n" .. i end

-- start(size): {nodes = {servers of support.nats_server}}; JetStream answers a while later.
function nats_cluster.start(size)
  local own, routes, nodes = {}, {}, {}
  for i = 1, size do
    own[i] = ports.free()
    routes[i] = "nats://127.0.0.1:" .. own[i]
  end
  for i = 1, size do
    nodes[i] = nats_server.start {
      jetstream = true, conf = node_conf:format(name_of(i), own[i], table.concat(routes, ", ")),
    }
  end
  return setmetatable({ nodes = nodes }, Cluster)
end

-- The node of this name, as streams and consumers call their leaders, and a list of the others.
function Cluster:split(name)
  local found, others = nil, {}
  for i, node in ipairs(self.nodes) do
    if name_of(i) == name then found = node else others[#others + 1] = node end
  end
  return found or error("no node is called " .. tostring(name), 2), others
end

function Cluster:stop()
  for _, node in ipairs(self.nodes) do node:stop() end
end

return nats_cluster
