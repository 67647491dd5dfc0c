-- The host's Lua side: from a message to the index of its route.
--
-- The chunk is called with the table of C functions and settings (see host.c) and returns three functions: route(),
-- add_subscription() and tried(). All run protected, with the JIT on; a function of the operator's runs only through
-- guarded(), which limits it and switches the JIT off.

local host = ...
local type, next, rawget, rawequal, setmetatable, error = type, next, rawget, rawequal, setmetatable, error
local ipairs, tostring, assert, load, select, concat = ipairs, tostring, assert, load, select, table.concat
local is_kazoo = host.bus == "kazoo"

-- -- the modules of kemibus, for the host itself --

local loaded = { cjson = host.cjson() }

function require(name)
  if loaded[name] == nil then
    loaded[name] = assert(load(host.sources[name], "@" .. name:gsub("%.", "/") .. ".lua"))()
  end
  return loaded[name]
end

local routes = require("kemibus.routes")
local event_key, route_names = routes.event_key, routes.route_names

local NO_ROUTE, UNREADABLE, UNWANTED = host.NO_ROUTE, host.UNREADABLE, host.UNWANTED
local REMEMBERED_MAX, REMEMBERED_BYTES = 1024, 256

-- -- which routes exist --

local index_of, n_known = {}, 0

-- Names come from the bus: what is remembered must stay bounded in number and length.
local function route_index(name)
  local index = index_of[name]
  if index then return index end
  index = host.route_index(name)
  if #name <= REMEMBERED_BYTES then
    if n_known == REMEMBERED_MAX then index_of, n_known = {}, 0 end
    index_of[name], n_known = index, n_known + 1
  end
  return index
end

local names_tried = {} -- of the last message

local function tried() return concat(names_tried, ", ") end

local function first_existing(names)
  names_tried = names
  local i, name = 1, rawget(names, 1)
  while name do
    local index = route_index(name)
    if index >= 0 then return index end
    i = i + 1
    name = rawget(names, i)
  end
  return NO_ROUTE
end

-- -- subscriptions --

local function subscription_of(fields)
  fields.default_event_key, fields.default_event_subkey = host.event_key, host.event_subkey
  local own = { fields = fields, found = {}, n_found = 0 }
  own.key_name, own.subkey_name = routes.key_names(fields)
  own.wild = not is_kazoo and fields.subject and fields.subject:find("[*>]") and true
  own.shown = {}
  for name, value in next, fields do own.shown[name] = value end
  return own
end

local subscriptions = {}
local own_events = subscription_of({})

local function add_subscription(index, fields)
  subscriptions[index] = subscription_of(fields)
end

-- -- the default --

local function remember(s, key, subkey, index)
  if (key and #key or 0) + (subkey and #subkey or 0) > REMEMBERED_BYTES then return end
  if s.n_found == REMEMBERED_MAX then s.found, s.n_found = {}, 0 end
  local by_key = s.found[key]
  if not by_key then
    by_key = {}
    s.found[key] = by_key
  end
  by_key[subkey], s.n_found = index, s.n_found + 1
end

-- The default names are a function of the two keys and, under a wildcard of NATS, of the subject; so is the route.
local function default_route(s, key, subkey)
  local subject
  if s.wild then subject, key = select(2, host.message()), nil end
  local by_key = s.found[key or subject or false]
  local index = by_key and by_key[subkey or false]
  if index then return index end
  index = first_existing(route_names({
    bus = host.bus, key = key, subkey = subkey, subject = subject, key_name = s.key_name, subkey_name = s.subkey_name,
    subscription = s.fields,
  }))
  if index ~= NO_ROUTE then remember(s, key or subject or false, subkey or false, index) end
  return index
end

local raw_event = { bus = host.bus, raw = true }

-- The route of a message of AMQP whose body is no JSON object.
local function raw_route()
  local index = first_existing(route_names(raw_event))
  return index == NO_ROUTE and UNREADABLE or index
end

-- payload: decoded, nil when it is no object (or for nats); key, subkey: of an event of the module's own, which has no
-- subscription.
local function route(payload, index, key, subkey)
  if not index then return default_route(own_events, key, subkey) end
  local s = subscriptions[index] or own_events
  if is_kazoo then
    if not payload then return raw_route() end
    key, subkey = event_key(payload, s.fields)
  end
  return default_route(s, key, subkey)
end

if not host.file then return route, add_subscription, tried end

-- -- with a policy of the operator's --

local known = { event_key = true, route_names = true }

local function checked(policy)
  if type(policy) ~= "table" then
    local what = policy == nil and "nothing" or "a " .. type(policy)
    error(("the file returns %s, not a table of functions"):format(what), 0)
  end
  for name, value in next, policy do
    if not known[name] then
      error(("unknown entry '%s': a policy has event_key and route_names"):format(tostring(name)), 0)
    end
    if type(value) ~= "function" then error(("%s is a %s, not a function"):format(name, type(value)), 0) end
  end
  return { event_key = rawget(policy, "event_key"), route_names = rawget(policy, "route_names") }
end

local load_policy, guarded = assert(load(host.sources["kemibus.host.sandbox"], "=kemibus host"))(host)
local policy = checked(load_policy(host.file))

local function check_keys(key, subkey)
  for _, kind in ipairs({ type(key), type(subkey) }) do
    if kind ~= "string" and kind ~= "nil" then return ("returned a %s: a key is a string or nil"):format(kind) end
  end
end

local function check_names(names)
  if names == nil then return end
  if type(names) ~= "table" then return ("returned a %s: a list of route names is needed"):format(type(names)) end
  local n = 0
  for _ in next, names do n = n + 1 end
  for i = 1, n do
    local kind = type(rawget(names, i))
    if kind == "nil" then return ("returned a list without an item %d of %d"):format(i, n) end
    if kind ~= "string" then return ("returned a list whose item %d is a %s, not a string"):format(i, kind) end
  end
end

local checks = { event_key = check_keys, route_names = check_names }

local function judge(name, ok, ...)
  local problem = ...
  if ok then problem = checks[name](...) end
  if not problem then return true, ... end
  host.failed(name, policy[name], problem)
  return false
end

local function ask(name, ...)
  return judge(name, guarded(policy[name], ...))
end

-- What costs a copy is made when it is first looked at, and only while the event is the current one.
local current
local lazy = {
  payload = host.payload,
  text = host.text,
}

local lazy_event = {
  __index = function(event, name)
    local make = lazy[name]
    if not make or not rawequal(event, current) then return nil end
    local value = make()
    event[name] = value
    return value
  end,
}

local function event_of(s, payload, key, subkey)
  local exchange, routing_key, redelivered
  if s ~= own_events then exchange, routing_key, redelivered = host.message() end
  current = setmetatable({
    bus = host.bus, payload = payload, subscription = s.shown, redelivered = redelivered or false,
    key = key, subkey = subkey,
    key_name = is_kazoo and s.key_name or nil, subkey_name = is_kazoo and s.subkey_name or nil,
    exchange = is_kazoo and exchange or nil, routing_key = is_kazoo and routing_key or nil,
    subject = not is_kazoo and routing_key or nil,
  }, lazy_event)
  return current
end

local function named_route(s, payload, key, subkey)
  local ok, names = ask("route_names", event_of(s, payload, key, subkey))
  current = nil
  if not ok or not names then return nil end
  return rawget(names, 1) and first_existing(names) or UNWANTED
end

-- A function that failed may have left anything in the payload: the default gets one of its own.
local function keys_of(s, payload)
  if policy.event_key then
    local ok, key, subkey = ask("event_key", payload, s.shown)
    if ok then return key, subkey end
    payload = host.payload()
  end
  return event_key(payload, s.fields)
end

local function route_by_policy(payload, index, key, subkey)
  local s = subscriptions[index or -1] or own_events
  local keyed = is_kazoo and payload and index
  if keyed then key, subkey = keys_of(s, payload) end
  if policy.route_names then
    local found = named_route(s, payload, key, subkey)
    if found then return found end
  end
  if is_kazoo and index and not payload then return raw_route() end
  return default_route(s, key, subkey)
end

return route_by_policy, add_subscription, tried
