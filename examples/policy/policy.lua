-- A lua_policy for both modules, for messages from applications with their own conventions (docs/policies.md):
--
--     modparam("kazoo", "lua_policy", "/etc/kamailio/policy.lua")
--     modparam("nats", "lua_policy", "/etc/kamailio/policy.lua")

local routes = require "kemibus.routes" -- the default policies

local policy = {}

-- RabbitMQ: {"type": "phone.logout"} runs event_route[kazoo:consumer-event-phone-logout]. Messages with Event-Category
-- and Event-Name still work.
function policy.event_key(payload, subscription)
  local text = type(payload.type) == "string" and payload.type or ""
  local key, subkey = text:match("^([^.]+)%.(.+)$")
  if key then return key, subkey end
  return routes.event_key(payload, subscription)
end

-- NATS: a subscription with wildcards has an event route for each kind of message. With subject_queue_group
-- "phones.>:kamailio", a message on phones.registered.alice runs event_route[nats:phones-registered], if there is one.
-- Under ">" the publisher chooses these names, so those of the module's own events are left out: no message may run
-- nats:lame-duck.
function policy.route_names(event)
  local names = routes.route_names(event)
  local first, second = (event.subject or ""):match("^([^.]+)%.([^.]+)")
  local kind = second and first .. "-" .. second
  if kind and not routes.NATS_EVENTS[kind] then table.insert(names, 1, "nats:" .. kind) end
  return names
end

return policy
