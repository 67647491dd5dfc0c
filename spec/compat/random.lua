-- Numbers that look random and are the same for the same seed on every machine (Park and Miller's generator).
local random = {}
local Random = {}
Random.__index = Random

local MODULUS, FACTOR = 2147483647, 16807

-- A source of numbers from a seed and the name of what they are for.
function random.new(seed, name)
  local state = seed % MODULUS
  for i = 1, #name do state = (state * 31 + name:byte(i)) % MODULUS end
  local self = setmetatable({ state = state == 0 and 1 or state }, Random)
  for _ = 1, 10 do self:number(1, 2) end -- seeds that lie close to each other begin alike
  return self
end

-- An integer from first to last, both included.
function Random:number(first, last)
  self.state = self.state * FACTOR % MODULUS
  return first + self.state % (last - first + 1)
end

function Random:one_of(list) return list[self:number(1, #list)] end

-- True in so many cases of a hundred.
function Random:chance(percent) return self:number(1, 100) <= percent end

-- One of {weight, value} pairs: a value, as often as its weight says.
function Random:weighted(pairs_)
  local total = 0
  for _, pair in ipairs(pairs_) do total = total + pair[1] end
  local at = self:number(1, total)
  for _, pair in ipairs(pairs_) do
    at = at - pair[1]
    if at <= 0 then return pair[2] end
  end
end

function Random:bytes(length, first, last)
  local bytes = {}
  for i = 1, length do bytes[i] = string.char(self:number(first or 0, last or 255)) end
  return table.concat(bytes)
end

return random
