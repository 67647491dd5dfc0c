--- Words of AMQP routing keys, encoded as by `kazoo_encode` and `{kz.encode}`.
-- @module kemibus.routing_key

local byte, format, gsub = string.byte, string.format, string.gsub

local routing_key = {
  --- The maximum length of a whole routing key in bytes (AMQP 0-9-1, section 4.2.5.3).
  MAX = 255,
}

local function escape(char)
  if char == " " then return "+" end
  return format("%%%02X", byte(char))
end

--- One word, encoded so that it contains no dot and no wildcard: letters, digits, `-`, `_` and `~` stay, a blank
-- becomes `+`, every other byte `%XX`. A word that is just `#` or `*` stays: it is meant as a wildcard.
-- @tparam string word any bytes
-- @treturn string
-- @raise when `word` is not a string
function routing_key.encode(word)
  if type(word) ~= "string" then error("routing_key.encode: a string is needed, not " .. type(word), 2) end
  if word == "#" or word == "*" then return word end
  return (gsub(word, "[^%-_~0-9A-Za-z]", escape))
end

return routing_key
