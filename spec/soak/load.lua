-- What the soak keeps busy: the servers, the requests and the resets.
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local process = require "support.process"
local rabbits = require "support.rabbit"
local sip_load = require "support.sip_load"
local wait = require "support.wait"

local load = {}
local Load = {}
Load.__index = Load

local cfg = [[
loadmodule "statistics.so"
modparam("statistics", "variable", "soak_events")
modparam("statistics", "variable", "soak_fields")
request_route {
  if ($hdr(X-Kind) == "publish") {
    kazoo_publish("soak", "soak.event", $rb, "kind=soak;n=1");
    $var(rc) = $rc;
  } else if ($hdr(X-Kind) == "query") {
    kazoo_query("callevt", "call.status", $rb, "$var(answer)");
    $var(rc) = $rc;
  } else {
    t_newtran();
    if (kazoo_async_query("callevt", "call.status", $rb, "ANSWERED", "UNANSWERED")) exit;
    t_reply("500", "async/-1");
    exit;
  }
  $var(reason) = $_s($hdr(X-Kind)/$var(rc));
  sl_send_reply("200", "$var(reason)");
  exit;
}
onreply_route[ANSWERED] {
  t_reply("200", "async/1");
}
failure_route[UNANSWERED] {
  t_reply("500", "async/-1");
}
]]

local mod_init = [[kazoo_subscribe("{'exchange':'soak', 'type':'topic', 'queue':'soak', 'routing':'soak.#', 'durable':1,
  'auto_delete':0, 'no_ack':0, 'wait_for_consumer_ack':1}");]]

-- Two values out of each payload, one of which is right only when the payload came whole.
local event = [[
  $var(state) = $(kzE{kz.json,State});
  update_stat("soak_events", "+1");
  if ($(kzE{kz.json,From-User}) == "alice" && $var(state) == "confirmed") update_stat("soak_fields", "+1");
]]

local fields = "'Event-Category':'soak','Event-Name':'tick','Call-ID':'8f2a1c9e','From-User':'alice','State':'confirmed'"
local small, large = ("{%s}"):format(fields), ("{%s,'Text':'%s'}"):format(fields, ("x"):rep(8000))
local question = "{'Event-Category':'call_event','Event-Name':'query_req','Realm':'sip.example.com'}"

-- Of 100 requests: 20 queries, 4 asynchronous ones, 2 payloads that are refused, 2 large ones, the rest small ones.
local function kind_of(n)
  if n % 5 == 0 then return "query", question end
  if n % 25 == 1 then return "async", question end
  if n % 50 == 2 then return "publish", "{'this is' : no JSON" end
  if n % 50 == 3 then return "publish", large end
  return "publish", small
end

local function request(n)
  local kind, body = kind_of(n)
  return { method = "MESSAGE", uri = "sip:soak@127.0.0.1", headers = { "X-Kind: " .. kind }, body = body }
end

-- Small rings go round within the first minute, so their memory is all touched before it is looked at.
local params = {
  amqp_outbox_size = 1048576, amqp_inbox_size = 1048576, amqp_consumer_workers = 2, amqp_heartbeats = 5,
  amqp_query_timeout_sec = 2,
}

function load.start()
  local self = setmetatable({ counts = {}, resets = 0, children = 4 }, Load)
  self.rabbit = rabbits.start()
  amqp.client(self.rabbit):exchange("callevt", "topic")
  self.answerer = process.spawn {
    name = "amqp_rtt", folder = files.new_folder("amqp_rtt"),
    command = { files.root .. "/build/spec/amqp_rtt", self.rabbit.url, "serve" },
  }
  wait.until_(function() return self.answerer:log():find("ready", 1, true) end, 10, "the answerer")
  self.server = kazoo.start {
    rabbit = self.rabbit, children = self.children, params = params, request_route = cfg, mod_init = mod_init,
    events = { ["consumer-event-soak-tick"] = event },
  }
  self.server:await_connected()
  self.server:wait_log 'consuming queue "soak"' -- what is published before reaches no queue
  return self
end

-- Runs this many requests; events as in support.sip_load.
function Load:run(rate, count, events)
  local counts = self.counts
  local answered = sip_load.run {
    port = self.server.port, rate = rate, count = count, events = events, request = request,
    on_reply = function(text)
      local outcome = text:match("^SIP/2%.0 %d+ ([^\r\n]*)") or "?"
      counts[outcome] = (counts[outcome] or 0) + 1
    end,
  }
  counts.silent = (counts.silent or 0) + count - answered
end

local function own_ports(self)
  local pids, found = {}, {}
  for _, pid in ipairs(self.server:pids()) do pids[tostring(pid)] = true end
  local text = files.must_run(("ss -tnpH state established 'dport = :%d'"):format(self.rabbit.port))
  for line in text:gmatch("[^\n]+") do
    local pid = line:match("pid=(%d+)")
    if pids[pid] then found[#found + 1] = { pid = pid, port = line:match("127%.0%.0%.1:(%d+)") } end
  end
  table.sort(found, function(a, b) return tonumber(a.pid) < tonumber(b.pid) end)
  return found
end

-- Resets one of Kamailio's connections to the broker, each in its turn.
function Load:reset()
  local connections = own_ports(self)
  if #connections == 0 then return end
  local port = connections[self.resets % #connections + 1].port
  files.must_run(("ss -K state established 'dport = :%s' 'sport = :%d'"):format(port, self.rabbit.port))
  self.resets = self.resets + 1
end

function Load:stat(name)
  return tonumber(self.server:rpc("stats.fetch", name):match(name .. ": (%d+)"))
end

-- How many events came, once there are that many or nothing more comes.
function Load:await_events(count)
  wait.for_(function() return self:stat "soak_events" >= count end, 20)
  return self:stat "soak_events", self:stat "soak_fields"
end

-- Ends all: Kamailio's line about a crash, or nil.
function Load:stop()
  local ended = self.server:stop()
  self.answerer:kill()
  self.rabbit:stop()
  return ended.crash
end

return load
