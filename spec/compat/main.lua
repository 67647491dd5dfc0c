-- The command line of the comparison with Debian's modules.
local pair = require "compat.pair"
local process = require "support.process"
local suite = require "compat.suite"

local function fail(...)
  io.stderr:write("compat: ", table.concat { ... }, "\n")
  os.exit(2)
end

local function parse_parts(text)
  local known, parts = {}, {}
  for _, name in ipairs(suite.parts) do known[name] = true end
  for name in text:gmatch("[^,]+") do
    if not known[name] then fail("no part called ", name) end
    parts[#parts + 1] = name
  end
  return parts
end

local function number(value, word) return tonumber(value) or fail(word, " is a number") end

local function parse(arguments)
  local options = { cases = 500, seed = 1, parts = suite.parts }
  local takers = {
    ["--cases"] = function(value) options.cases = number(value, "--cases") end,
    ["--seed"] = function(value) options.seed = number(value, "--seed") end,
    ["--only"] = function(value) options.parts = parse_parts(value) end,
  }
  for i = 1, #arguments, 2 do
    local take = takers[arguments[i]]
    if not take or not arguments[i + 1] then fail("what is ", arguments[i], "? See the head of spec/compat/run") end
    take(arguments[i + 1])
  end
  return options
end

local options = parse(arg)
local ok, found = xpcall(function() return suite.run(options) end, debug.traceback)
pair.stop_brokers()
process.kill_all()
if not ok then
  io.stderr:write(found, "\n")
  os.exit(1)
end
local text, well = suite.report(found, options.parts)
print(text)
os.exit(well and 0 or 1)
