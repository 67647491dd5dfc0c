-- What was found: each kind of difference once, with its smallest case.
local collector = {}
local Collector = {}
Collector.__index = Collector

local TRIES = 250 -- attempts to make one case smaller
local REDUCED = 60 -- kinds of difference whose case is made smaller

-- `meant` knows what differs on purpose (compat.meant).
function collector.new(meant)
  return setmetatable({
    meant_list = meant, counts = {}, groups = {}, order = {}, deaths = {}, meant = {}, total = 0, ours_only = 0,
  }, Collector)
end

function Collector:count(part, more)
  self.counts[part] = (self.counts[part] or 0) + (more or 1)
end

function Collector:died(part, case, replies)
  local one = { part = part, case = case }
  for _, side in ipairs { "stock", "ours" } do one[side] = type(replies[side]) == "table" and replies[side].died or nil end
  if one.ours then self.ours_died = true end
  table.insert(self.deaths, one)
end

-- A case of a kind that kills Debian's module: replies is ours, which has to be one.
function Collector:count_ours_only(part, case, reply, word)
  self.ours_only = self.ours_only + 1
  if not reply then self:died(part, case, { ours = { died = word } }) end
end

-- What kind of thing a result is, so that alike differences are one.
local function class(text)
  if text == nil then return "nothing" end
  if #text > 12 then return "long" end
  return (text:gsub("%d+", "0"):gsub("%a+", function(word)
    return (word == "null" or word == "before" or word == "yes") and word or "w"
  end):gsub("[\128-\255]+", "\\x"))
end

local function shrink_field(case, field, try)
  local text = case[field]
  local size = math.ceil(#text / 2)
  while size >= 1 do
    local at = 1
    while at <= #text do
      local shorter = text:sub(1, at - 1) .. text:sub(at + size)
      if try(field, shorter) then text = shorter else at = at + size end
    end
    size = size > 1 and math.ceil(size / 2) or 0
  end
end

-- Makes the payload and the path of a difference shorter as long as it stays of its kind.
local function reduce(group, difference)
  local case = {}
  for name, value in pairs(difference.case) do case[name] = value end
  local tries = 0
  local function try(field, text)
    tries = tries + 1
    if tries > TRIES then return false end
    local before = case[field]
    case[field] = text
    local now = difference.again(case)
    if now and class(now.stock) == group.classes[1] and class(now.ours) == group.classes[2] then
      group.stock, group.ours = now.stock, now.ours
      return true
    end
    case[field] = before
    return false
  end
  for _, field in ipairs(difference.shrink or { "payload", "path" }) do
    if type(case[field]) == "string" and not (field == "path" and case.literal) then shrink_field(case, field, try) end
  end
  group.case = case
end

-- Where nothing can be tried again, the shortest case that came.
local function keep_smaller(group, difference)
  if difference.again or #difference.case.payload >= #group.case.payload then return end
  group.case, group.stock, group.ours = difference.case, difference.stock, difference.ours
end

-- True when it is meant. difference{part, kind, stock, ours, case, again = function(case): the difference of that case,
-- or nil}
function Collector:difference(difference)
  local name = self.meant_list.of(difference)
  if name then
    self.meant[name] = (self.meant[name] or 0) + 1
    return true
  end
  self.total = self.total + 1
  local classes = { class(difference.stock), class(difference.ours) }
  local key = table.concat({ difference.part, difference.kind, classes[1], classes[2] }, "\0")
  local group = self.groups[key]
  if group then
    group.count = group.count + 1
    keep_smaller(group, difference)
    return
  end
  group = {
    part = difference.part, kind = difference.kind, classes = classes, count = 1, stock = difference.stock,
      ours = difference.ours,
    case = difference.case,
  }
  self.groups[key] = group
  self.order[#self.order + 1] = group
  if difference.again and #self.order <= REDUCED then reduce(group, difference) end
end

return collector
