-- What subscribers get of nats_publish, and what event routes read of what others publish. The nats_publish of Debian 12
-- takes two parameters only.
local meant = require "compat.meant"
local nats_client = require "support.nats_client"
local pair = require "compat.pair"
local payloads = require "compat.payloads"
local random = require "compat.random"
local wait = require "support.wait"

local nats = { name = "nats" }

local forms = {
  quoted = 'nats_publish("$var(s)", "$rb");',
  unquoted = 'nats_publish($var(s), $rb);',
  ["in a $var"] = '$var(p) = $rb; nats_publish("$var(s)", "$var(p)");',
  ["in an $avp"] = '$avp(p) = $rb; $avp(s) = $var(s); nats_publish("$avp(s)", $avp(p));',
  ["expressions"] = 'nats_publish("a." + $var(s), $rb + "");',
  ["texts with variables"] = 'nats_publish("pre.$var(s)", "<$rb> $fU");',
  ["literal subject"] = 'nats_publish("literal", "$rb");',
  ["built"] = '$var(p) = "$ci=" + "x" + " $fU=" + $fU; nats_publish("$var(s)", "$var(p)");',
  ["nothing"] = 'nats_publish("$var(s)", "$hdr(X-No)");',
  ["a number"] = '$var(n) = 5; nats_publish("$var(s)", $var(n));',
}

local form_names = {}
for name in pairs(forms) do form_names[#form_names + 1] = name end
table.sort(form_names)

local subjects = { "ev", "MyQueue1", "Kamailio-World", "under_score" }

-- The line ends with a bar, so that one that is cut off is no line.
local function event_route(subject)
  return ([[
event_route[nats:%s] {
  if ($natsData =~ "^mark c") {
    xlog("L_NOTICE", "compat %s $natsData|\n");
  } else {
    $var(null) = 0;
    if ($natsData == $null) $var(null) = 1;
    $var(v) = $natsData;
    $avp(v) = $natsData;
    $var(sum) = "a" + $natsData + "b";
    xlog("L_NOTICE", "compat|%s|$(natsData{s.encode.hexa})|$(var(sum){s.encode.hexa})|$(natsData{s.len})|"
      "$var(null)|$(var(v){s.encode.hexa})|$(avp(v){s.len})|\n");
  }
}
]]):format(subject, subject, subject)
end

local settings = [[
loadmodule "nats.so"
modparam("nats", "nats_url", "%s")
%s
modparam("xlog", "buf_size", 262144)
pv_buffer_size=65536
request_route {
  $var(s) = $(hdr(X-Subject){s.decode.hexa});
  $var(rc) = 0;
  $var(route) = $rU;
  route($var(route));
  set_reply_body("$var(rc)", "text/plain");
  sl_send_reply("200", "OK");
  exit;
}
]]

local function configuration(side)
  local groups = {}
  for i, subject in ipairs(subjects) do groups[i] = ('modparam("nats", "subject_queue_group", "%s:g")'):format(subject) end
  local parts = { settings:format(pair.nats()[side].url, table.concat(groups, "\n")) }
  for i, name in ipairs(form_names) do parts[#parts + 1] = ("route[F%d] {\n%s\n$var(rc) = $rc;\n}\n"):format(i,
    forms[name]) end
  for _, subject in ipairs(subjects) do parts[#parts + 1] = event_route(subject) end
  return table.concat(parts)
end

-- ---- publishing

local odd_subjects = { "", "a b", ".", "a..b", ".a", "a.", "*", "a.*", ">", "a.>", "caf\195\169.x", "a\tb", ("s"):rep(300),
  "$fU", "_INBOX.a", "a\0b", "a\r\nb" }

local function make_case(r, id)
  local form = r:one_of(form_names)
  local case = { id = id, form = form, subject = "s." .. id, payload = id .. " " .. (payloads.make(r)) }
  if r:chance(10) then case.payload = r:bytes(r:number(0, 20)) end
  if r:chance(15) then
    case.payload, case.subject = id, r:one_of(odd_subjects)
  end
  return case
end

local function listeners()
  local clients = {}
  for _, side in ipairs(pair.sides) do
    clients[side] = nats_client.connect { port = pair.nats()[side].port }
    clients[side]:sub(">")
    clients[side]:flush()
  end
  return clients
end

local numbers = {}
for i, name in ipairs(form_names) do numbers[name] = i end

local function fields(case)
  return {
    route = "F" .. numbers[case.form], body = case.payload,
    headers = { "X-Subject: " .. pair.hex(case.subject) },
  }
end

local function case_of(message) return message.subject:match("(c%d+)$") or message.payload:match("(c%d+)") or "?" end

local function received(client)
  local by_case = {}
  while true do
    local message = client:next(1)
    if not message then return by_case end
    local id = case_of(message)
    by_case[id] = by_case[id] or {}
    table.insert(by_case[id], { subject = message.subject, payload = message.payload, reply = message.reply or "none" })
  end
end

-- A list with at most one {use, stock, ours}.
local function compare_messages(rcs, stock, ours)
  if rcs.stock ~= rcs.ours or #stock ~= #ours then
    return { { use = "messages", stock = ("%s, %d"):format(rcs.stock, #stock), ours = ("%s, %d"):format(rcs.ours, #ours) } }
  end
  for _, name in ipairs { "subject", "payload", "reply" } do
    for i, message in ipairs(stock) do
      if message[name] ~= ours[i][name] then return { { use = name, stock = message[name], ours = ours[i][name] } } end
    end
  end
  return {}
end

local function publish_cases(both, r, options, collector)
  local clients = listeners()
  local cases, rcs = {}, {}
  for i, case in ipairs(meant.cases(nats.name)) do cases[i] = meant.named(case, "c" .. i) end
  for i = #cases + 1, #cases + math.ceil(options.cases / 2) do cases[i] = make_case(r, "c" .. i) end
  for i, case in ipairs(cases) do rcs[i] = both:ask(fields(case)) end
  local stock, ours = received(clients.stock), received(clients.ours)
  for i, case in ipairs(cases) do
    collector:count(nats.name)
    if type(rcs[i].stock) ~= "string" or type(rcs[i].ours) ~= "string" then
      collector:died(nats.name, case, rcs[i])
    else
      for _, one in ipairs(compare_messages(rcs[i], stock[case.id] or {}, ours[case.id] or {})) do
        collector:difference { part = nats.name, kind = one.use, stock = one.stock, ours = one.ours, case = case }
      end
    end
  end
  for _, side in ipairs(pair.sides) do clients[side]:close() end
end

-- ---- events

local function await_marks(server, subject, last)
  return wait.for_(function() return server:log():find(("compat %s mark %s|"):format(subject, last), 1, true) end, 10)
end

local function events_of(log, subject)
  local by_case, open = {}, {}
  for line in log:gmatch("([^\n]*)\n") do
    local id = line:match("compat " .. subject:gsub("%-", "%%-") .. " mark (c%d+)|")
    local text = line:match("compat|" .. subject:gsub("%-", "%%-") .. "|(.*)|$")
    if id then
      by_case[id], open = table.concat(open, ";"), {}
    elseif text then
      open[#open + 1] = text
    end
  end
  return by_case
end

local function deliver(side, subject, cases)
  local client = nats_client.connect { port = pair.nats()[side].port }
  for _, case in ipairs(cases) do
    client:pub(subject, case.payload, case.reply)
    client:pub(subject, "mark " .. case.id)
  end
  client:flush()
  client:close()
end

local function event_cases(both, r, options, collector)
  local count = math.ceil(options.cases / 2 / #subjects)
  for number, subject in ipairs(subjects) do
    local cases = {}
    for i = 1, count do
      cases[i] = { id = "c" .. (number * 100000 + i), payload = (payloads.make(r)), form = "event " .. subject,
        subject = subject }
      if r:chance(20) then cases[i].payload = r:bytes(r:number(0, 300)) end
      if r:chance(20) then cases[i].reply = "reply.to" end
    end
    local results = {}
    for _, side in ipairs(pair.sides) do
      deliver(side, subject, cases)
      if not await_marks(both[side], subject, cases[#cases].id) then
        collector:died(nats.name, { id = "all of " .. subject }, { [side] = { died = "not all events came" } })
      end
      results[side] = events_of(both[side]:log(), subject)
    end
    for _, case in ipairs(cases) do
      collector:count(nats.name)
      local stock, ours = results.stock[case.id] or "none", results.ours[case.id] or "none"
      if stock ~= ours then collector:difference { part = nats.name, kind = "event", stock = stock, ours = ours,
        case = case } end
    end
  end
end

function nats.run(options, collector)
  local r = random.new(options.seed, "nats")
  local both = pair.start { cfg = configuration }
  for _, side in ipairs(pair.sides) do
    local client = nats_client.connect { port = pair.nats()[side].port }
    for _, subject in ipairs(subjects) do
      wait.until_(function()
        client:pub(subject, "mark c0")
        client:flush()
        return both[side]:log():find(("compat %s mark c0|"):format(subject), 1, true)
      end, 20, "a subscription of " .. subject)
    end
    client:close()
  end
  publish_cases(both, r, options, collector)
  event_cases(both, r, options, collector)
  both:forget()
end

return nats
