-- What kazoo_subscribe makes of its description: each field absent, empty, of every type. Many subscriptions are made by
-- one start; what the broker lists for each, and whether a message comes, is compared.
local amqp = require "support.amqp"
local pair = require "compat.pair"
local random = require "compat.random"
local wait = require "support.wait"

local subscribe = { name = "subscribe" }

local BATCH = 48

local fields = {
  "exchange", "type", "queue", "routing", "auto_delete", "durable", "exclusive", "no_ack", "wait_for_consumer_ack",
  "event_key",
  "event_subkey", "federate", "consistent-worker", "consistent-worker-key", "exchange-def", "queue-def",
  "exchange-bindings", "name",
  "unknown", "passive",
}

-- ID stands for a name of this case.
local values = {
  "", '""', "null", '"ID.text"', "5", "0", "1", "-1", "1.5", "true", "false", '"1"', '"0"', '"true"', '"false"', "[]",
  '["ID.a"]',
  '["ID.a","b.#"]', "[5]", "[null]", '[["a"]]', "{}", '{"a":1}', "'ID.single'",
}

local more_values = {
  type = { '"topic"', '"direct"', '"fanout"', '"headers"', '"Topic"' },
  routing = { '"#"', '"*.b"', '["#","#"]', '"caf\195\169"', '["a","b","c"]' },
  ["exchange-def"] = {
    '{"name":"ID.def","type":"topic"}', '{"name":"ID.def","type":"fanout","durable":true}', '{"type":"direct"}',
    '{"name":"ID.def"}',
    '{"durable":1}', '{"auto_delete":1}', '{"name":"ID.def","type":"topic","auto_delete":true}', '{"name":null}',
    '{"internal":true}',
  },
  ["queue-def"] = {
    '{"name":"ID.def"}', '{"name":"ID.def","durable":true}', '{"durable":1}', '{"auto_delete":0}', '{"exclusive":true}',
    '{"name":""}',
    '{"name":"ID.def","arguments":{"x-max-length":5}}', '{"arguments":{"x-message-ttl":5000,"x-a":"b"}}',
    '{"arguments":{}}', '{"name":null}',
  },
  ["exchange-bindings"] = {
    '{"ID.src":{"type":"topic","routing":"a"}}', '{"ID.src":{"type":"topic","routing":["a","b"]}}',
    '{"ID.src":{"type":"fanout"}}',
    '{"ID.src":{"type":"fanout","routing":""}}',
    '{"ID.s1":{"type":"topic","routing":"#"},"ID.s2":{"type":"direct","routing":"a"}}',
    '{"ID.src":{"type":"topic","durable":true,"routing":"a"}}', '{"ID.src":{}}', '{"ID.src":"a"}',
  },
}

-- What makes the broker close the channel goes alone, since it may cost Debian's module all others.
local function is_alone(case) return case.set.passive ~= nil end

-- What kills Debian's module when it connects: no type that the broker knows, or definitions that are not what they
-- should be.
local function is_fatal(case)
  local set = case.set
  local kind = set.type
  if kind and not (kind == "" or kind == '"topic"' or kind == '"direct"' or kind == '"fanout"'
    or kind == '"headers"') then return true end
  local definition, bindings = set["exchange-def"], set["exchange-bindings"]
  if definition and definition ~= "" and not definition:find('"name":"', 1, true) then return true end
  return bindings ~= nil and bindings ~= "" and not bindings:find("^{.*{.*}}$")
end

-- ---- cases

local base = { exchange = '"ID.x"', type = '"topic"', queue = '"ID.q"', routing = '"ID.a"' }

local function description(case)
  local all, members = {}, {}
  for name, value in pairs(base) do all[name] = value end
  for name, value in pairs(case.set) do all[name] = value end
  for _, name in ipairs(fields) do
    if all[name] and all[name] ~= "" then members[#members + 1] = ('"%s":%s'):format(name, all[name]) end
  end
  return (("{" .. table.concat(members, ",") .. "}"):gsub("ID", case.id))
end

local function all_settings()
  local list = {}
  for _, field in ipairs(fields) do
    for _, some in ipairs { values, more_values[field] or {} } do
      for _, value in ipairs(some) do list[#list + 1] = { [field] = value } end
    end
  end
  return list
end

local function shuffle(r, list)
  for i = #list, 2, -1 do
    local k = r:number(1, i)
    list[i], list[k] = list[k], list[i]
  end
end

local kinds = { '"topic"', '"fanout"', '"direct"', '"headers"' }

-- Each value of each field once, in an order of the seed, then two of them at a time.
local function make_cases(r, count)
  local settings = all_settings()
  shuffle(r, settings)
  local cases = {}
  for i = 1, count do
    local set = {}
    for name, value in pairs(settings[(i - 1) % #settings + 1]) do set[name] = value end
    if i > #settings then
      for name, value in pairs(r:one_of(settings)) do set[name] = value end
    end
    if not set.type and r:chance(25) then set.type = r:one_of(kinds) end
    cases[i] = { id = ("c%ds%d"):format(i, r:number(1, 1e6)), set = set }
    cases[i].payload = description(cases[i])
  end
  return cases
end

-- ---- a batch

local function quoted(text) return '"' .. text:gsub('[\\"]', "\\%0") .. '"' end

local function configuration(cases, side)
  local parts = { "event_route[kazoo:mod-init] {\n" }
  for _, case in ipairs(cases) do
    if side == "ours" or not is_fatal(case) then
      parts[#parts + 1] = ('kazoo_subscribe(%s); xlog("L_NOTICE", "compat sub %s $rc|\\n");\n'):format(
        quoted(case.payload), case.id)
    end
  end
  parts[#parts + 1] = [[kazoo_subscribe("{'exchange':'ready', 'type':'topic', 'queue':'ready', 'routing':'#'}");]]
  parts[#parts + 1] = "\n}\nevent_route[kazoo:consumer-event-connection] { exit; }\n"
  parts[#parts + 1] = 'event_route[kazoo:consumer-event] { xlog("L_NOTICE", "compat event $(kzE{kz.json,Case})|\\n"); }\n'
  return table.concat(parts)
end

-- All exchanges, queues, bindings and consumers of both virtual hosts, by one call: rabbitmqctl takes its time to start.
-- A line is the virtual host, the kind, and what is to be known, divided by tabs.
local lists = [==[
Text = fun(X) when is_binary(X) -> X; (X) -> io_lib:format("~w", [X]) end,
Print = fun(V, Kind, Items) ->
  io:format("~s\t~s\t~s~n", [V, Kind, lists:join("\t", [Text(X) || X <- Items])]) end,
All = fun(V, Kind, Name, Keys, Rows) ->
  [Print(V, Kind, [element(4, proplists:get_value(Name, P)) | [proplists:get_value(K, P) || K <- Keys]])
    || P <- Rows, is_list(P)] end,
lists:foreach(fun(V) ->
  Exchange = [name, type, durable, auto_delete, internal, arguments],
  Queue = [name, durable, auto_delete, exclusive, arguments],
  Binding = [source_name, destination_name, destination_kind, routing_key, arguments],
  All(V, exchange, name, tl(Exchange), rabbit_exchange:info_all(V, Exchange)),
  All(V, queue, name, tl(Queue), rabbit_amqqueue:info_all(V, Queue)),
  [Print(V, binding, [proplists:get_value(K, P) || K <- Binding]) || P <- rabbit_binding:info_all(V, Binding)],
  All(V, consumer, queue_name, [ack_required, prefetch_count, arguments], rabbit_amqqueue:consumers_all(V))
end, [<<"stock">>, <<"ours">>]), ok.]==]

local function masked(row) return (row:gsub("amq%.gen%-[%w%-_]+", "amq.gen")) end

local function put(by_case, id, kind, row)
  by_case[id] = by_case[id] or {}
  by_case[id][kind] = by_case[id][kind] or {}
  table.insert(by_case[id][kind], masked(row))
end

local function joined(by_case)
  for _, rows in pairs(by_case) do
    for kind, some in pairs(rows) do
      table.sort(some)
      rows[kind] = table.concat(some, "; ")
    end
  end
  return by_case
end

-- The rows that name a case, by side, case and kind. A queue that the broker named is found by its binding.
local function listed()
  local by_side, owner, rows = { stock = {}, ours = {} }, {}, {}
  for line in pair.rabbit():ctl("eval", lists):gmatch("[^\n]+") do
    local side, kind, row = line:match("^(%l+)\t(%l+)\t(.*)$")
    if side then rows[#rows + 1] = { side, kind, row } end
    local id, name = line:match("(c%d+s%d+)"), line:match("(amq%.gen%-[%w%-_]+)")
    if kind == "binding" and id and name then owner[name] = id end
  end
  for _, row in ipairs(rows) do
    local id = row[3]:match("(c%d+s%d+)") or owner[row[3]:match("(amq%.gen%-[%w%-_]+)")]
    if id and by_side[row[1]] then put(by_side[row[1]], id, row[2], row[3]) end
  end
  return { stock = joined(by_side.stock), ours = joined(by_side.ours) }
end

local function is_ready(side)
  local client = amqp.client(pair.rabbit().urls[side])
  return wait.for_(function()
    local ok, _, consumers = pcall(client.queue, client, "ready", "passive")
    return ok and consumers and consumers > 0
  end, 12) ~= nil
end

-- Sends a message to each exchange of each case, with the key of the binding that it has.
local function send(side, by_case)
  local client = amqp.client(pair.rabbit().urls[side])
  for id, rows in pairs(by_case) do
    for binding in (rows.binding or ""):gmatch("[^;]+") do
      local source, key = binding:match("^%s*([^\t]*)\t[^\t]*\tqueue\t([^\t]*)")
      if source and source ~= "" then
        pcall(client.publish, client, source, key, ('{"Event-Category":"x","Case":"%s"}'):format(id))
      end
    end
  end
  client:publish("ready", "a", '{"Case":"ready"}')
end

-- Adds to the rows of each case the result of the function and the number of events.
local function add_results(server, side, cases, by_case)
  send(side, by_case)
  pcall(server.wait_log, server, "compat event ready|", 5)
  local log = server:log()
  for _, case in ipairs(cases) do
    local rows = by_case[case.id] or {}
    by_case[case.id] = rows
    rows.result = log:match("compat sub " .. case.id .. " (%-?%d+)|")
    local _, count = log:gsub("compat event " .. case.id .. "|", "")
    rows.events = tostring(count)
  end
end

local kinds_of_rows = { "result", "exchange", "queue", "binding", "consumer", "events" }

local function all_rows(rows)
  local parts = {}
  for _, kind in ipairs(kinds_of_rows) do parts[#parts + 1] = ("%s: %s"):format(kind, rows[kind] or "none") end
  return table.concat(parts, " | ")
end

-- At most one {use, stock, ours}.
local function compare(stock, ours)
  for _, kind in ipairs(kinds_of_rows) do
    if stock[kind] ~= ours[kind] then
      if kind == "result" then return { use = kind, stock = all_rows(stock), ours = all_rows(ours) } end
      return { use = kind, stock = stock[kind] or "none", ours = ours[kind] or "none" }
    end
  end
end

local function settle(case, stock, ours, collector)
  collector:count(subscribe.name)
  if is_fatal(case) then return collector:count_ours_only(subscribe.name, case, ours.result, "no result") end
  local found = compare(stock, ours)
  if not found then return end
  local function masked_id(text) return (text:gsub(case.id, "ID")) end
  collector:difference {
    part = subscribe.name, kind = found.use, stock = masked_id(found.stock), ours = masked_id(found.ours), case = case,
  }
end

local run_batch

-- Debian's module did not get through: which one of them is it?
local function divide(cases, collector)
  if #cases == 1 then
    collector:count(subscribe.name)
    return collector:died(subscribe.name, cases[1], { stock = { died = "dies, or makes no further subscription" } })
  end
  local half = math.floor(#cases / 2)
  run_batch({ unpack(cases, 1, half) }, collector)
  run_batch({ unpack(cases, half + 1) }, collector)
end

function run_batch(cases, collector)
  local both = pair.start { cfg = function(side) return pair.kazoo(side) .. configuration(cases, side) end, fragile = true }
  if not both then return divide(cases, collector) end
  local ready = { stock = is_ready "stock", ours = is_ready "ours" }
  if not ready.ours then error("compat: our module does not get through the subscriptions:\n"
    .. both.ours:log():sub(-4000), 0) end
  if not ready.stock then
    both:forget()
    return divide(cases, collector)
  end
  local all = listed()
  for _, side in ipairs(pair.sides) do add_results(both[side], side, cases, all[side]) end
  for _, case in ipairs(cases) do settle(case, all.stock[case.id], all.ours[case.id], collector) end
  both:forget()
end

function subscribe.run(options, collector)
  local cases = make_cases(random.new(options.seed, "subscribe"), options.cases)
  local batch = {}
  local function flush()
    if #batch > 0 then run_batch(batch, collector) end
    batch = {}
  end
  for _, case in ipairs(cases) do
    if is_alone(case) then
      run_batch({ case }, collector)
    else
      batch[#batch + 1] = case
      if #batch == BATCH then flush() end
    end
  end
  flush()
end

return subscribe
