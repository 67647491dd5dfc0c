-- What busted loads before the specs. Modules required here live for the whole run, those of a spec file for that file.
local busted = require "busted"
local process = require "support.process"
require "support.kazoo" -- its RabbitMQ serves all spec files

local passed, failed = 0, 0

-- To one of the files that spec/run makes; without them nothing is written.
local function append(variable, text)
  local path = os.getenv(variable)
  if not path then return end
  local file = assert(io.open(path, "a"))
  file:write(text, "\n")
  file:close()
end

-- The logs of the servers are of interest while they still run, which is right now.
local function report(element, parent, message)
  local name = table.concat({ parent and parent.name or "", element.name or "" }, " ")
  local text = process.report()
  if text ~= "" then io.stderr:write(("\nlogs at the failure of %s:\n%s\n"):format(name, text)) end
  append("SPEC_FAILURES", ("%s\n  %s"):format(name, tostring(message):gsub("\n", "\n  ")))
  return nil, true
end

local function count(_, _, status)
  if status == "success" then passed = passed + 1 end
  if status == "failure" or status == "error" then failed = failed + 1 end
  return nil, true
end

-- A failure outside of any `it` (a setup, the file itself) counts as one.
local function count_outside(element)
  if element.descriptor ~= "it" then failed = failed + 1 end
  return nil, true
end

busted.subscribe({ "failure" }, report)
busted.subscribe({ "error" }, report)
busted.subscribe({ "failure" }, count_outside)
busted.subscribe({ "error" }, count_outside)
busted.subscribe({ "test", "end" }, count)
busted.subscribe({ "exit" }, function()
  process.kill_all()
  append("SPEC_COUNTS", ("%d %d"):format(passed, failed)) -- spec/run adds these up
  return nil, true
end)
