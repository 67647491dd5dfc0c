-- What a Kamailio tells of itself over RPC, as tables.
local wait = require "support.wait"

local stats = {}

-- "name: value" lines and nested "name: {" of kamcmd, up to the closing brace.
local function parse_structure(lines, i)
  local fields = {}
  while i <= #lines do
    local line = lines[i]
    i = i + 1
    if line:find("^%s*}") then return fields, i end
    local name, value = line:match("^%s*([^:]+): ?(.*)$")
    if value == "{" then
      fields[name], i = parse_structure(lines, i)
    elseif name then
      fields[name] = tonumber(value) or value
    end
  end
  return fields, i
end

-- The structures in an answer.
function stats.parse(text)
  local lines, found, i = {}, {}, 1
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  while i <= #lines do
    if lines[i]:find("^%s*{") then
      found[#found + 1], i = parse_structure(lines, i + 1)
    else
      i = i + 1
    end
  end
  return found
end

-- The structures that a command answers with.
function stats.all(server, command) return stats.parse(server:rpc(command)) end

-- The first of them, or the first with these fields.
function stats.one(server, command, fields)
  for _, structure in ipairs(stats.all(server, command)) do
    local same = true
    for name, value in pairs(fields or {}) do same = same and structure[name] == value end
    if same then return structure end
  end
end

-- Waits until a structure has these fields, and returns it; `where` are the fields that single it out.
function stats.await(server, command, fields, where, deadline)
  local last
  return wait.until_(function()
    local structure = stats.one(server, command, where)
    if not structure then return nil, "no such structure" end
    for name, value in pairs(fields) do
      if structure[name] ~= value then
        last = ("%s is %s, not %s"):format(name, tostring(structure[name]), tostring(value))
        return nil, last
      end
    end
    return structure
  end, deadline or 10, command)
end

local function difference(before, after, but)
  local changed = {}
  for name, value in pairs(after) do
    if not but[name] and value ~= before[name] then changed[name] = value - before[name] end
  end
  return changed
end

local function same(a, b)
  for name, value in pairs(a) do if b[name] ~= value then return false end end
  for name in pairs(b) do if a[name] == nil then return false end end
  return true
end

local function show(changes)
  local parts = {}
  for name, value in pairs(changes) do parts[#parts + 1] = name .. "=" .. value end
  table.sort(parts)
  return table.concat(parts, " ")
end

-- Runs the action and waits until exactly these numbers of the command's answer have changed by so much, apart from
-- those in `but`.
function stats.moves(server, command, but, expected, action, ...)
  local before = stats.one(server, command)
  action(...)
  wait.until_(function()
    local changed = difference(before, stats.one(server, command), but)
    return same(expected, changed), show(changed)
  end, 15, "the changes " .. show(expected))
end

return stats
