-- A Kamailio with the kazoo module whose routes a spec calls one by one (support.module), and a RabbitMQ that spec files
-- share.
local busted = require "busted"
local cjson = require "cjson"
local module = require "support.module"
local rabbit = require "support.rabbit"
local stats = require "support.stats"
local wait = require "support.wait"

local kazoo = {}

local shared

-- For specs that neither stop nor freeze it; the names of their exchanges and queues are their own.
function kazoo.shared_rabbit()
  if not shared then
    shared = rabbit.start()
    busted.subscribe({ "suite", "end" }, function()
      shared:stop()
      return nil, true
    end)
  end
  return shared
end

local routes = {
  publish = [[
    kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", $rb);
    $var(rc) = $rc;
  ]],
  publish_headers = [[
    kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", $rb, "$hdr(X-Headers)");
    $var(rc) = $rc;
  ]],
}

-- A call with one parameter, the definition, for the body of mod_init.
function kazoo.subscribe(definition) return ('kazoo_subscribe("%s");\n'):format(definition) end

-- The body of an event route that writes down its name, $kzRK and $kzE, for event() and its like.
function kazoo.note(name)
  return ('xlog("L_NOTICE", "event|%s|$kzRK|$kzE\\n");'):format(name)
end

-- Event routes that do no more than note(), for a list of names.
function kazoo.notes(names)
  local events = {}
  for _, name in ipairs(names) do events[name] = kazoo.note(name) end
  return events
end

-- These event routes, and one that keeps the events of connections from the route for all others.
function kazoo.only_deliveries(events)
  return module.merged({ ["consumer-event-connection"] = "exit;" }, events)
end

-- In a route of a server with these settings: waits, for 40 s at most, until server:let_go().
kazoo.hold = 'while ($shv(go) == 0) { usleep("20000"); }'
kazoo.hold_settings = 'modparam("pv", "shvset", "go=i:0")\nmax_while_loops = 2000'

local function event_of(line)
  local route, key, payload = line:match("event|([^|]*)|([^|]*)|(.*)$")
  if not route then return nil end
  local ok, decoded = pcall(cjson.decode, payload)
  return { route = route, key = key, text = payload, payload = ok and decoded or nil }
end

local methods = {}

-- All events written down so far, of all routes or of one.
function methods:events(route)
  local found = {}
  for line in self:log():gmatch("[^\n]+") do
    local event = event_of(line)
    if event and (not route or event.route == route) then found[#found + 1] = event end
  end
  return found
end

-- The first event whose payload holds this text, or an error after the deadline: {route, key, payload, text}.
function methods:event(text, deadline)
  return wait.until_(function()
    for _, event in ipairs(self:events()) do
      if event.text:find(text, 1, true) then return event end
    end
    assert(self:alive(), "Kamailio has ended")
  end, deadline or 10, ("an event with %q"):format(text))
end

function methods:let_go() self:rpc("pv.shvSet", "go", "int", "1") end

-- kazoo_publish of any bytes; headers as the function's fourth parameter, if given.
function methods:publish(exchange, key, payload, headers)
  local lines = { "X-Exchange: " .. exchange, "X-Key: " .. key }
  if headers then lines[3] = "X-Headers: " .. headers end
  return (self:call(headers and "publish_headers" or "publish", { body = payload, headers = lines }))
end

-- Waits until publisher and consumer are connected and a question can be asked, that many times since the start.
function methods:await_connected(times)
  self:wait_log("connected to .* publisher%)", 20, times)
  self:wait_log("connected to .* consumer%)", 20, times)
  self:wait_log('consuming from queue "[^"]*%-targeted%-', 20, times)
  wait.until_(function() -- before that no question is asked
    for _, connection in ipairs(stats.all(self, "kazoo.connections")) do
      if connection.name == "requester" then return connection.state == "open", connection.state end
    end
  end, 5, "the connection of the requester")
end

-- The options of module.try_start, and: rabbit (the broker to use), mod_init (the body of that event route). The server, or
-- nil and its log.
function kazoo.try_start(options)
  local always = { node_hostname = "spec.example", amqp_connection = options.rabbit and options.rabbit.url }
  return module.try_start("kazoo", module.merged(options, {
    params = module.merged(always, options.params or {}),
    events = module.merged({ ["mod-init"] = options.mod_init }, options.events or {}),
  }), routes, methods)
end

-- The same for a server that is expected to start.
function kazoo.start(options)
  local server, log = kazoo.try_start(options)
  return server or error(log, 2)
end

local own_queues = 0

-- Each server has queues of its own, so what a broker believes of the consumers of the last one does not matter. Returns the
-- text with their name in the place of QUEUE, and the name.
function kazoo.with_own_queue(text)
  own_queues = own_queues + 1
  local name = ("own-%d"):format(own_queues)
  return text:gsub("QUEUE", name), name
end

return kazoo
