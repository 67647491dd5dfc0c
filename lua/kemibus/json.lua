--- Reads decoded JSON by the paths of `kazoo_json` and `{kz.json}`.
--
-- The functions work on results of `cjson.decode`, which policies receive as well. For JSON as text, including the
-- lenient kind that scripts write, see `kemibus.core`.
--
-- @module kemibus.json

local cjson = require "cjson"
local format = string.format

local json = {}

-- The next step of a path from `at`: a key or an index, and the position after it, nil when it is not a path.
local function step(path, at)
  if path:sub(at, at) == "[" then
    local index, after = path:match("^%[(%d%d?%d?%d?%d?%d?%d?%d?%d?)%]()", at)
    return nil, index and tonumber(index), after
  end
  if path:sub(at, at) == "." then at = at + 1 end
  local key, after = path:match("^([^.%[]*)()", at)
  return key, nil, after
end

local function is_null(value)
  return value == nil or value == cjson.null
end

-- Arrays start at 1 in Lua, at 0 in a path. Objects never have number keys.
local function child(value, key, index, escape)
  if index then return value[index + 1] end
  local plain = key:gsub("%" .. escape, ".")
  return value[plain]
end

--- The value at a path: keys separated by dots, indices from 0 in brackets: `Channels[0].switch_url`.
-- @tparam table value a decoded object or array
-- @tparam string path "" means the value itself
-- @tparam[opt="%"] string escape one character that stands for a dot inside a key
-- @return the value (string, number, boolean or table); nil when there is none or it is null
-- @raise when `path` is not a string or `escape` is not one character of punctuation
function json.get(value, path, escape)
  escape = escape or "%"
  if type(path) ~= "string" then error("json.get: the path must be a string, not " .. type(path), 2) end
  if not escape:match("^%p$") then error("json.get: the escape must be one character of punctuation", 2) end
  local at = 1
  while at <= #path do
    local key, index, after = step(path, at)
    if not after or type(value) ~= "table" then return nil end
    value, at = child(value, key, index, escape), after
  end
  if not is_null(value) then return value end
end

--- The number of items of the array at a path.
-- @tparam table value a decoded object or array
-- @tparam string path see `get`
-- @tparam[opt="%"] string escape see `get`
-- @treturn number 0 for anything but an array
function json.count(value, path, escape)
  local array = json.get(value, path, escape)
  return type(array) == "table" and #array or 0
end

local EXACT = 2 ^ 53 -- a Lua number holds smaller integers exactly

--- A number as text: integers below 2^53 with all digits, other numbers with 14.
-- @tparam number number
-- @treturn string|nil nil for numbers that JSON cannot express: infinity, which 1e999 decodes to, and NaN
function json.number_text(number)
  if number - number ~= 0 then return nil end
  local integral = number % 1 == 0 and number > -EXACT and number < EXACT
  return format(integral and "%.0f" or "%.14g", number)
end

local function encoded(value)
  local ok, text = pcall(cjson.encode, value)
  return ok and text or nil
end

--- A value as a script sees it: strings, numbers and booleans as text, objects and arrays as JSON.
-- Decoding loses how values were written: `[]` and `{}` become the same empty table and both give `{}`, members come in
-- any order, numbers inside objects and arrays have the 14 digits of lua-cjson. `kemibus.core.get` returns the original
-- text.
-- @param value a result of `get`
-- @treturn string|nil nil for nil and null, and for values that JSON cannot express, such as infinity
function json.text(value)
  if is_null(value) then return nil end
  if type(value) == "table" then return encoded(value) end
  if type(value) == "number" then return json.number_text(value) end
  return tostring(value)
end

return json
