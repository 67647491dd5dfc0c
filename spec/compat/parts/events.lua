-- Which event route runs for what a broker delivers, and what it reads there. Behind each case comes a message that marks
-- its end: with one queue and one worker they stay in order.
local amqp = require "support.amqp"
local canonical = require "compat.canonical"
local meant = require "compat.meant"
local pair = require "compat.pair"
local payloads = require "compat.payloads"
local random = require "compat.random"
local wait = require "support.wait"

local events = { name = "events" }

local PATIENCE = 8 -- seconds without a new line in the log while cases are left

-- By name: what each has beside its exchange and its queue, which are "ev." and the name.
local subscriptions = {
  plain = "'routing':'#'",
  acked = "'routing':'#', 'no_ack':0, 'wait_for_consumer_ack':1",
  early = "'routing':['#'], 'no_ack':false",
  keyed = "'routing':'#', 'event_key':'Kind', 'event_subkey':'Sub_Kind'",
  half = "'routing':'#', 'event_key':'acl', 'event_subkey':'Event-Name'",
  words = "'routing':'#', 'event_key':'presence', 'event_subkey':'update'",
}

local subscription_names = { "plain", "acked", "early", "keyed", "half", "words" }

-- The routes that a configuration has, beside that of the marks.
local route_sets = {
  {
    "presence-update", "presence", "presence-dialog-update", "directory-reg-flush", "acl-acl-flush",
    "event-category-event-name",
    "event-category", "kind-sub-kind", "kind", "acl-event-name", "5", "true", "null", "a-b", "",
  },
  { "presence-update", "presence-state", "a-b", "event-category", "acl-update", "" },
  { "presence", "event-category-event-name", "kind-sub-kind", "true-5" },
}

local read_there = {
  "Event-Category", "Event-Name", "Kind", "a", "missing", "AMQP-Broker-Zone", "Server-ID", "Msg-ID",
  "Channels[0].switch_url",
}

-- The line ends with a bar, so that one that is cut off is no line.
local function note(name)
  local parts = { "$(kzRK{s.encode.hexa})", "$(kzE{s.encode.hexa})" }
  for _, path in ipairs(read_there) do parts[#parts + 1] = ("$(kzE{kz.json,%s}{s.encode.hexa})"):format(path) end
  parts[#parts + 1] = "$(kzE{kz.json.count,Channels}{s.encode.hexa})"
  return ('xlog("L_NOTICE", "compat|%s|%s|\\n");'):format(name, table.concat(parts, "|"))
end

local function configuration(routes)
  local parts = { 'modparam("xlog", "buf_size", 262144)\npv_buffer_size=262144\n', "event_route[kazoo:mod-init] {\n" }
  for _, name in ipairs(subscription_names) do
    parts[#parts + 1] = ([[kazoo_subscribe("{'exchange':'ev.%s', 'type':'topic', 'queue':'ev.%s', %s}");]]):format(
      name, name, subscriptions[name])
  end
  parts[#parts + 1] = [[
}
event_route[kazoo:consumer-event-compat-mark] { xlog("L_NOTICE", "compat mark $(kzE{kz.json,Case})|\n"); }
event_route[kazoo:consumer-event-connection] { exit; }
]]
  for _, name in ipairs(routes) do
    local full = "consumer-event" .. (name ~= "" and "-" or "") .. name
    parts[#parts + 1] = ("event_route[kazoo:%s] {\n%s\n}\n"):format(full, note(full))
  end
  return table.concat(parts)
end

-- ---- cases

local words = {
  '"presence"', '"update"', '"Presence"', '"presence_state"', '"directory"', '"reg_flush"', '"acl"', '"acl_flush"',
  '"flush"', '"dialog"',
  '"event-category"', '"A_B"', '"a"', '"x.y"', '"two words"', '""', '"caf\195\169"', "5", "-1", "5.0", "true", "false",
  "null", "{}", "[]",
  '["presence"]', '{"a":"presence"}', '"' .. ("long"):rep(40) .. '"', '"\\u0061"', '"presence-update"', '"consumer-event"',
  '"%s"', '"*"',
}

local fields = { "Event-Category", "Event-Name", "Kind", "Sub_Kind" }

local function keyed_payload(r)
  local members = {}
  for _, field in ipairs(fields) do
    if r:chance(65) then members[#members + 1] = ('"%s":%s'):format(field, r:one_of(words)) end
  end
  if r:chance(40) then
    members[#members + 1] = r:one_of {
      '"Server-ID":""', '"Server-ID":"kamailio@a-targeted-1"', '"Server-ID":null', '"Server-ID":5',
      '"Server-ID":"consumer://b/c"',
      '"AMQP-Broker-Zone":"own"', '"AMQP-Received":5', '"Msg-ID":"m"', '"a":{"b":[1,{}]}', '"a":null', '"a":1.0',
      '"Channels":[{"switch_url":"u"},2]',
    }
  end
  local text = "{" .. table.concat(members, ",") .. "}"
  return r:chance(10) and text:gsub('"', "'") or text
end

local function make_case(r, id)
  local payload = r:weighted { { 75, keyed_payload }, { 25, payloads.make } }(r)
  return { id = id, subscription = r:one_of(subscription_names), payload = payload }
end

local keys = { "a.b", "", "#", "presence.caf\195\169", ("k"):rep(255), "two words", "a%2Eb", "$fU" }

-- With the names of fields that the subscriptions have.
local function mark(id)
  local members = {}
  for _, field in ipairs { "Event-Category", "Kind", "acl",
    "presence" } do members[#members + 1] = ('"%s":"compat"'):format(field) end
  for _, field in ipairs { "Event-Name", "Sub_Kind", "update" } do members[#members + 1] = ('"%s":"mark"'):format(field) end
  return ('{%s,"Case":"%s"}'):format(table.concat(members, ","), id)
end

-- ---- one group of cases: those of one subscription, with one routing key

local function received_at(text)
  local node = canonical.parse(text)
  if not node then return text end
  local at = node.kind == "object" and node.members["AMQP-Received"]
  if at and at.text:find("^%d%d%d%d%d%d%d%d%d%d$") then at.text = "now" end
  return canonical.write(node)
end

-- What one line of a route says, as aspects.
local function aspects(line)
  local found, i = {}, 0
  for part in line:match("compat|(.*)$"):gmatch("([^|]*)|") do
    i = i + 1
    local name = i == 1 and "route" or i == 2 and "$kzRK" or i == 3 and "$kzE" or read_there[i - 3] or "count"
    found[name] = i == 1 and part or pair.unhex(part)
  end
  if found["$kzE"] then found["$kzE"] = received_at(found["$kzE"]) end
  return found
end

-- Reads the new lines of the log: the events of each case that is over, and how many are.
local function collect(state, log, by_case)
  for line in log:sub(state.read + 1):gmatch("([^\n]*)\n") do
    state.read = state.read + #line + 1
    local id = line:match("compat mark (c%d+)|")
    if id then
      by_case[id], state.open, state.over = state.open, {}, state.over + 1
    elseif line:find("compat|", 1, true) and line:find("|$") then
      table.insert(state.open, aspects(line))
    end
  end
  return state.over
end

local function await_subscribed(client, subscription)
  wait.until_(function()
    local ok, _, consumers = pcall(client.queue, client, "ev." .. subscription, "passive")
    return ok and consumers and consumers > 0
  end, 20, "a consumer of ev." .. subscription)
end

-- Delivers the cases to one side from the first on; the number of the case that ended it, if one did, and how.
local function deliver(both, side, group, first, by_case)
  local client = amqp.client(pair.rabbit().urls[side])
  await_subscribed(client, group.subscription)
  local texts = {}
  for i = first, #group.cases do
    local payload = group.cases[i].payload
    if side == "ours" or not meant.kills(payload) then texts[#texts + 1] = payload end
    texts[#texts + 1] = mark(group.cases[i].id)
  end
  local server = both[side]
  local state = { read = #server:log(), open = {}, over = 0 }
  client:publish_all("ev." .. group.subscription, group.key, texts, { content_type = "application/json" })
  local left = #group.cases - first + 1
  while state.over < left do
    local before = state.over
    wait.for_(function() return collect(state, server:log(), by_case) > before or not server:alive() end, PATIENCE)
    if state.over == before then return first + state.over, both:revive(side) end
  end
end

local function deliver_all(both, side, group, by_case, deaths)
  local first = 1
  while first <= #group.cases do
    local at, word = deliver(both, side, group, first, by_case)
    if not at then return end
    deaths[group.cases[at].id] = word
    first = at + 1
  end
end

-- ---- the run

local function compare(stock, ours)
  if #stock ~= #ours then
    local function routes(list) return list[1] and list[1].route or "no route" end
    return { { use = "events", stock = routes(stock), ours = routes(ours) } }
  end
  local found = {}
  for i, one in ipairs(stock) do
    for _, name in ipairs { "route", "$kzRK", "$kzE", "count", unpack(read_there) } do
      if one[name] ~= ours[i][name] and #found == 0 then
        found[1] = { use = name, stock = tostring(one[name]), ours = tostring(ours[i][name]) }
      end
    end
  end
  return found
end

local function run_group(both, group, collector)
  local results, deaths = {}, { stock = {}, ours = {} }
  for _, side in ipairs(pair.sides) do
    results[side] = {}
    deliver_all(both, side, group, results[side], deaths[side])
  end
  for _, case in ipairs(group.cases) do
    collector:count(events.name)
    if meant.kills(case.payload) then
      collector:count_ours_only(events.name, case, not deaths.ours[case.id], deaths.ours[case.id])
    elseif deaths.stock[case.id] or deaths.ours[case.id] then
      collector:died(events.name, case, { stock = { died = deaths.stock[case.id] }, ours = { died = deaths.ours[case.id] } })
    else
      for _, one in ipairs(compare(results.stock[case.id] or {}, results.ours[case.id] or {})) do
        collector:difference { part = events.name, kind = one.use, stock = one.stock, ours = one.ours, case = case }
      end
    end
  end
end

local function groups_of(r, count, number)
  local by_name, list = {}, {}
  for i, case in ipairs(meant.cases(events.name)) do
    case.key = "m"
    list[i] = { subscription = case.subscription, key = "m", cases = { meant.named(case, "c"
      .. (number * 100000 + 90000 + i)) } }
  end
  for i = 1, count do
    local case = make_case(r, "c" .. (number * 100000 + i))
    local group = by_name[case.subscription]
    if not group or #group.cases >= 200 then
      group = { subscription = case.subscription, key = r:one_of(keys), cases = {} }
      by_name[case.subscription] = group
      list[#list + 1] = group
    end
    case.key = group.key
    table.insert(group.cases, case)
  end
  return list
end

function events.run(options, collector)
  local r = random.new(options.seed, "events")
  local sets = options.cases < 200 and 1 or #route_sets -- each takes a start of both servers
  for i = 1, sets do
    local number = (options.seed + i) % #route_sets + 1
    local routes = route_sets[number]
    local both = pair.start { cfg = function(side) return pair.kazoo(side) .. configuration(routes) end }
    for _, group in ipairs(groups_of(r, math.ceil(options.cases / sets), number)) do
      for _, case in ipairs(group.cases) do case.routes = "set " .. number end
      run_group(both, group, collector)
    end
    both:forget()
  end
end

return events
