-- What subscribers see of kazoo_publish, for all forms in which scripts give its parameters.
local amqp = require "support.amqp"
local canonical = require "compat.canonical"
local meant = require "compat.meant"
local pair = require "compat.pair"
local payloads = require "compat.payloads"
local random = require "compat.random"

local publish = { name = "publish" }

local forms = {
  quoted = 'kazoo_publish("$var(x)", "$var(k)", "$rb");',
  unquoted = 'kazoo_publish($var(x), $var(k), $rb);',
  ["in a $var"] = '$var(p) = $rb; kazoo_publish("$var(x)", "$var(k)", "$var(p)");',
  ["in a $var, unquoted"] = '$var(p) = $rb; kazoo_publish($var(x), $var(k), $var(p));',
  ["in an $avp"] = '$avp(p) = $rb; $avp(k) = $var(k); kazoo_publish("$var(x)", "$avp(k)", "$avp(p)");',
  ["in an $xavp"] = '$xavp(m=>p) = $rb; $xavp(m[0]=>k) = $var(k); kazoo_publish("$var(x)", $xavp(m=>k), $xavp(m=>p));',
  ["of headers"] = 'kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", "$rb");',
  ["expressions"] = 'kazoo_publish("" + $var(x), "a." + $var(k), $rb + "");',
  ["texts with variables"] = 'kazoo_publish("$var(x)", "pre.$var(k).post", " $rb ");',
  ["literal exchange"] = 'kazoo_publish("compat", "$var(k)", "$rb");',
  ["built"] = [[$var(n) = $(hdr(X-Case){s.len}); kazoo_publish("$var(x)", "$var(k)",
    "{'Case':'$hdr(X-Case)', 'User':'$fU', 'Key':'$var(k)', 'Nothing':'$hdr(X-No)', 'n':$var(n), 'Empty':''}");]],
  ["built with $_s"] = [[
    $var(n) = $(hdr(X-Case){s.len});
    $var(p) = $_s({"Case" : "$hdr(X-Case)", "User" : "$fU", "Nothing" : "$(hdr(X-No){s.trim})", "n" : $var(n)});
    kazoo_publish("$var(x)", $var(k), $var(p));]],
  ["added up"] = [[$var(p) = "{'Case' : '" + $hdr(X-Case) + "', 'Realm': '" + $fd + "', 'Active-Only' : false }";
    kazoo_publish($var(x), $var(k), $var(p));]],
  ["encoded key"] = 'kazoo_publish("$var(x)", "e.$(var(k){kz.encode})", "$rb");',
  ["encoded key, added up"] = 'kazoo_publish("$var(x)", "e." + $(var(k){kz.encode}), $rb);',
  ["number as key"] = '$var(n) = 5; kazoo_publish("$var(x)", $var(n), $rb);',
  ["headers quoted"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", "$var(h)");',
  ["headers unquoted"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", $var(h));',
  ["headers literal"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", "key1=value1;key2=$fU");',
  ["headers a number"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", "2048");',
  ["key of nothing"] = 'kazoo_publish("$var(x)", "$hdr(X-No)", "$rb");',
  ["key of nothing, unquoted"] = 'kazoo_publish("$var(x)", $hdr(X-No), $rb);',
  ["payload of nothing"] = 'kazoo_publish("$var(x)", "$var(k)", "$hdr(X-No)");',
  ["headers of nothing"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", "$hdr(X-No)");',
  ["headers of nothing, unquoted"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", $hdr(X-No));',
  ["headers empty"] = 'kazoo_publish("$var(x)", "$var(k)", "$rb", "");',
}

local form_names = {}
for name in pairs(forms) do form_names[#form_names + 1] = name end
table.sort(form_names)

local settings = [[
pv_buffer_size=65536
request_route {
  $var(x) = $(hdr(X-Exchange));
  $var(k) = $(hdr(X-Key-Hex){s.decode.hexa});
  $var(h) = $(hdr(X-Headers-Hex){s.decode.hexa});
  $var(rc) = 0;
  $var(route) = $rU;
  route($var(route));
  set_reply_body("$var(rc)", "text/plain");
  sl_send_reply("200", "OK");
  exit;
}
event_route[kazoo:consumer-event] { exit; }
]]

local function configuration(side)
  local parts = { pair.kazoo(side), settings }
  for i, name in ipairs(form_names) do parts[#parts + 1] = ("route[F%d] {\n%s\n$var(rc) = $rc;\n}\n"):format(i,
    forms[name]) end
  return table.concat(parts)
end

-- ---- cases

local odd_keys = {
  "", "a", "a.b.c", "with blank", "#", "*", "a.#", "caf\195\169", "\255", "a/b", "a%2Eb", "$fU", ("k"):rep(200),
  ("k"):rep(255), ("k"):rep(256),
  ("k"):rep(300), "consumer://", "consumer://x", "consumer://local/a", "consumer://127.0.0.1/a", "a:b", "a;b=c", "'q'",
    "\"", "a\0b",
}

local header_lists = {
  "", "a=b", "a=b;c=d", "a=b;c=d;", ";a=b", "a", "=b", "a=", "=", ";", ";;", "a=b=c", " a = b ", "a=b; c=d", "2048", "0",
  "a=1;a=2",
  "a=caf\195\169", "a=b,c", "x-match=all", "a=b;c", ("a=" .. ("v"):rep(300)), (("n"):rep(200) .. "=v"), "a='b'", "a=\"b\"",
  "a=b\nc=d",
}

-- A payload that tells its case, or nil when it is to be found by its routing key.
local function with_case(text, id)
  local member, rest = text:match("^(%s*{%s*)(.*)$")
  if not member then return nil end
  return ('%s"Case":"%s"%s%s'):format(member, id, rest:find("^}") and "" or ",", rest)
end

local own_fields = { "App-Name", "App-Version", "Node", "Msg-ID", "Server-ID", "Event-Category", "Event-Name" }

local function some_payload(r, id)
  if r:chance(15) then
    local value = r:one_of { '""', "null", '"own"', "5", "{}", "true" }
    return ('{"Case":"%s","%s":%s}'):format(id, r:one_of(own_fields), value)
  end
  return (payloads.make(r))
end

-- Of exchange, key, headers and payload one is odd; another tells the case.
local function make_case(r, id)
  local name = r:one_of(form_names)
  local case = { id = id, form = name, exchange = "compat", key = "k." .. id, headers = "h=" .. id, payload = '{"Case":"'
    .. id .. '"}' }
  local odd = r:weighted { { 60, "payload" }, { 15, "key" }, { 5, "exchange" }, { 20, "headers" } }
  if odd == "payload" then
    local text = some_payload(r, id)
    case.payload = r:chance(50) and with_case(text, id) or text
  elseif odd == "key" then
    case.key = r:one_of(odd_keys)
  elseif odd == "headers" then
    case.form, case.headers = r:one_of { "headers quoted", "headers unquoted" }, r:one_of(header_lists)
  else
    case.exchange = r:one_of { "compat.fanout", "amq.fanout", "" }
    if case.exchange == "" then case.key = "all" end
  end
  return case
end

local form_numbers = {}
for i, name in ipairs(form_names) do form_numbers[name] = i end

local function fields(case)
  return {
    route = "F" .. form_numbers[case.form], body = case.payload,
    headers = {
      "X-Case: " .. case.id, "X-Exchange: " .. case.exchange, "X-Key: " .. case.key:gsub("[%c]", ""), "X-Key-Hex: "
      .. pair.hex(case.key),
      "X-Headers-Hex: " .. pair.hex(case.headers),
    },
  }
end

-- ---- what came out

local UUID = "^%x+%-%x+%-%x+%-%x+%-%x+$"

local generated = {
  ["Msg-ID"] = { UUID, "a UUID" },
  ["Server-ID"] = { "^kamailio@compat%.example%-.*targeted%-%d+$", "the reply address" },
  ["App-Version"] = { "^%d+%.%d+%.%d+", "the version" },
}

local function masked(text)
  local node = canonical.parse(text)
  if not node then return text end
  for name, rule in pairs(node.kind == "object" and generated or {}) do
    local field = node.members[name]
    if field and field.kind == "string" and field.text:find(rule[1]) then field.text = rule[2] end
  end
  return canonical.write(node)
end

local not_compared = { payload = true, redelivered = true }

local function flat(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for name, item in pairs(value) do parts[#parts + 1] = ("%s=%s"):format(name, flat(item)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ";") .. "}"
end

-- A message as aspects: payload, exchange, routing_key and each property that it has.
local function aspects(message)
  local found = { payload = masked(message.payload) }
  for name, value in pairs(message) do
    if not not_compared[name] then found[name] = flat(value) end
  end
  if found.message_id and found.message_id:find(UUID) then found.message_id = "a UUID" end
  if found.reply_to and found.reply_to:find("targeted%-%d+$") then found.reply_to = "the reply address" end
  return found
end

local function case_of(message)
  return message.payload:match('"Case"%s*:%s*"(c%d+)"') or message.routing_key:match("(c%d+)[.post]*$")
end

-- All that came into the queue of one side, by case: lists of messages as aspects.
local function received(side)
  local by_case = {}
  for _, message in ipairs(amqp.client(pair.rabbit().urls[side]):drain("all", 1)) do
    local id = case_of(message) or "?"
    by_case[id] = by_case[id] or {}
    table.insert(by_case[id], aspects(message))
  end
  return by_case
end

local function declare(side)
  local client = amqp.client(pair.rabbit().urls[side])
  client:queue("all")
  for _, exchange in ipairs { { "compat", "topic" }, { "compat.fanout", "fanout" } } do
    client:exchange(exchange[1], exchange[2])
    client:bind("all", exchange[1], "#")
  end
  client:bind("all", "amq.fanout", "")
end

-- ---- the run

local function names_of(...)
  local seen, names = {}, {}
  for _, one in ipairs { ... } do
    for name in pairs(one) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

-- A list of {use, stock, ours}.
local function compare(rcs, stock, ours)
  local found = {}
  local function differ(use, one, other)
    if one ~= other then found[#found + 1] = { use = use, stock = one, ours = other } end
  end
  differ("result", rcs.stock, rcs.ours)
  differ("messages", tostring(#stock), tostring(#ours))
  if stock[1] and ours[1] then
    for _, name in ipairs(names_of(stock[1], ours[1])) do differ(name, stock[1][name], ours[1][name]) end
  elseif #found == 2 then
    found[1] = nil -- of what is refused nothing comes
    found = { found[2] }
    found[1].stock, found[1].ours = rcs.stock .. ", " .. #stock, rcs.ours .. ", " .. #ours
  end
  return found
end

local function settle_case(case, replies, stock, ours, collector)
  if type(replies.stock) ~= "string" or type(replies.ours) ~= "string" then
    return collector:died(publish.name, case, replies)
  end
  for _, one in ipairs(compare(replies, stock, ours)) do
    collector:difference { part = publish.name, kind = one.use, stock = tostring(one.stock), ours = tostring(one.ours),
      case = case }
  end
end

-- A payload that is no object, and a broker that does not exist, hang or kill Debian's module.
local function kills(case) return meant.kills(case.payload) or case.key:find("^consumer://[^/]*/") ~= nil end

local function run_case(both, case, collector)
  collector:count(publish.name)
  if not kills(case) then return both:ask(fields(case)) end
  local body, word = both:ask_one("ours", fields(case))
  collector:count_ours_only(publish.name, case, body, word)
end

function publish.run(options, collector)
  local r = random.new(options.seed, "publish")
  for _, side in ipairs(pair.sides) do declare(side) end
  local both = pair.start { cfg = configuration }
  local cases, replies = {}, {}
  for i, case in ipairs(meant.cases(publish.name)) do cases[i] = meant.named(case, "c" .. i) end
  for i = #cases + 1, #cases + options.cases do cases[i] = make_case(r, "c" .. i) end
  for i, case in ipairs(cases) do replies[i] = run_case(both, case, collector) end
  local all = { stock = received "stock", ours = received "ours" }
  for i, case in ipairs(cases) do
    if replies[i] then settle_case(case, replies[i], all.stock[case.id] or {}, all.ours[case.id] or {}, collector) end
  end
  both:forget()
end

return publish
