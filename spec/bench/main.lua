-- The benchmark's command line: which works, how often, and in what order stock and ours take their turns.
local files = require "support.files"
local kamailio = require "support.kamailio"
local report = require "bench.report"
local works = require "bench.works"

local function fail(...)
  io.stderr:write("bench: ", table.concat { ... }, "\n")
  os.exit(2)
end

local function parse_names(text)
  local names = {}
  for name in text:gmatch("[^,]+") do
    if not works.by_name[name] then fail("no work called ", name) end
    names[#names + 1] = name
  end
  return names
end

local function parse(arguments)
  local options = { names = works.names, runs = 5, seconds = 3, modules = { "stock", "ours" } }
  local takers = {
    ["--only"] = function(value) options.names = parse_names(value) end,
    ["--runs"] = function(value) options.runs = tonumber(value) or fail("--runs is a number") end,
    ["--seconds"] = function(value) options.seconds = tonumber(value) or fail("--seconds is a number") end,
  }
  local flags = {
    ["--ours-only"] = function() options.modules = { "ours" } end,
    ["--to-queue"] = function() options.to_queue = true end,
  }
  local i = 1
  while arguments[i] do
    local word = arguments[i]
    if flags[word] then
      flags[word]()
    elseif takers[word] and arguments[i + 1] then
      i = i + 1
      takers[word](arguments[i])
    else
      fail("what is ", word, "? See the head of spec/bench/run")
    end
    i = i + 1
  end
  return options
end

local function is_built(module) return files.exists(("%s/%s.so"):format(kamailio.our_modules, module)) end

local function modules_for(work, options)
  local modules = {}
  for _, which in ipairs(options.modules) do
    if which == "stock" or (work.module and is_built(work.module)) then modules[#modules + 1] = which end
  end
  return modules
end

-- {stock = {results}, ours = {results}}
local function measure(work, options)
  local results = { stock = {}, ours = {} }
  for _ = 1, options.runs do
    for _, which in ipairs(modules_for(work, options)) do
      local result = work.run(which, options)
      table.insert(results[which], result)
      io.stderr:write(report.progress(work, which, result), "\n")
    end
  end
  return results
end

local options = parse(arg)
io.stdout:setvbuf("line")
print(report.machine())
local rows = {}
for _, name in ipairs(options.names) do
  local work = works.by_name[name]
  rows[#rows + 1] = report.row(work, measure(work, options))
end
works.stop()
print(report.table(rows))
