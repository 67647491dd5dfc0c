-- A Kamailio with one of our modules, whose routes a spec calls one by one: what support.kazoo and support.nats share.
local socket = require "socket"
local kamailio = require "support.kamailio"
local sip = require "support.sip"

local module = {}

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
]]

local function modparams(name, params)
  local lines = {}
  for param, values in pairs(params) do
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      local format = type(value) == "number" and "%d" or '"%s"'
      if value ~= false then lines[#lines + 1] = ('modparam("%s", "%s", ' .. format .. ")"):format(name, param, value) end
    end
  end
  return table.concat(lines, "\n")
end

-- What a route called by a spec returns is what its last function returned, unless it sets $var(rc) itself.
local function route_text(name, body)
  local result = body:find("$var(rc)", 1, true) and "" or "$var(rc) = $rc;"
  return ("route[%s] {\n%s\n%s\n}\n"):format(name, body, result)
end

function module.merged(...)
  local all = {}
  for _, part in ipairs { ... } do
    for name, value in pairs(part) do all[name] = value end
  end
  return all
end

-- Those of the module's support come with the route that runs them.
local function routes(name, options, common_routes)
  local parts = { options.request_route or request_route }
  local called = options.request_route and {} or common_routes
  for route, body in pairs(module.merged(called, options.routes or {})) do parts[#parts + 1] = route_text(route, body) end
  for event, body in pairs(options.events or {}) do
    parts[#parts + 1] = ("event_route[%s:%s] {\n%s\n}\n"):format(name, event, body)
  end
  return table.concat(parts)
end

local methods = {}

local function message_to(self, route, fields)
  local full = { method = "MESSAGE", uri = ("sip:%s@127.0.0.1:%d"):format(route, self.port) }
  for name, value in pairs(fields or {}) do full[name] = value end
  return full
end

local function result_of(reply)
  local rc, out = reply.body:match("^(%-?%d+)\n(.*)$")
  return tonumber(rc), out
end

-- Runs a route on a MESSAGE with these fields (support.sip): the route's result and what it left in $var(out).
function methods:call(route, fields)
  return result_of(assert(self.sip:request(message_to(self, route, fields))))
end

-- The same for a route that ends later: call the function that is returned for the result, and the seconds it took.
function methods:start_call(route, fields)
  local client = sip.client(self.port)
  local began = socket.gettime()
  client:start(message_to(self, route, fields))
  return function()
    local reply = assert(client:await_reply(15))
    client:close()
    local rc, out = result_of(reply)
    return rc, out, socket.gettime() - began
  end
end

-- The options of kamailio.start, and: params (of the module, a list for several; false for none), request_route (instead
-- of the one that runs routes by name), routes (bodies by name, see call), events (bodies by name, without "kazoo:"),
-- before and settings (modules and their parameters, loaded before and after ours). The server with the methods above
-- and `more_methods`, or nil and its log. `common_routes` are more routes to call by name.
function module.try_start(name, options, common_routes, more_methods)
  local full = module.merged(options)
  full.cfg = table.concat({
    options.before or "", ('loadmodule "%s.so"'):format(name), modparams(name, options.params), options.settings or "",
    options.lua and "" or routes(name, options, common_routes),
  }, "\n")
  local server, log = kamailio.start(full)
  if not server then return nil, log end
  for _, some in ipairs { methods, more_methods } do
    for method, body in pairs(some) do server[method] = body end
  end
  return server
end

return module
