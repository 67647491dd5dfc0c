-- Publishing under load, and a ledger of what became of each message.
local cjson = require "cjson"
local socket = require "socket"
local files = require "support.files"
local sip_load = require "support.sip_load"
local wait = require "support.wait"

local publish_load = {}

local timed = [[
  $var(seq) = $var(seq) + 1;
  $var(s) = $TV(sn);
  $var(u) = $TV(un);
  %s;
  $var(rc) = $rc;
  $var(us) = ($TV(sn) - $var(s)) * 1000000;
  $var(us) = $var(us) + $TV(un) - $var(u);
  $var(reason) = $_s($hdr(X-Id)/$var(rc)/$var(us));
  sl_send_reply("200", "$var(reason)");
  exit;
]]

-- The route "load" of support.kazoo: publishes to the queue "faults" with the worker's own count of its messages; the
-- reply tells the message's number, the result, and the microseconds that the call took.
publish_load.route = timed:format(
  [[kazoo_publish("", "faults", "{'pid' : $pp, 'seq' : $var(seq), 'id' : $hdr(X-Id), 'text' : '$rb'}")]])

-- The same of support.nats, with nats_publish or nats_js_publish and the subject "faults".
function publish_load.nats_route(call)
  return timed:format(call .. [[("faults", "$hdr(X-Id)|$var(seq)|$pp|$rb")]])
end

-- Of what the latter sends: {id, seq, pid}.
function publish_load.nats_message(payload)
  local id, seq, pid = payload:match("^(%d+)|(%d+)|(%d+)|")
  return { id = tonumber(id), seq = tonumber(seq), pid = tonumber(pid) }
end

-- A busy machine may take the processor from a worker in the midst of a call, though less so from one with real-time
-- priority. A call that waits for the broker is slow all the same.
function publish_load.prefer(server)
  for _, pid in ipairs(server:pids()) do files.run("chrt --fifo --pid 1 " .. pid) end
end

local function note_reply(result, text)
  local id, rc, us = text:match("^SIP/2%.0 200 (%d+)/(%-?%d+)/(%-?%d+)")
  if not id then return end
  if rc == "1" then
    result.accepted[tonumber(id)], result.n_accepted = true, result.n_accepted + 1
  else
    result.n_refused = result.n_refused + 1
  end
  result.slowest_us = math.max(result.slowest_us, tonumber(us))
end

-- Those that were due after the load still have their turn, at their time.
local function run_late(events, started)
  for _, event in ipairs(events) do
    socket.sleep(math.max(0, started + event.at - socket.gettime()))
    event.run()
  end
end

-- run{server, rate, seconds, events, body}, events as in support.sip_load: {accepted = {[id] = true}, attempted,
-- n_accepted, n_refused, slowest_us}.
function publish_load.run(options)
  local result = {
    attempted = options.rate * options.seconds, accepted = {}, n_accepted = 0, n_refused = 0, slowest_us = 0,
  }
  local events, started = options.events or {}, socket.gettime()
  sip_load.run {
    port = options.server.port, rate = options.rate, count = result.attempted, events = events,
    request = function(n)
      return { method = "MESSAGE", uri = "sip:load@127.0.0.1", headers = { "X-Id: " .. n }, body = options.body or "x" }
    end,
    on_reply = function(text) note_reply(result, text) end,
  }
  run_late(events, started)
  return result
end

-- An account of messages as they come, in `take`; `delivered` counts those of `result` that came at least once.
-- Order counts for the first copy of each: every publishing process has its own.
function publish_load.account(result)
  local self = { delivered = 0, duplicated = 0, in_order = true, foreign = 0 }
  local seen, newest = {}, {}
  function self.take(object)
    if seen[object.id] then
      self.duplicated = self.duplicated + 1
      return
    end
    seen[object.id] = true
    if result.accepted[object.id] then self.delivered = self.delivered + 1 else self.foreign = self.foreign + 1 end
    self.in_order = self.in_order and object.seq > (newest[object.pid] or 0)
    newest[object.pid] = object.seq
  end
  return self
end

-- Takes all that is in the queue until what was accepted is there, or for `patience` seconds; and then what still comes.
function publish_load.collect(result, client, queue, patience)
  local account = publish_load.account(result)
  local function drain()
    local ok, messages = pcall(client.drain, client, queue, 0.5)
    for _, message in ipairs(ok and messages or {}) do account.take(cjson.decode(message.payload)) end
  end
  wait.for_(function()
    drain()
    return account.delivered >= result.n_accepted
  end, patience)
  drain()
  return account
end

return publish_load
