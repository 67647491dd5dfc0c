-- What differs on purpose. docs/compat.md says why, under the same names; each has a case that shows that it is still so.
-- An entry: part, case (as the part makes them), matches(difference) with difference = {part, kind, stock, ours, case};
-- sometimes = true when it takes a certain history to see it.
local canonical = require "compat.canonical"

local meant = {}

meant.list = {}
meant.by_name = {}

local function add(name, entry)
  entry.name = name
  entry.case.meant = name
  table.insert(meant.list, entry)
  meant.by_name[name] = entry
end

local function is_part(...)
  local names = { ... }
  return function(difference)
    for _, name in ipairs(names) do
      if difference.part == name then return true end
    end
    return false
  end
end

local json, publish, nats, events = is_part "json", is_part "publish", is_part "nats", is_part "events"

-- "%)B" for a byte from 0x80 on: what Debian's module makes of it, in place of two hexadecimal digits.
local function signed_codes(text)
  return (text:gsub("%%(.)(.)", function(high, low)
    if (high .. low):find("^%x%x$") then return nil end
    return "%??"
  end))
end

local function right_codes_masked(text)
  return (text:gsub("%%[89A-F]%x", "%%??"))
end

add("encode-bytes", {
  part = "json", case = { route = "ENCODE", payload = "caf\195\169", path = "" },
  matches = function(d)
    if not ((json(d) and (d.kind:find("encode", 1, true))) or (publish(d) and d.kind == "routing_key")) then return false end
    return signed_codes(d.stock) ~= d.stock and signed_codes(d.stock):sub(1, 200) == right_codes_masked(d.ours):sub(1, 200)
  end,
})

add("encode-length", {
  part = "json", case = { route = "ENCODE", payload = ("."):rep(90), path = "" },
  matches = function(d)
    return json(d) and d.kind:find("encode", 1, true) ~= nil and d.kind:find("strlen", 1, true) == nil and #d.stock >= 250
      and #d.ours > #d.stock and signed_codes(d.stock):sub(1, 250) == right_codes_masked(d.ours):sub(1, 250)
      or json(d) and d.kind:find("encode}? strlen") ~= nil and d.stock == "255" and tonumber(d.ours) > 255
  end,
})

add("text-is-text", {
  part = "publish", case = { form = "unquoted", exchange = "compat", key = "$fU", payload = '{"Case":"ID"}', headers = "" },
  matches = function(d)
    local text = publish(d) and (d.kind == "routing_key" and d.case.key or d.kind == "payload" and d.case.payload)
      or json(d) and d.kind:find("^kazoo_encode") and d.case.payload
    return text and text:find("$", 1, true) ~= nil
  end,
})

-- A number that 64 bits do not hold, as Debian's module has it.
local function clamped(text)
  return text:find("18446744073709551615", 1, true) or text:find("-?9223372036854775808")
    or text:find("9223372036854775807", 1, true)
end

-- -0 as Debian's module has it: 0 (but not -0.5 or -0.0).
local function without_minus(text)
  return ((text .. " "):gsub("%-0([^%d.eE])", "0%1"):gsub(" $", ""))
end

add("numbers", {
  part = "publish",
  case = {
    form = "quoted", exchange = "compat", key = "k.ID", payload = '{"Case":"ID","n":100000000000000000000000}', headers = "",
  },
  matches = function(d)
    if d.stock == d.ours then return false end
    return clamped(d.stock) ~= nil and not clamped(d.ours) and d.ours:find("%d%d%d%d%d%d%d%d%d%d%d") ~= nil
      or without_minus(d.stock) == without_minus(d.ours) or json(d) and d.case.payload:find("%-0[^%d.]") ~= nil
      and without_minus(d.ours):gsub("%s", "") == d.stock:gsub("%s", "")
  end,
})

add("persistent", {
  part = "publish", case = { form = "quoted", exchange = "compat", key = "k.ID", payload = '{"Case":"ID"}', headers = "" },
  matches = function(d) return publish(d) and d.kind == "delivery_mode" and d.stock == "nil" and d.ours == "2" end,
})

-- What is left of a header list when its values end at the first "=" or not, and have blanks around them or not.
local function bare(text) return (text:gsub("=[^;{}]*", ""):gsub("[%s{}]", "")) end

local function same_names(one, other)
  local names = {}
  for _, text in ipairs { one, other } do
    local list = {}
    for name in bare(text):gmatch("[^;]+") do list[#list + 1] = name end
    table.sort(list)
    names[#names + 1] = table.concat(list, ";")
  end
  return names[1] == names[2]
end

local REPLACED = "\239\191\189"

add("utf-8", {
  part = "publish", case = { form = "quoted", exchange = "compat", key = "k.ID", payload = '{"Case":"ID","a":"\255"}',
    headers = "" },
  matches = function(d)
    local function bare_letters(text) return (text:gsub("[\128-\255]+", "?")) end
    return d.ours:find(REPLACED, 1, true) ~= nil and d.stock:find(REPLACED, 1, true) == nil
      and bare_letters(d.stock) == bare_letters(d.ours)
  end,
})

add("header-values", {
  part = "publish", case = { form = "headers quoted", exchange = "compat", key = "k.ID", payload = '{"Case":"ID"}',
    headers = "a=b=c; d = e" },
  matches = function(d)
    return publish(d) and d.kind == "headers" and d.case.headers:find("=.-=", 1) ~= nil and same_names(d.stock, d.ours)
      or publish(d) and d.kind == "headers" and d.case.headers:find("%s") ~= nil and same_names(d.stock, d.ours)
  end,
})

-- Debian's module finds nothing in this JSON and ours something: then all uses of it differ.
local function found_by_ours_alone(d)
  local family = d.kind:match("^%S+")
  local explained = d.case.explained or {}
  d.case.explained = explained
  local nothing = d.stock == "[]" or d.stock:find("^%-?1 %[0%]") or d.stock:find("^%-?1 %[before%]") or d.stock == ""
  if nothing and not d.ours:find("<null>", 1, true) and not d.ours:find("%[0?%]") and not d.ours:find("^%-1") then
    explained[family] = true
  end
  return explained[family] == true
end

local function has_nul(text) return text ~= nil and text:find("\0", 1, true) ~= nil end

add("nul-bytes", {
  part = "publish", case = { form = "quoted", exchange = "compat", key = "a\0b", payload = '{"Case":"ID"}', headers = "" },
  matches = function(d)
    return publish(d) and d.kind == "payload" and d.case.payload:find("\\u0000", 1, true) ~= nil
      or publish(d) and (d.kind == "routing_key" and has_nul(d.case.key) or d.kind == "headers"
      and has_nul(d.case.headers))
      or json(d) and found_by_ours_alone(d) and (has_nul(d.case.payload) or d.case.payload:find("\\u0000", 1, true) ~= nil)
      or nats(d) and (has_nul(d.case.payload) or has_nul(d.case.subject))
  end,
})

-- What ours reads and json-c does not: it stops at 32 levels, and at a quote that is escaped in single quotes.
local function reads_more(d)
  return d.case.payload ~= nil and (d.case.payload:find("\\'", 1, true) ~= nil
    or d.case.payload:find(("%["):rep(30)) ~= nil or d.case.payload:find(("{%s*[\"'][^\"']*[\"']%s*:%s*"):rep(30)) ~= nil)
end

add("deep-payloads", {
  part = "publish",
  case = { form = "quoted", exchange = "compat", key = "k.ID", payload = '{"Case":"ID","a":' .. ("["):rep(40)
    .. ("]"):rep(40) .. "}", headers = "" },
  matches = function(d)
    if not reads_more(d) then return false end
    return publish(d) and (d.kind == "messages" or d.kind == "result") and d.stock:find("-1", 1, true) == 1
      or events(d) and d.kind == "events" and d.stock == "no route"
      or json(d) and found_by_ours_alone(d)
  end,
})

add("paths", {
  part = "json", case = { route = "READ", payload = '{"a":[["x","y"]]}', path = "a[0][1]" },
  matches = function(d)
    return json(d) and (d.case.path:find("%]%[") ~= nil or d.case.path:find("^%[") ~= nil
      and d.case.payload:find("^%s*%[") ~= nil)
  end,
})

add("count-text", {
  part = "json", case = { route = "READ", payload = '{"a":[1,2]}', path = "a" },
  matches = function(d)
    return json(d) and d.kind == "{kz.json.count} quotes" and d.stock == "[]" and d.ours:find("^%[%d+%]$") ~= nil
  end,
})

add("keys-targets", {
  part = "json", case = { route = "KEYS_OF", payload = '{"a":{"b":1}}', path = "a" },
  matches = function(d)
    return json(d) and d.kind:find("^kazoo_json_keys") ~= nil and d.kind:find("$avp", 1, true) == nil
      and d.stock:find("^%-1") ~= nil
      and d.ours:find("^1") ~= nil
  end,
})

local function zone_masked(text) return (text:gsub('"consumer://[^/"]*/', '"consumer://ZONE/'):gsub("^consumer://[^/]*/",
  "consumer://ZONE/")) end

add("server-id", {
  part = "events", case = { subscription = "plain",
    payload = '{"Event-Category":"presence","Event-Name":"update","Server-ID":"s"}' },
  matches = function(d)
    return events(d) and d.stock:find("consumer://1/", 1, true) ~= nil and zone_masked(d.stock) == zone_masked(d.ours)
  end,
})

add("no-subject", {
  part = "nats", case = { form = "quoted", subject = "a b", payload = "x" },
  matches = function(d) return nats(d) and d.kind == "messages" and d.stock == "1, 0" and d.ours == "-1, 0" end,
})

-- Debian's module no longer finds some routes once it has looked for one that does not exist.
add("routes-found", {
  part = "events", sometimes = true, case = { subscription = "keyed", payload = '{"Kind":5.0}' },
  matches = function(d)
    if not events(d) or (d.kind ~= "events" and d.kind ~= "route") then return false end
    local node = canonical.parse(d.case.payload)
    return node ~= nil and node.kind == "object" and d.ours ~= "no route" and d.ours ~= "consumer-event"
  end,
})

-- The cases that show the entries of a part, each a fresh copy.
function meant.cases(part)
  local cases = {}
  for _, entry in ipairs(meant.list) do
    if entry.part == part then
      local copy = {}
      for name, value in pairs(entry.case) do copy[name] = value end
      cases[#cases + 1] = copy
    end
  end
  return cases
end

-- Puts the id in place of ID in the texts of such a case.
function meant.named(case, id)
  case.id = id
  for _, name in ipairs { "payload", "key", "subject" } do
    if case[name] then case[name] = case[name]:gsub("ID", id) end
  end
  return case
end

-- The name of the entry that a difference belongs to, or nil.
function meant.of(difference)
  for _, entry in ipairs(meant.list) do
    if entry.matches(difference) then return entry.name end
  end
end

-- What would kill Debian's module, or hang it, is not given to it again and again.
function meant.kills(payload)
  return not payload:find("^%s*{") or canonical.parse(payload) ~= nil and canonical.parse(payload).kind ~= "object"
end

return meant
