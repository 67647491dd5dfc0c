-- A Kamailio with the nats module whose routes a spec calls one by one.
local socket = require "socket"
local kamailio = require "support.kamailio"
local sip = require "support.sip"

local nats = {}

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
  nats_publish("$hdr(X-Subject)", "$rb");
  $var(rc) = $rc;
}
]]

local function modparam(name, value)
  local format = type(value) == "number" and "%d" or '"%s"'
  return ('modparam("nats", "%s", ' .. format .. ")"):format(name, value)
end

local function modparams(params)
  local lines = {}
  for name, values in pairs(params) do
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      lines[#lines + 1] = modparam(name, value)
    end
  end
  return table.concat(lines, "\n")
end

local function with_defaults(options)
  local params = {}
  if options.server then params.nats_url = options.server.url end
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
  for name, body in pairs(options.events or {}) do
    parts[#parts + 1] = ("event_route[nats:%s] {\n%s\n}\n"):format(name, body)
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

-- nats_publish of any bytes that fit into a datagram.
function methods:publish(subject, payload)
  return (self:call("publish", { body = payload, headers = { "X-Subject: " .. subject } }))
end

-- Waits until that many connections were made since the start: one for each publisher and each subject_queue_group.
function methods:await_connections(count, deadline)
  self:wait_log("nats: connected to ", deadline or 10, count)
end

-- The options of kamailio.start, and: server (the nats-server to use), params (of the module, a list for several),
-- request_route (instead of the one that runs routes by name), routes (bodies by name, see call), events (bodies by
-- name, without "nats:"), settings (modparams and modules beside), before (modules ahead of ours). The server, or nil
-- and its log.
function nats.try_start(options)
  local full = {}
  for name, value in pairs(options) do full[name] = value end
  full.cfg = table.concat({
    options.before or "", 'loadmodule "nats.so"', modparams(with_defaults(options)), options.settings or "",
    options.lua and "" or (options.request_route or request_route) .. routes(options),
  }, "\n")
  local server, log = kamailio.start(full)
  if not server then return nil, log end
  for name, method in pairs(methods) do server[name] = method end
  return server
end

-- The same for a server that is expected to start.
function nats.start(options)
  local server, log = nats.try_start(options)
  return server or error(log, 2)
end

return nats
