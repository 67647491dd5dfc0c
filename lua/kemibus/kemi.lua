--- Event callbacks for KEMI scripts, by the names of event routes.
--
-- Kamailio calls one function for all events of a module (`event_callback`). The callback of this module finds the
-- function for an event in the same way as the native event routes are found:
--
--     local on = require("kemibus.kemi").kazoo({
--       ["kazoo:mod-init"] = function() KSR.kazoo.kazoo_subscribe(...) end,
--       ["kazoo:consumer-event-presence-update"] = function(event) ... end,
--       ["kazoo:consumer-event"] = function(event) ... end,
--     }, function() return KSR.pv.get("$kzE") end)
--
--     function ksr_kazoo_event(name) return on(name) end
--
-- @module kemibus.kemi

local cjson = require "cjson"
local routes = require "kemibus.routes"

local kemi = {}

local function first(handlers, names)
  for _, name in ipairs(names) do
    if handlers[name] then return handlers[name], name end
  end
end

local function decoded(text)
  local ok, payload = pcall(cjson.decode, text)
  if ok and type(payload) == "table" and text:match("^%s*{") then return payload end
end

-- The module's own events do not come from a subscription: the module's parameters name their fields.
local function defaults_of(subscription)
  return {
    default_event_key = subscription.default_event_key, default_event_subkey = subscription.default_event_subkey,
  }
end

-- Every delivery has AMQP-Received, whatever its publisher wrote there; the module's own events do not have it. Their
-- keys are in the same two fields, whatever parameters and subscriptions say.
local function event_of(payload, subscription)
  local own = payload["AMQP-Received"] == nil
  local event = { bus = "kazoo", payload = payload }
  event.key_name, event.subkey_name = routes.key_names(own and defaults_of(subscription) or subscription)
  event.key, event.subkey = routes.event_key(payload, own and {} or subscription)
  return event
end

--- A callback for `modparam("kazoo", "event_callback", ...)`.
-- Events other than `kazoo:consumer-event` go to the handler of that name. A handler is called with an event: a table
-- with `payload` (decoded), `key`, `subkey`, `key_name`, `subkey_name` and `route` (the name that was found). A payload
-- without `AMQP-Received` is one of the module's own events: its `Event-Category` and `Event-Name` are the keys.
-- @tparam table handlers functions by the name of the event route
-- @tparam function payload called without arguments, returns the payload's text: `$kzE`
-- @tparam[opt] table subscription see `kemibus.routes.key_names`
-- @treturn function takes the event's name; returns the result of the handler, or nil and a message when there is no
--   handler or the payload is not a JSON object. Errors of a handler are passed on.
function kemi.kazoo(handlers, payload, subscription)
  subscription = subscription or {}
  return function(name)
    if name ~= "kazoo:consumer-event" then
      local handler = handlers[name]
      if not handler then return nil, "no handler for " .. tostring(name) end
      return handler({ bus = "kazoo", route = name })
    end
    local object = decoded(payload() or "")
    if not object then return nil, "the payload is not a JSON object" end
    local event = event_of(object, subscription)
    local handler, route = first(handlers, routes.route_names(event))
    if not handler then return nil, "no handler for " .. name end
    event.route = route
    return handler(event)
  end
end

return kemi
