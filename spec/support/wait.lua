-- Waiting for a condition with a deadline; nothing in the specs sleeps for a fixed time.
local socket = require "socket"

local wait = { interval = 0.01 }

local function describe(what, detail)
  if detail == nil then return what end
  return ("%s (last seen: %s)"):format(what, tostring(detail))
end

-- The first true value of predicate, or nil and what the predicate returned second when the deadline has passed.
function wait.for_(predicate, deadline)
  local give_up = socket.gettime() + deadline
  while true do
    local value, detail = predicate()
    if value then return value end
    if socket.gettime() >= give_up then return nil, detail end
    socket.sleep(wait.interval)
  end
end

-- As for_, but an error that names what was waited for.
function wait.until_(predicate, deadline, what)
  local value, detail = wait.for_(predicate, deadline)
  if value then return value end
  error(("waited %g s in vain for %s"):format(deadline, describe(what, detail)), 2)
end

-- True when predicate stays true for all of the time given, else an error.
function wait.while_(predicate, seconds, what)
  local give_up = socket.gettime() + seconds
  while socket.gettime() < give_up do
    local value, detail = predicate()
    if not value then error("did not stay so: " .. describe(what, detail), 2) end
    socket.sleep(wait.interval)
  end
  return true
end

return wait
