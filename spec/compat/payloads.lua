-- Made-up JSON: what applications send and what scripts write, and what goes wrong with both.
local payloads = {}

-- As in configurations that operators run: events of registrations, channels, presence.
payloads.keys = {
  "Event-Category", "Event-Name", "Call-ID", "Msg-ID", "Server-ID", "From", "To", "State", "Expires", "Channels",
  "switch_url",
  "Method", "User", "Auth-Realm", "Contact", "a", "b", "c", "x.y", "a.b", "with blank", "", "0", "caf\195\169", "a[0]",
  "a%b", "q'q",
  "d\"d", "Sub", "list",
}

local texts = {
  "", "a", "confirmed", "early", "presence", "sip:10.0.0.1:5060", "alice@example.com", "0", "5", "60", "-1", "1e3", "true",
  "null",
  "caf\195\169", "\226\130\172", "\240\159\152\128", "two words", "it's", "a=b;c=d", "a/b", "$fU", "<x>", "%2E", "a,b",
  "{}", "[]",
  "a\\b", "tab\there", "line\nfeed", "say \"hi\"", "\1\2", "a}b", "a)b", "#", "*", " ",
}

local numbers = {
  "0", "1", "5", "-1", "60", "3600", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
  "1234567890123", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "0.5",
  "1.0", "-0",
  "-0.0", "3.25", "1.5e10", "1e3", "1E+2", "2e-3", "0.1", "1e400", "123456789.123456789", "100000000000000000000000",
}

local odd_numbers = { "NaN", "Infinity", "-Infinity", "01", "+1", ".5", "5.", "0x10", "1e", "--1", "nan", "1_000" }
local odd_words = { "True", "FALSE", "NULL", "undefined", "nil", "yes", "tru", "Null" }
local trails = { " ", "\n", "}", "{}", " garbage", ",", "//x", "\0", ";", "]", "null", "/* end */", "\r\n\r\n" }

local escapes = {
  ["\\"] = "\\\\", ["\""] = "\\\"", ["\n"] = "\\n", ["\t"] = "\\t", ["\1"] = "\\u0001", ["\2"] = "\\u0002", ["/"] = "\\/",
}

-- How a text is written: mostly as most programs write it.
local function string_text(r, text, quote)
  if quote == "'" then return "'" .. text:gsub("[\\']", "\\%0"):gsub("[\n\t\1\2]", escapes) .. "'" end
  local pattern = r:chance(20) and '[\\"\n\t\1\2/]' or '[\\"\n\t\1\2]'
  local written = text:gsub(pattern, escapes)
  if r:chance(5) then written = written .. r:one_of { "\\u00e9", "\\u20ac", "\\ud83d\\ude00", "\\ud800", "\\u0000", "\\q",
    "\\b" } end
  return '"' .. written .. '"'
end

local make

local function members(r, depth, style)
  local node = { kind = "object", keys = {}, items = {} }
  local parts = {}
  for i = 1, r:number(depth == 0 and 1 or 0, 4) do
    local key = r:one_of(payloads.keys)
    local text, item = make(r, depth + 1, style)
    node.keys[i], node.items[i] = key, item
    parts[i] = string_text(r, key, style.quote) .. r:one_of { ":", ":", ": ", " : " } .. text
  end
  return "{" .. table.concat(parts, r:one_of { ",", ", " }) .. (r:chance(style.odd) and "," or "") .. "}", node
end

local function items(r, depth, style)
  local node = { kind = "array", items = {} }
  local parts = {}
  for i = 1, r:number(0, 3) do parts[i], node.items[i] = make(r, depth + 1, style) end
  return "[" .. table.concat(parts, ",") .. "]", node
end

local function scalar(r, style)
  local kind = r:weighted { { 50, "text" }, { 25, "number" }, { 12, "word" }, { 13, "null" } }
  if kind == "text" then return string_text(r, r:one_of(texts), style.quote) end
  if kind == "number" then return r:one_of(r:chance(style.odd) and odd_numbers or numbers) end
  if kind == "word" then return r:one_of(r:chance(style.odd) and odd_words or { "true", "false" }) end
  return "null"
end

-- A value's text, and what it is made of: {kind, keys, items}.
function make(r, depth, style)
  local nested = depth < 4 and r:chance(depth == 0 and 100 or 35)
  if not nested then return scalar(r, style), { kind = "scalar" } end
  if depth == 0 and r:chance(96) or r:chance(65) then return members(r, depth, style) end
  return items(r, depth, style)
end

local function cut(r, text) return text:sub(1, r:number(0, #text)) end

local function put(r, text, what)
  local at = r:number(0, #text)
  return text:sub(1, at) .. what .. text:sub(at + 1)
end

-- A comment where blanks may be.
local function comment(r, text)
  local what = r:one_of { "/* c */", "// c\n", "/**/", "# c\n", "/* open" }
  local places = {}
  for at in text:gmatch("()[,:{}%[%]]") do places[#places + 1] = at end
  if #places == 0 then return what .. text end
  local at = r:one_of(places)
  return text:sub(1, at) .. what .. text:sub(at + 1)
end

local spoilers = {
  { 20, function(r, text) return text .. r:one_of(trails) end },
  { 10, function(r, text) return r:one_of { " ", "\n\t", "\239\187\191", "x", "//\n", "\0" } .. text end },
  { 15, comment },
  { 15, cut },
  { 15, function(r, text) return put(r, text, r:one_of { ",", ":", '"', "'", "}", "{", "]", "\\", "\0", "\255", "\195",
    "1", " ", "\n" }) end },
  { 10, function(r, text)
    local at = r:number(1, #text)
    return text:sub(1, at - 1) .. text:sub(at + 1)
  end },
  { 5, function(r) return r:bytes(r:number(0, 30)) end },
  { 10, function(r) return r:one_of { "", " ", "null", "true", "5", '"text"', "[]", "{}", "[1,2]", "''", "NaN", "{", "x",
    "0", "\"" } end },
}

local function deep(r)
  local depth = r:one_of { 10, 20, 30, 31, 32, 33, 40, 64, 100 }
  if r:chance(50) then return ('{"a":'):rep(depth) .. "1" .. ("}"):rep(depth) end
  return '{"a":' .. ("["):rep(depth) .. ("]"):rep(depth) .. "}"
end

-- A payload, what it was made of (nil when that is of no use), and whether it was spoilt after that.
function payloads.make(r)
  local style = { quote = r:chance(25) and "'" or '"', odd = r:chance(15) and 30 or 0 }
  if r:chance(2) then return deep(r), nil end
  local text, node = make(r, 0, style)
  local spoilt = r:chance(25)
  if spoilt then text = r:weighted(spoilers)(r, text) end
  return text, node, spoilt or style.odd > 0
end

-- ---- paths

local whole = {
  "", "a", "missing", "a.b", "a.missing", "[0]", "[1]", "list[0]", "Channels[0].switch_url", "Channels[0]", "Channels[1]",
  "a[0]",
  "a[", "a]", "a[x]", "a[-1]", "a[00]", "a[1", "a[0][0]", "a.", ".a", "a..b", ".", "x%y", "a%b", "%", "a b", "0", "a.0",
  "Sub.a.b",
  "a[99999999999]", "a[0]b", "[", "[]", "a[]", "'a'", "\"a\"", "*", "a\\b",
}

local function escaped(key) return (key:gsub("%.", "%%")) end

local function walk(r, node)
  local path = ""
  while node and #(node.items or {}) > 0 and (path == "" or r:chance(60)) do
    local i = r:number(1, #node.items)
    if node.kind == "object" then
      path = path .. (path == "" and "" or ".") .. escaped(node.keys[i])
    else
      path = path .. "[" .. (i - 1) .. "]"
    end
    node = node.items[i]
  end
  return path
end

-- A path, mostly one of something in the payload.
function payloads.path(r, node)
  if node and r:chance(75) then
    local path = walk(r, node)
    if r:chance(10) then path = path .. r:one_of { ".missing", "[0]", "[9]", ".", "[" } end
    return path
  end
  if r:chance(40) then return r:one_of(payloads.keys) end
  return r:one_of(whole)
end

-- The path of an object in the payload, and true; or the empty path and false.
function payloads.object_path(r, node)
  local found = {}
  local function visit(one, path)
    for i, item in ipairs(one.kind == "object" and one.items or {}) do
      local key = one.keys[i]
      if item.kind == "object" and key:find("^[%w%-_]+$") then
        found[#found + 1] = path .. key
        visit(item, path .. key .. ".")
      end
    end
  end
  if node then visit(node, "") end
  if #found == 0 then return "", false end
  return r:one_of(found), true
end

-- What may stand in a configuration as it is.
function payloads.plain_path(path) return not path:find("[^%w%-_.%[%]% %%]") and not path:find("^ ")
  and not path:find(" $") end

return payloads
