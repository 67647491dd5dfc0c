-- The list of faults, which those of each bus add to, and what they share.
local socket = require "socket"
local publish_load = require "support.publish_load"

local list = { names = {}, by_name = {}, at_end = {} }

list.patience = 60 -- seconds that delivery may take after the fault is over

-- run(options) returns a line of the ledger: what list.line makes. at_end are functions to run after the last fault.
function list.add(name, title, run)
  list.names[#list.names + 1] = name
  list.by_name[name] = { name = name, title = title, run = run }
end

-- What publish_load.run and publish_load.account counted, with more fields: confirmed, crash, note; may_lose (what the
-- bus allows, else 0) and may_repeat (else any number).
function list.line(result, account, more)
  local row = {
    attempted = result.attempted, accepted = result.n_accepted, delivered = account.delivered,
    lost = result.n_accepted - account.delivered, duplicated = account.duplicated, in_order = account.in_order,
    slowest_us = result.slowest_us, foreign = account.foreign,
  }
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

local function count_done(servers, account)
  for _, server in ipairs(servers) do
    for id, seq, pid in server:log():gmatch("ledger|done|%d+|(%d+)|(%d+)|(%d+)|") do
      account.take { id = tonumber(id), seq = tonumber(seq), pid = tonumber(pid) }
    end
  end
  return account
end

-- The account of what event routes wrote down, as "ledger|done|PID|id|seq|pid|", once all of it came, or nothing more did
-- for `still` seconds, where some of it may be lost.
function list.done_all(servers, result, still)
  local now, newest, account = socket.gettime(), 0
  local give_up, came = now + list.patience, now
  repeat
    socket.sleep(0.2)
    account, now = count_done(servers, publish_load.account(result)), socket.gettime()
    if account.delivered > newest then newest, came = account.delivered, now end
  until account.delivered >= result.n_accepted or now > give_up or (still and now > came + still)
  return account
end

return list
