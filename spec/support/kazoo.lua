-- A Kamailio with the kazoo module whose routes a spec calls one by one, and a RabbitMQ that spec files share.
local busted = require "busted"
local cjson = require "cjson"
local kamailio = require "support.kamailio"
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

-- The user part of a request's URI names the route to run. The reply's body: $var(rc), a newline, $var(out).
local request_route = [[
request_route {
  $var(rc) = 0;
  $var(out) = "";
  $var(route) = $rU;
  route($var(route));
  set_reply_body("$var(rc)\n$var(out)", "text/plain");
  sl_send_reply("200", "OK");
  exit;
}
route[nothing] {
  return;
}
route[publish] {
  kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", $rb);
  $var(rc) = $rc;
}
route[publish_headers] {
  kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", $rb, "$hdr(X-Headers)");
  $var(rc) = $rc;
}
]]

local function modparams(params)
  local lines = {}
  for name, values in pairs(params) do
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      local format = type(value) == "number" and "%d" or '"%s"'
      if value ~= false then lines[#lines + 1] = ('modparam("kazoo", "%s", ' .. format .. ")"):format(name, value) end
    end
  end
  return table.concat(lines, "\n")
end

local function with_defaults(options)
  local params = { node_hostname = "spec.example" }
  if options.rabbit then params.amqp_connection = options.rabbit.url end
  for name, value in pairs(options.params or {}) do params[name] = value end
  return params
end

-- What a route called by a spec returns is what its last function returned, unless it sets $var(rc) itself.
local function route_text(name, body)
  local result = body:find("$var(rc)", 1, true) and "" or "$var(rc) = $rc;"
  return ("route[%s] {\n%s\n%s\n}\n"):format(name, body, result)
end

local function routes(options)
  local parts = {}
  for name, body in pairs(options.routes or {}) do parts[#parts + 1] = route_text(name, body) end
  if options.mod_init then parts[#parts + 1] = "event_route[kazoo:mod-init] {\n" .. options.mod_init .. "\n}\n" end
  for name, body in pairs(options.events or {}) do
    parts[#parts + 1] = ("event_route[kazoo:%s] {\n%s\n}\n"):format(name, body)
  end
  return table.concat(parts)
end

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

-- Runs a route on a MESSAGE with these fields (support.sip): the route's result and what it left in $var(out).
function methods:call(route, fields)
  local full = { method = "MESSAGE", uri = ("sip:%s@127.0.0.1:%d"):format(route, self.port) }
  for name, value in pairs(fields or {}) do full[name] = value end
  local reply = assert(self.sip:request(full))
  local rc, out = reply.body:match("^(%-?%d+)\n(.*)$")
  return tonumber(rc), out
end

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
  self:wait_log('consuming queue "[^"]*%-targeted%-', 20, times)
  wait.until_(function() -- before that no question is asked
    for _, connection in ipairs(stats.all(self, "kazoo.connections")) do
      if connection.name == "questions" then return connection.state == "open", connection.state end
    end
  end, 5, "the connection of the questions")
end

-- The options of kamailio.start, and: rabbit (the broker to use), params (of the module, a list for several; false for
-- none), request_route (instead of the one that runs routes by name), routes (bodies by name, see call), mod_init,
-- events (bodies by name, without "kazoo:"), before and settings (modules and their parameters, loaded before and after
-- kazoo). The server, or nil and its log.
function kazoo.try_start(options)
  local full = {}
  for name, value in pairs(options) do full[name] = value end
  full.cfg = table.concat({
    options.before or "", 'loadmodule "kazoo.so"', modparams(with_defaults(options)), options.settings or "",
    options.lua and "" or (options.request_route or request_route) .. routes(options),
  }, "\n")
  local server, log = kamailio.start(full)
  if not server then return nil, log end
  for name, method in pairs(methods) do server[name] = method end
  return server
end

-- The same for a server that is expected to start.
function kazoo.start(options)
  local server, log = kazoo.try_start(options)
  return server or error(log, 2)
end

return kazoo
