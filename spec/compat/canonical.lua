-- JSON text in one form for all ways to write the same: no blanks, members sorted, strings without needless escapes,
-- numbers as they are written.
local canonical = {}

local named = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64,
    0x80 + code % 64)
end

-- "\ud83d\ude00" is one letter.
local function unescape(text)
  text = text:gsub("\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)", function(high, low)
    return utf8(0x10000 + (tonumber(high, 16) - 0xD800) * 1024 + tonumber(low, 16) - 0xDC00)
  end)
  return (text:gsub("\\(u?)(%x?%x?%x?%x?)(.?)", function(u, digits, rest)
    if u == "u" and #digits == 4 then return utf8(tonumber(digits, 16)) .. rest end
    local all = digits .. rest
    return u == "" and (named[all:sub(1, 1)] or all:sub(1, 1)) .. all:sub(2) or nil
  end))
end

local value

local function skip(text, at) return text:match("^[ \t\r\n]*()", at) end

local function string_at(text, at)
  local from = at + 1
  local i = from
  while true do
    local stop = text:find('["\\]', i)
    if not stop then return nil end
    if text:sub(stop, stop) == '"' then return unescape(text:sub(from, stop - 1)), stop + 1 end
    i = stop + 2
  end
end

local function object_at(text, at)
  local members = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return { kind = "object", members = members }, at + 1 end
  while text:sub(at, at) == '"' do
    local key, item
    key, at = string_at(text, at)
    at = at and text:match("^[ \t\r\n]*:()", at)
    if not at then return nil end
    item, at = value(text, at)
    if not item then return nil end
    members[key] = item
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then return { kind = "object", members = members }, at + 1 end
    if mark ~= "," then return nil end
    at = skip(text, at + 1)
  end
end

local function array_at(text, at)
  local items = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return { kind = "array", items = items }, at + 1 end
  while true do
    local item
    item, at = value(text, at)
    if not item then return nil end
    items[#items + 1] = item
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then return { kind = "array", items = items }, at + 1 end
    if mark ~= "," then return nil end
    at = at + 1
  end
end

function value(text, at)
  at = skip(text, at)
  local first = text:sub(at, at)
  if first == "{" then return object_at(text, at) end
  if first == "[" then return array_at(text, at) end
  if first == '"' then
    local content, after = string_at(text, at)
    return content and { kind = "string", text = content }, after
  end
  local word, after = text:match("^([%w%-+.]+)()", at)
  return word and { kind = "word", text = word }, after
end

-- The value {kind = "object", members} and the like, or nil when the text is no strict JSON, as far as its structure goes.
function canonical.parse(text)
  local node, after = value(text, 1)
  return node and skip(text, after) > #text and node or nil
end

function canonical.write(node)
  if node.kind == "word" then return node.text end
  if node.kind == "string" then return '"' .. node.text:gsub('["\\]', "\\%0") .. '"' end
  local parts = {}
  if node.kind == "array" then
    for i, item in ipairs(node.items) do parts[i] = canonical.write(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key, item in pairs(node.members) do parts[#parts + 1] = '"' .. key:gsub('["\\]', "\\%0") .. '":'
    .. canonical.write(item) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

return canonical
