-- The soak's command line, its loop, and its verdict.
local samples = require "soak.samples"
local load = require "soak.load"
local process = require "support.process"

local MAX_KB_PER_HOUR = 1024 -- what a column of memory may grow by, as fitted to all but the first quarter
local NOISE_KB = 128         -- and what a short run may show without meaning anything
local LOST_BY_RESET = 10     -- messages that core NATS may lose: a third of a second's at the usual rate
local MAX_DESCRIPTORS = 2    -- more than at the end of the first quarter: a connection that is being made again

local function fail(...)
  io.stderr:write("soak: ", table.concat { ... }, "\n")
  os.exit(2)
end

local function parse(arguments)
  local options = { minutes = 20, rate = 250, every = 10 }
  for i = 1, #arguments, 2 do
    local name = arguments[i]:match("^%-%-(%l+)$")
    if not options[name] then fail("what is ", arguments[i], "? See the head of spec/soak/run") end
    options[name] = tonumber(arguments[i + 1]) or fail(arguments[i], " is a number")
  end
  return options
end

local row_format = "%6s %9s %11s %11s %11s %11s %6s %9s %9s"

local function print_row(running, sample)
  print(row_format:format(("%.0f"):format(sample.at), sample.pss, sample.private, ("%.0f"):format(sample.shared),
    ("%.0f"):format(sample.shm), ("%.0f"):format(sample.pkg), sample.fds, running:accepted(), running:came()))
end

-- Requests, samples and resets, all in time.
local function run(running, options)
  local list, seconds = {}, options.minutes * 60
  local events = {}
  for at = 0, seconds, options.every do
    events[#events + 1] = {
      at = at,
      run = function()
        local sample = samples.take(running.server)
        sample.at = at
        list[#list + 1] = sample
        print_row(running, sample)
      end,
    }
  end
  local function reset_at(at) events[#events + 1] = { at = at, run = function() running:reset() end } end
  -- A connection that was made again has its buffers; so each one is reset before memory counts, even in a short run.
  local warm_up = seconds / 4
  local connections = running:connections()
  for i = 1, connections do reset_at(i * warm_up / (connections + 1)) end
  for at = warm_up + 30, seconds - 10, 60 do reset_at(at) end
  running:run(options.rate, math.floor(options.rate * (seconds + 0.5)), events)
  return list
end

local function after_warm_up(list)
  local rest = {}
  for i = math.floor(#list / 4) + 1, #list do rest[#rest + 1] = list[i] end
  return rest
end

local failures = {}

local function check(good, format, ...)
  if not good then failures[#failures + 1] = format:format(...) end
  return good and "ok" or "FAILED"
end

local function judge_memory(list, column)
  local hours = (list[#list].at - list[1].at) / 3600
  local growth, limit = samples.growth(list, function(sample) return sample[column] end),
    math.max(MAX_KB_PER_HOUR * hours, NOISE_KB)
  return ("grew by %.0f kB of at most %.0f: %s"):format(growth, limit,
    check(growth <= limit, "%s grew by %.0f kB, more than %.0f", samples.titles[column], growth, limit))
end

local function judge_descriptors(list)
  local first, last = list[1].fds, list[#list].fds
  return ("%d, then %d: %s"):format(first, last, check(last <= first + MAX_DESCRIPTORS, "%d descriptors were left open",
    last - first))
end

local function print_curves(list)
  local rest = after_warm_up(list)
  for _, column in ipairs(samples.columns) do
    local values = {}
    for i, sample in ipairs(list) do values[i] = sample[column] end
    local line, low, high = samples.sparkline(values, 120)
    print(("\n%s: %.0f to %.0f"):format(samples.titles[column], low, high))
    print("  |" .. line .. "|")
    print("  after the first quarter: " .. (column == "fds" and judge_descriptors(rest) or judge_memory(rest, column)))
  end
end

local function print_processes(names, list)
  local rest = after_warm_up(list)
  local first, last, pids = rest[1].processes, rest[#rest].processes, {}
  for pid in pairs(last) do pids[#pids + 1] = pid end
  table.sort(pids)
  print("\nprivate kB by process: after the first quarter, at the end")
  for _, pid in ipairs(pids) do
    print(("  %8d %8d  %s"):format(first[pid] or 0, last[pid], names[pid] or "?"))
  end
end

local function print_return(running, kind, name, may_lose)
  local accepted, came = running:accepted(kind), running:await(kind)
  local good = accepted > 0 and came >= accepted - may_lose
  print(("%s: %d of %d accepted came back: %s"):format(name, came, accepted,
    check(good, "%d accepted messages of %s did not come back", accepted - came, name)))
end

local function print_outcomes(running)
  local outcomes = {}
  for outcome, count in pairs(running.counts) do outcomes[#outcomes + 1] = ("%s %d"):format(outcome, count) end
  table.sort(outcomes)
  print("\noutcomes: " .. table.concat(outcomes, ", "))
  print_return(running, "publish", "AMQP", 0)
  print_return(running, "nats", "core NATS", running.resets * LOST_BY_RESET)
  print_return(running, "stream", "JetStream", 0)
  local events, whole = running:came "publish", running:whole_events()
  print(("events with their fields: %d, %s; connections reset: %d"):format(
    whole, check(whole == events, "%d events lacked a field", events - whole), running.resets))
  check(running.counts.silent <= 2, "%d requests got no answer", running.counts.silent)
  for _, kind in ipairs { "query", "async", "ask", "nats_async", "bucket" } do
    check(running:accepted(kind) > 0, "nothing of the kind %s was answered", kind)
  end
end

local function main()
  local options = parse(arg)
  io.stdout:setvbuf("line")
  local running = load.start()
  local names = samples.names(running.server)
  print(row_format:format("s", "Pss kB", "private kB", "shared kB", "shm kB", "pkg kB", "fds", "accepted", "events"))
  local list = run(running, options)
  print_curves(list)
  print_processes(names, list)
  print_outcomes(running)
  local crash = running:stop()
  check(not crash, "%s", tostring(crash))
end

local ok, err = xpcall(main, debug.traceback)
process.kill_all()
if not ok then failures[#failures + 1] = tostring(err) end
print(#failures == 0 and "\nsoak: flat" or "\nsoak: FAILED: " .. table.concat(failures, "; "))
os.exit(#failures == 0 and 0 or 1)
