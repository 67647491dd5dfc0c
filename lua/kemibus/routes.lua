--- Which event routes a message may run: the default policies.
--
-- The Kamailio modules, which contain it in compiled form, and Lua programs use the same file. Its functions are pure:
-- they have no state and read only their arguments.
--
-- @module kemibus.routes

local find, lower, gsub = string.find, string.lower, string.gsub
local number_text = require("kemibus.json").number_text

local routes = {
  --- The fields of an AMQP payload that name the event when neither a module parameter nor the subscription does.
  DEFAULT_EVENT_KEY = "Event-Category",
  DEFAULT_EVENT_SUBKEY = "Event-Name",

  --- The own events of the module nats. Publishers must not be able to run their routes.
  NATS_EVENTS = {
    connected = true, disconnected = true, ["lame-duck"] = true, ["discovered-servers"] = true, ["slow-consumer"] = true,
  },
}

local function given(text)
  if text ~= "" then return text end
end

-- A field as text. Objects, arrays, null, the empty string and infinity count as a missing field.
local function value_of(field)
  local kind = type(field)
  if kind == "string" then return given(field) end
  if kind == "number" then return number_text(field) end
  if kind == "boolean" then return tostring(field) end
end

--- The names of the two payload fields that name an event of a subscription.
-- @tparam table subscription fields, all optional, "" counts as missing: `event_key`, `event_subkey` from the
--   subscription itself, `default_event_key`, `default_event_subkey` from the module's parameters
-- @treturn string name of the key field
-- @treturn string name of the subkey field
function routes.key_names(subscription)
  local key = given(subscription.event_key) or given(subscription.default_event_key)
  local subkey = given(subscription.event_subkey) or given(subscription.default_event_subkey)
  return key or routes.DEFAULT_EVENT_KEY, subkey or routes.DEFAULT_EVENT_SUBKEY
end

--- The values of the key and subkey fields of an AMQP message.
-- Numbers (see `kemibus.json.number_text`) and booleans become text. A field that is null, empty, infinite, an object
-- or an array counts as missing. For a missing field, the subscription's own `event_key` or `event_subkey` serves as
-- the value.
-- @tparam table payload the decoded JSON object
-- @tparam table subscription see `key_names`
-- @treturn string|nil the key
-- @treturn string|nil the subkey
function routes.event_key(payload, subscription)
  local key_name, subkey_name = routes.key_names(subscription)
  local key = value_of(payload[key_name]) or given(subscription.event_key)
  local subkey = value_of(payload[subkey_name]) or given(subscription.event_subkey)
  return key, subkey
end

-- The part of a route's name for a key, as Kamailio configurations write it.
local function part(text)
  return (gsub(lower(text), "_", "-"))
end

--- The names of the event routes for an AMQP event, the most specific first.
-- @tparam table event fields `key`, `subkey` (values, or nil) and `key_name`, `subkey_name` (names of the fields); or
--   `raw`, true for a message whose body is not a JSON object
-- @treturn {string,...} three to five names, one of a raw message
function routes.kazoo_names(event)
  local base = "kazoo:consumer-event"
  local names = {}
  if event.raw then return { base .. "-raw" } end
  if event.key then
    local key = base .. "-" .. part(event.key)
    if event.subkey then names[1] = key .. "-" .. part(event.subkey) end
    names[#names + 1] = key
  end
  local key_name = base .. "-" .. part(event.key_name)
  names[#names + 1] = key_name .. "-" .. part(event.subkey_name)
  names[#names + 1] = key_name
  names[#names + 1] = base
  return names
end

local spelled = { ["."] = "-", ["*"] = "any", [">"] = "all" }

local function spell(subject)
  return (gsub(subject, "[^%w_-]", function(char) return spelled[char] or "_" end))
end

local function add_spelled(names, subject)
  local name = spell(subject)
  if not routes.NATS_EVENTS[name] then names[#names + 1] = "nats:" .. name end
end

--- The names of the event routes for a NATS event: the subscribed subject as it is, then the most specific first.
-- The names of event routes in kamailio.cfg may contain letters, digits, `-` and `_` only, so other characters of a
-- subject are spelled: `.` becomes `-`, `*` becomes `any`, `>` becomes `all`, anything else `_`. Under a wildcard, the
-- actual subject of the message precedes the subscribed one: `calls.new` under `calls.*` runs `nats:calls-new` or, if
-- that does not exist, `nats:calls-any`. The spelling of a subject never leads to the route of one of `NATS_EVENTS`:
-- under `>`, a message on `lame.duck` or `connected` runs `nats:all`.
-- @tparam table event fields `subscription`, a table with `subject`, and `subject`; or `key` for one of the module's
--   own events, such as `connected`
-- @treturn {string,...} one to three names
function routes.nats_names(event)
  local subscribed = event.key or event.subscription.subject
  local names = { "nats:" .. subscribed }
  if event.subject and find(subscribed, "[*>]") then add_spelled(names, event.subject) end
  if spell(subscribed) ~= subscribed then add_spelled(names, subscribed) end
  return names
end

local names_of = { kazoo = routes.kazoo_names, nats = routes.nats_names }

--- The names of the event routes for an event; the first that exists runs.
-- @tparam table event field `bus` ("kazoo" or "nats") and those of `kazoo_names` or `nats_names`
-- @treturn {string,...}
-- @raise when `bus` is neither of the two
function routes.route_names(event)
  local names = names_of[event.bus]
  if not names then error("event.bus is " .. tostring(event.bus) .. ': must be "kazoo" or "nats"', 2) end
  return names(event)
end

return routes
