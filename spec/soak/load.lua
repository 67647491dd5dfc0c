-- What the soak keeps busy: the servers, the requests and the resets.
local amqp = require "support.amqp"
local files = require "support.files"
local jetstream = require "support.jetstream"
local kazoo = require "support.kazoo"
local nats_server = require "support.nats_server"
local process = require "support.process"
local rabbits = require "support.rabbit"
local sip_load = require "support.sip_load"
local stats = require "support.stats"
local wait = require "support.wait"

local load = {}
local Load = {}
Load.__index = Load

local settings = [[
loadmodule "statistics.so"
modparam("statistics", "variable", "soak_events")
modparam("statistics", "variable", "soak_fields")
modparam("statistics", "variable", "soak_ticks")
modparam("statistics", "variable", "soak_stored")
loadmodule "nats.so"
modparam("nats", "nats_url", "%s")
modparam("nats", "num_publish_workers", 1)
modparam("nats", "nats_async_requests", 16)
modparam("nats", "subject_queue_group", "soak.tick:soak")
modparam("nats", "subject_queue_group", "soak.ask:soak")
modparam("nats", "nats_js_consumer", "stream=SOAK;durable=soak;event=soak-stored;ack_wait=5000")
modparam("nats", "nats_kv_bucket", "soak;storage=memory")
]]

local cfg = [[
max_while_loops=1000
request_route {
  $var(kind) = $hdr(X-Kind);
  if ($var(kind) == "async") {
    t_newtran();
    if (kazoo_async_query("callevt", "call.status", $rb, "ANSWERED", "UNANSWERED")) exit;
    t_reply("500", "async/-1");
    exit;
  }
  if ($var(kind) == "nats_async") {
    t_newtran();
    if (nats_request_async("soak.ask", $rb, "NATS_ANSWERED", "NATS_UNANSWERED", 2000)) exit;
    t_reply("500", "nats_async/-1");
    exit;
  }
  route($var(kind));
  $var(reason) = $_s($var(kind)/$var(rc));
  sl_send_reply("200", "$var(reason)");
  exit;
}
route[publish] {
  kazoo_publish("soak", "soak.event", $rb, "kind=soak;n=1");
  $var(rc) = $rc;
}
route[query] {
  kazoo_query("callevt", "call.status", $rb, "$var(answer)");
  $var(rc) = $rc;
}
route[nats] {
  nats_publish("soak.tick", $rb, "", "Call-ID=$ci;Kind=soak");
  $var(rc) = $rc;
}
route[ask] {
  nats_request("soak.ask", $rb, "$var(answer)", 2000);
  $var(rc) = $rc;
}
route[stream] {
  nats_js_publish("soak.stream", $rb, "Call-ID=$ci");
  $var(rc) = $rc;
}
route[bucket] {
  nats_kv_put("soak", "key", $rb);
  nats_kv_get("soak", "key", "$var(answer)");
  $var(rc) = $rc;
}
route[warm_up] {
  $var(i) = 0;
  while ($var(i) < 300) {
    nats_publish("soak.nobody", $rb);
    nats_js_publish("soak.stream", $rb);
    kazoo_publish("soak", "nobody", $rb);
    if ($var(i) < 30) {
      nats_request("soak.ask", $rb, "$var(answer)", 2000);
      kazoo_query("callevt", "call.status", $rb, "$var(answer)");
    }
    $var(i) = $var(i) + 1;
  }
  $var(rc) = 1;
}
onreply_route[ANSWERED] {
  t_reply("200", "async/1");
}
failure_route[UNANSWERED] {
  t_reply("500", "async/-1");
}
onreply_route[NATS_ANSWERED] {
  t_reply("200", "nats_async/1");
}
failure_route[NATS_UNANSWERED] {
  t_reply("500", "nats_async/-1");
}
event_route[nats:soak-tick] {
  if ($(natsData{kz.json,From-User}) == "alice" && $natsHdr(Kind) == "soak") update_stat("soak_ticks", "+1");
}
event_route[nats:soak-ask] {
  nats_respond("answer to $natsData");
}
event_route[nats:soak-stored] {
  if ($(natsData{kz.json,State}) == "confirmed") update_stat("soak_stored", "+1");
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

-- Of 100 requests, by the last two digits of their number: 20 queries of AMQP, 4 asynchronous ones, 2 payloads that are
-- refused and 2 large ones; 12 publish to core NATS and 12 into a stream, of which 1 and 1 are large, 10 ask over NATS and
-- 2 asynchronously, 4 use a bucket; the rest publish small ones with AMQP.
local function kind_of(n)
  local digit, pair = n % 10, n % 100
  if n % 5 == 0 then return "query", question end
  if n % 25 == 1 then return "async", question end
  if n % 50 == 2 then return "publish", "{'this is' : no JSON" end
  if n % 50 == 3 then return "publish", large end
  if digit == 4 or pair == 17 or pair == 27 then return "nats", pair == 4 and large or small end
  if digit == 6 or pair == 37 or pair == 47 then return "stream", pair == 6 and large or small end
  if digit == 8 then return "ask", question end
  if pair == 57 or pair == 67 then return "nats_async", question end
  if pair % 20 == 9 then return "bucket", small end
  return "publish", small
end

local function request(n)
  local kind, body = kind_of(n)
  return { method = "MESSAGE", uri = "sip:soak@127.0.0.1", headers = { "X-Kind: " .. kind }, body = body }
end

local params = {
  amqp_consumer_workers = 2, amqp_heartbeats = 5, amqp_query_timeout_sec = 2,
}

-- A ring takes its first 256 KB as they are written, which the rarer messages would do in minutes; and windows take theirs
-- when they are first used.
local function warm_up(port)
  local filler = ("{%s,'Text':'%s'}"):format(fields:gsub("confirmed", "filling"), ("x"):rep(200))
  local done = sip_load.run {
    port = port, rate = 20, count = 100, on_reply = function() end,
    request = function()
      return { method = "MESSAGE", uri = "sip:soak@127.0.0.1", headers = { "X-Kind: warm_up" }, body = filler }
    end,
  }
  if done < 100 then error(("%d of 100 requests to warm up were answered"):format(done), 0) end
end

function load.start()
  local self = setmetatable({ counts = {}, resets = 0, children = 4 }, Load)
  self.rabbit, self.nats = rabbits.start(), nats_server.start { jetstream = true }
  local api = jetstream.connect { port = self.nats.port }
  api:stream("SOAK", { subjects = { "soak.stream" }, storage = "memory", max_msgs = 10000 })
  api:close()
  amqp.client(self.rabbit):exchange("callevt", "topic")
  self.answerer = process.spawn {
    name = "amqp_rtt", folder = files.new_folder("amqp_rtt"),
    command = { files.root .. "/build/spec/amqp_rtt", self.rabbit.url, "serve" },
  }
  wait.until_(function() return self.answerer:log():find("ready", 1, true) end, 10, "the answerer")
  self.server = kazoo.start {
    rabbit = self.rabbit, children = self.children, params = params, request_route = cfg, mod_init = mod_init,
    settings = settings:format(self.nats.url), events = { ["consumer-event-soak-tick"] = event },
  }
  self.server:await_connected()
  self.server:wait_log 'consuming from queue "soak"' -- what is published before reaches no queue
  self.server:wait_log('consumer "soak" of stream "SOAK": consuming')
  self.server:wait_log("nats: bucket")
  stats.await(self.server, "nats.stats", { connections_open = 6 })
  warm_up(self.server.port)
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

local function own_connections(self)
  local pids, found = {}, {}
  for _, pid in ipairs(self.server:pids()) do pids[tostring(pid)] = true end
  local text = files.must_run(("ss -tnpH state established '( dport = :%d or dport = :%d )'"):format(
    self.rabbit.port, self.nats.port))
  for line in text:gmatch("[^\n]+") do
    local pid, port, to = line:match("pid=(%d+)"), line:match("127%.0%.0%.1:(%d+)%s+127%.0%.0%.1:(%d+)")
    if pids[pid] then found[#found + 1] = { pid = pid, port = port, to = to } end
  end
  table.sort(found, function(a, b) return tonumber(a.pid) < tonumber(b.pid) end)
  return found
end

-- How many connections to brokers Kamailio has.
function Load:connections() return #own_connections(self) end

-- Resets one of them, each in its turn.
function Load:reset()
  local connections = own_connections(self)
  if #connections == 0 then return end
  local one = connections[self.resets % #connections + 1]
  files.must_run(("ss -K state established 'dport = :%s' 'sport = :%s'"):format(one.port, one.to))
  self.resets = self.resets + 1
end

function Load:stat(name)
  return tonumber(self.server:rpc("stats.fetch", name):match(name .. ": (%d+)"))
end

-- How many messages were accepted: with AMQP, by core NATS, for the stream; all of them.
function Load:accepted(kind)
  if kind then return self.counts[kind .. "/1"] or 0 end
  return self:accepted "publish" + self:accepted "nats" + self:accepted "stream"
end

-- How many came back into their event routes; kind as above.
local came_back = { publish = "soak_events", nats = "soak_ticks", stream = "soak_stored" }

function Load:came(kind)
  if kind then return self:stat(came_back[kind]) end
  return self:came "publish" + self:came "nats" + self:came "stream"
end

-- The same, once there are as many as were accepted or nothing more comes.
function Load:await(kind)
  wait.for_(function() return self:came(kind) >= self:accepted(kind) end, kind == "nats" and 2 or 20)
  return self:came(kind)
end

-- AMQP's events whose fields were right.
function Load:whole_events() return self:stat "soak_fields" end

-- Ends all: Kamailio's line about a crash, or nil.
function Load:stop()
  local ended = self.server:stop()
  self.answerer:kill()
  self.rabbit:stop()
  self.nats:stop()
  return ended.crash
end

return load
