-- What is measured of the nats module; works are as in spec/bench/kazoo.lua.
local http = require "socket.http"
local socket = require "socket"
local files = require "support.files"
local jetstream = require "support.jetstream"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local wait = require "support.wait"
local kit = require "bench.kit"

local nats = {}

local function the_nats()
  return kit.once("nats", function()
    local monitor = ports.free()
    local broker = nats_server.start { conf = "http: 127.0.0.1:" .. monitor }
    broker.monitor = ("http://127.0.0.1:%d/varz"):format(monitor)
    return broker
  end)
end

-- ---- nats_publish: the server itself counts what has come in

local function nats_settings(broker, more)
  return ('loadmodule "nats.so"\nmodparam("nats", "nats_url", "%s")\n%s\n'):format(broker.url, more or "")
end

local function monitored(broker, field)
  return tonumber(assert(http.request(broker.monitor)):match('"' .. field .. '": (%d+)'))
end

-- Returns how many did not arrive when nothing has come for a second.
local function await_count(broker, target)
  local seen, since = -1, socket.gettime()
  while true do
    local now_in = monitored(broker, "in_msgs")
    if now_in >= target then return nil end
    if now_in > seen then seen, since = now_in, socket.gettime() end
    if socket.gettime() - since > 1 then return target - now_in end
    socket.sleep(wait.interval)
  end
end

function nats.publish(workers)
  return function(which, options)
    local broker = the_nats()
    local cfg = kit.loop_cfg(nats_settings(broker), 'nats_publish("bench.bulk", "$var(p)")')
    local server = kit.start_kamailio(which, workers, cfg)
    local expected = monitored(broker, "in_msgs")
    local result = kit.run_timed(server, workers, options, function(count)
      local lost = await_count(broker, expected + count)
      expected = expected + count - (lost or 0)
      return lost
    end)
    kit.stop_kamailio(server)
    return result
  end
end

-- ---- nats_js_publish, against nats.c; Debian's module has no such thing

local stream = "BENCH"

local function the_jetstream()
  local broker = kit.once("jetstream", function() return nats_server.start { jetstream = true } end)
  local api = kit.once("streams", function()
    local streams = jetstream.connect { port = broker.port }
    streams:stream(stream, { subjects = { "bench.js" }, storage = "memory" })
    streams.stop = streams.close
    return streams
  end)
  return broker, api
end

local function store_bare(broker, count)
  local output = files.must_run(files.quote_all { kit.program_path("nats_js"), broker.url, "bench.js", kit.payload, count })
  local seconds, cpu = output:match("([%d.]+) ([%d.]+)")
  return { count = count, seconds = tonumber(seconds), cpu = tonumber(cpu) }
end

local function store_bare_timed(broker, options)
  local trial = store_bare(broker, 20000)
  return store_bare(broker, math.ceil(trial.count / trial.seconds * options.seconds))
end

-- Each run finds the stream empty.
function nats.js(which, options)
  local broker, api = the_jetstream()
  api:must("STREAM.PURGE." .. stream)
  if which == "stock" then return store_bare_timed(broker, options) end
  local server = kit.start_kamailio(which, 1, kit.loop_cfg(nats_settings(broker), 'nats_js_publish("bench.js", "$var(p)")'))
  server:wait_log("nats: connected to", kit.patience, 3) -- two publishers and that of streams
  local expected = api:state(stream).last_seq
  local result = kit.run_timed(server, 1, options, function(count)
    expected = expected + count
    wait.until_(function() return api:state(stream).last_seq >= expected end, kit.patience, "the stream")
  end)
  kit.stop_kamailio(server)
  return result
end

-- ---- nats_request, against nats.c, asking the same application; Debian's module has no such thing

function nats.request(which, options)
  local broker = the_nats()
  kit.serve_with("nats_rtt", broker)
  local count = 5000 * options.seconds
  if which == "stock" then return kit.ask_bare("nats_rtt", broker, count) end
  local call = [[nats_request("bench.ask", '{"Event-Category":"call_event","Event-Name":"query_req"}', "$var(answer)")]]
  local server = kit.start_kamailio(which, 1, kit.asking_cfg(nats_settings(broker), call))
  server:wait_log("nats: connected to", kit.patience, 3) -- two publishers and the requester
  return kit.ask_in_route(server, count)
end

-- ---- NATS deliveries: the sender keeps as many under way as the receiver takes

local window, size = 5000, 64

-- Adds lengths up, so that each message is read.
local nats_deliveries_cfg = [[
event_route[nats:bench] {
  $var(bytes) = $var(bytes) + $(natsData{s.len});
  if ($var(bytes) mod %d == 0) nats_publish("bench.progress", "$var(bytes)");
}
]]

local function blast(broker, count)
  local output = files.must_run(files.quote_all {
    kit.program_path("nats_blast"), broker.url, "bench", count, size, window,
  })
  local handled, seconds = output:match("(%d+) ([%d.]+)")
  return { count = tonumber(handled), seconds = tonumber(seconds), lost = count - tonumber(handled) }
end

function nats.deliveries(which, options)
  local broker = the_nats()
  local before = monitored(broker, "subscriptions")
  local settings = nats_settings(broker, 'modparam("nats", "subject_queue_group", "bench:bench")')
  local server = kit.start_kamailio(which, 1, settings .. nats_deliveries_cfg:format(window * size))
  wait.until_(function() return monitored(broker, "subscriptions") > before end, kit.patience, "the subscription")
  local trial = blast(broker, 20 * window)
  local cpu = server:cpu()
  local result = blast(broker, math.ceil(trial.count / trial.seconds * options.seconds / window) * window)
  result.cpu = server:cpu() - cpu
  kit.stop_kamailio(server)
  return result
end

return nats
