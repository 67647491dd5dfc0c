-- A Kamailio with the nats module whose routes a spec calls one by one (support.module).
local module = require "support.module"

local nats = {}

local routes = {
  publish = [[
    nats_publish("$hdr(X-Subject)", "$rb");
    $var(rc) = $rc;
  ]],
}

local methods = {}

-- nats_publish of any bytes that fit into a datagram.
function methods:publish(subject, payload)
  return (self:call("publish", { body = payload, headers = { "X-Subject: " .. subject } }))
end

-- Waits until that many connections were made since the start: one for each publisher and each subject_queue_group.
function methods:await_connections(count, deadline)
  self:wait_log("nats: connected to ", deadline or 10, count)
end

-- The options of module.try_start, and: server (the nats-server to use). The server, or nil and its log.
function nats.try_start(options)
  local broker = { nats_url = options.server and options.server.url }
  return module.try_start("nats", module.merged(options, { params = module.merged(broker, options.params or {}) }), routes,
    methods)
end

-- The same for a server that is expected to start.
function nats.start(options)
  local server, log = nats.try_start(options)
  return server or error(log, 2)
end

return nats
