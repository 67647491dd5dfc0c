-- A lua_policy for both modules, where messages come from programs with customs of their own (docs/policies.md):
--
--     modparam("kazoo", "lua_policy", "/etc/kamailio/policy.lua")
--     modparam("nats", "lua_policy", "/etc/kamailio/policy.lua")

local routes = require "kemibus.routes" -- what serves by default

local policy = {}

-- RabbitMQ: {"type": "phone.logout"} runs event_route[kazoo:consumer-event-phone-logout], like a message with
-- Event-Category and Event-Name, which still works.
function policy.event_key(payload, subscription)
  local text = type(payload.type) == "string" and payload.type or ""
  local key, subkey = text:match("^([^.]+)%.(.+)$")
  if key then return key, subkey end
  return routes.event_key(payload, subscription)
end

-- NATS: a subscription with wildcards has a route for each kind of message. Those on phones.registered.alice, by way of
-- subject_queue_group "phones.>:kamailio", run event_route[nats:phones-registered], if there is one. Under ">" whoever
-- publishes chooses these names, so those of the module's own events are left out: nats:lame-duck is no message's.
function policy.route_names(event)
  local names = routes.route_names(event)
  local first, second = (event.subject or ""):match("^([^.]+)%.([^.]+)")
  local kind = second and first .. "-" .. second
  if kind and not routes.NATS_EVENTS[kind] then table.insert(names, 1, "nats:" .. kind) end
  return names
end

return policy
