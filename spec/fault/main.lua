-- The command line of the faults, the table and the verdict.
local faults = require "fault.list"
local process = require "support.process"
require "fault.amqp"
require "fault.nats"

local CALL_TRIES = 3 -- a busy machine may once take the processor from a call; a call that waits is slow each time

local function fail(...)
  io.stderr:write("fault: ", table.concat { ... }, "\n")
  os.exit(2)
end

local function parse(arguments)
  local options = { seconds = 15, rate = 1000, call = 5, names = {} }
  local i = 1
  while arguments[i] do
    local word = arguments[i]
    local name = word:match("^%-%-(%l+)$")
    if name and type(options[name]) == "number" then
      i = i + 1
      options[name] = tonumber(arguments[i]) or fail(word, " is a number")
    elseif faults.by_name[word] then
      table.insert(options.names, word)
    else
      fail("what is ", word, "? See the head of spec/fault/run")
    end
    i = i + 1
  end
  if #options.names == 0 then options.names = faults.names end
  return options
end

local format = "%-57s %9s %8s %9s %9s %5s %10s %8s  %s"

local function print_row(title, row, verdict)
  print(format:format(title, row.attempted, row.accepted, row.confirmed or "-", row.delivered, row.lost, row.duplicated,
    ("%.1f"):format(row.slowest_us / 1000), row.note and verdict .. ", " .. row.note or verdict))
end

-- Why a line is not good: a list of words, and whether all that is wrong is the time of a call.
local function complaints(row, call_limit_ms)
  local found = {}
  if row.lost > (row.may_lose or 0) then found[#found + 1] = "LOST" end
  if row.may_repeat and row.duplicated > row.may_repeat then found[#found + 1] = "REPEATED" end
  if not row.in_order then found[#found + 1] = "OUT OF ORDER" end
  if row.accepted == 0 then found[#found + 1] = "NOTHING ACCEPTED" end
  if row.foreign ~= 0 then found[#found + 1] = "REFUSED BUT DELIVERED" end
  if row.crash then found[#found + 1] = "CRASHED" end
  local slow = row.slowest_us > call_limit_ms * 1000
  local slow_only = slow and #found == 0
  if slow then found[#found + 1] = "SLOW CALL" end
  return found, slow_only
end

-- True when the fault did no harm.
local function run(fault, options)
  for try = 1, CALL_TRIES do
    local ok, row = xpcall(function() return fault.run(options) end, debug.traceback)
    if not ok then
      print(("%-57s FAILED: %s"):format(fault.title, row))
      return false
    end
    local wrong, slow_only = complaints(row, options.call)
    local again = slow_only and try < CALL_TRIES
    print_row(fault.title, row, #wrong == 0 and "ok" or table.concat(wrong, ", ") .. (again and ", once more" or ""))
    if not again then return #wrong == 0 end
  end
end

local options = parse(arg)
io.stdout:setvbuf("line")
print(format:format("fault", "attempted", "accepted", "confirmed", "delivered", "lost", "duplicated", "call ms", ""))
local harm = 0
for _, name in ipairs(options.names) do
  if not run(faults.by_name[name], options) then harm = harm + 1 end
end
for _, stop in ipairs(faults.at_end) do stop() end
process.kill_all()
os.exit(harm == 0 and 0 or 1)
