-- All parts, or some: what spec/compat/run and the spec of it share.
local collector = require "compat.collector"
local meant = require "compat.meant"

local suite = {}

suite.parts = { "json", "publish", "events", "subscribe", "nats" }

-- Cases of a hundred: those that take a start of Kamailio or a call of rabbitmqctl cost more than the others.
local shares = { json = 80, publish = 9, events = 6, subscribe = 2, nats = 3 }

local function share(options, part)
  local total = 0
  for _, name in ipairs(options.parts) do total = total + shares[name] end
  return math.max(1, math.floor(options.cases * shares[part] / total + 0.5))
end

-- run{cases, seed, parts = names}: what was found, a collector.
function suite.run(options)
  local found = collector.new(meant)
  for _, part in ipairs(options.parts) do
    require("compat.parts." .. part).run({ cases = share(options, part), seed = options.seed }, found)
  end
  return found
end

-- The entries of these parts' list of meant differences that were not seen.
local function vanished(found, parts)
  local names = {}
  for _, part in ipairs(parts) do
    for _, entry in ipairs(meant.list) do
      if entry.part == part and not entry.sometimes and not found.meant[entry.name] then names[#names + 1] = entry.name end
    end
  end
  return names
end

local function show(text)
  text = tostring(text):gsub("[%c\127-\255\\]", function(c) return ("\\x%02x"):format(c:byte()) end)
  return #text > 300 and text:sub(1, 300) .. "..." or text
end

local hidden = { id = true, set = true, meant = true, literal = true }

local function show_case(case)
  local parts = {}
  for name, value in pairs(case) do
    if not hidden[name] and type(value) == "string" then parts[#parts + 1] = ("%s: %s"):format(name, show(value)) end
  end
  table.sort(parts)
  return table.concat(parts, "\n    ")
end

local function add_deaths(found, lines)
  local stock = 0
  for _, death in ipairs(found.deaths) do
    if death.stock then stock = stock + 1 end
    if death.ours then lines[#lines + 1] = ("%s: our module: %s\n    %s"):format(death.part, death.ours,
      show_case(death.case)) end
  end
  if stock > 0 then lines[#lines + 1] = ("%d cases killed or hung Debian's module"):format(stock) end
  if found.ours_only > 0 then
    lines[#lines + 1] = ("%d cases of a kind that kills it were given to ours alone"):format(found.ours_only)
  end
end

-- The report as text, and whether all is well.
function suite.report(found, parts)
  local lines = {}
  for _, group in ipairs(found.order) do
    lines[#lines + 1] = ("%s: %s (%d)\n    %s\n    Debian's: %s\n    ours:     %s"):format(
      group.part, group.kind, group.count, show_case(group.case), show(group.stock), show(group.ours))
  end
  local gone = vanished(found, parts)
  for _, name in ipairs(gone) do lines[#lines + 1] = name .. ": meant to differ (docs/compat.md), and does not" end
  add_deaths(found, lines)
  local total, meant_total = 0, 0
  for _, part in ipairs(parts) do total = total + (found.counts[part] or 0) end
  local counts = {}
  for name, count in pairs(found.meant) do
    meant_total = meant_total + count
    counts[#counts + 1] = ("%s %d"):format(name, count)
  end
  table.sort(counts)
  lines[#lines + 1] = "meant: " .. table.concat(counts, ", ")
  lines[#lines + 1] = ("%d cases, %d differences that are meant, %d that are not, of %d kinds"):format(
    total, meant_total, found.total, #found.order)
  return table.concat(lines, "\n"), found.total == 0 and #gone == 0 and not found.ours_died
end

return suite
