-- What is measured. Each work returns a result {count, seconds, cpu (of Kamailio, in seconds), refused, lost}.
local http = require "socket.http"
local socket = require "socket"
local amqp = require "support.amqp"
local files = require "support.files"
local jetstream = require "support.jetstream"
local kamailio = require "support.kamailio"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local process = require "support.process"
local rabbit = require "support.rabbit"
local sip = require "support.sip"
local wait = require "support.wait"

local works = { names = {}, by_name = {} }

-- 265 bytes, like the events that fly over such a bus
local payload = '{"Event-Category":"bench","Event-Name":"tick","Call-ID":"8f2a1c9e-77aa-4a3b-9d0e-5b6c7d8e9f00",'
  .. '"From-User":"alice","From-Realm":"sip.example.com","To-User":"bob","To-Realm":"sip.example.com",'
  .. '"State":"confirmed","Direction":"initiator","Switch-URI":"sip:10.0.0.1:5060"}'

local patience = 30 -- seconds that nothing here may take

-- Brokers, and a Kamailio that answers, start when the first work needs them and serve all.
local brokers = {}

local function the_rabbit()
  brokers.rabbit = brokers.rabbit or rabbit.start {}
  return brokers.rabbit
end

local function the_nats()
  if not brokers.nats then
    local monitor = ports.free()
    brokers.nats = nats_server.start { conf = "http: 127.0.0.1:" .. monitor }
    brokers.nats.monitor = ("http://127.0.0.1:%d/varz"):format(monitor)
  end
  return brokers.nats
end

function works.stop()
  for _, broker in pairs(brokers) do broker:stop() end
end

local function start_kamailio(which, children, cfg)
  local server, log = kamailio.start { modules = which, children = children, cfg = cfg, shared_memory = 256 }
  if not server then error("Kamailio with the " .. which .. " module did not start:\n" .. log, 0) end
  return server
end

local function stop_kamailio(server)
  local ended = server:stop(15)
  if ended.crash then io.stderr:write("bench: Kamailio crashed: ", ended.crash, "\n") end
end

-- ---- loops in SIP workers: one MESSAGE per worker, its body says how many messages

-- The arithmetic of a script costs as much as a fast module, so there are ten calls for one step of the counter.
local unrolled = 10

local loop_route = [[
max_while_loops=1000000000
%s
request_route {
  $var(p) = '%s';
  $var(n) = $(rb{s.int});
  $var(i) = 0;
  $var(refused) = 0;
  while ($var(i) < $var(n)) {
    $var(i) = $var(i) + %d;
    %s
  }
  %s
  sl_send_reply("200", "refused $var(refused)");
}
]]

-- What is refused is offered again, like a caller who must get it out.
local function insisted(call)
  return ('while (!%s) { $var(refused) = $var(refused) + 1; usleep("1000"); }\n'):format(call)
end

local function loop_cfg(settings, call, sentinel)
  local last = sentinel and insisted(sentinel) or ""
  return loop_route:format(settings, payload, unrolled, insisted(call):rep(unrolled), last)
end

local function send_to_workers(server, workers, count)
  local clients = {}
  for i = 1, workers do
    clients[i] = sip.client(server.port)
    clients[i]:start { method = "MESSAGE", body = tostring(count) }
  end
  return clients
end

local function collect_refused(clients)
  local refused = 0
  for _, client in ipairs(clients) do
    local reply = assert(client:await_reply(patience))
    refused = refused + tonumber(reply.reason:match("%d+"))
    client:close()
  end
  return refused
end

-- One message from us for each worker, many of theirs. await_all(count) returns when what they sent has come out of the
-- broker; it may return how many did not.
local function run_workers(server, workers, per_worker, await_all)
  local cpu, started = server:cpu(), socket.gettime()
  local clients = send_to_workers(server, workers, per_worker)
  local lost = await_all(workers * per_worker)
  local seconds = socket.gettime() - started
  return {
    count = workers * per_worker - (lost or 0), seconds = seconds, cpu = server:cpu() - cpu, lost = lost,
    refused = collect_refused(clients),
  }
end

local function run_messages(server, workers, messages, await_all)
  local per_worker = math.ceil(messages / workers / unrolled) * unrolled
  return run_workers(server, workers, per_worker, await_all)
end

-- Shorter runs warm up and tell how many messages make about the time wanted.
local function run_timed(server, workers, options, await_all)
  local messages = 10000
  while true do
    local result = run_messages(server, workers, messages, await_all)
    if result.seconds > 0.6 * options.seconds then return result end
    messages = messages * math.min(10, options.seconds / result.seconds)
  end
end

local function empty_loop(which, options)
  local server = start_kamailio(which, 1, loop_cfg("", 'is_method("MESSAGE")'))
  local result = run_timed(server, 1, options, function() server.sip:options { body = "0", deadline = patience } end)
  stop_kamailio(server)
  return result
end

-- ---- kazoo_publish

-- Without a database Debian's module starts only with pua_mode 0.
local function kazoo_settings(broker)
  return ([[
loadmodule "kazoo.so"
modparam("kazoo", "node_hostname", "bench.example.com")
modparam("kazoo", "amqp_connection", "%s")
modparam("kazoo", "amqp_consumer_processes", 1)
modparam("kazoo", "amqp_consumer_workers", 1)
modparam("kazoo", "pua_mode", 0)
]]):format(broker.url)
end

-- Sentinels go to a queue of their own, after all that their worker sent.
local function declare_for_publish(client, options)
  client:exchange("bench.bulk", "topic")
  client:exchange("bench.done", "direct")
  client:queue("bench.done")
  client:bind("bench.done", "bench.done", "done")
  if options.to_queue then
    client:queue("bench.bulk")
    client:bind("bench.bulk", "bench.bulk", "#")
  end
end

local function remove_after_publish(client, options)
  client:delete_queue("bench.done")
  if options.to_queue then client:delete_queue("bench.bulk") end
end

local function publish_work(workers)
  return function(which, options)
    local broker = the_rabbit()
    local client = amqp.client(broker)
    declare_for_publish(client, options)
    local sentinels = client:consumer("bench.done")
    local cfg = loop_cfg(kazoo_settings(broker), 'kazoo_publish("bench.bulk", "bench.tick", "$var(p)")',
      'kazoo_publish("bench.done", "done", "$var(p)")')
    local server = start_kamailio(which, workers, cfg)
    local seen = 0
    local result = run_timed(server, workers, options, function()
      seen = seen + workers
      sentinels:wait(seen, patience)
    end)
    stop_kamailio(server)
    sentinels:stop()
    remove_after_publish(client, options)
    return result
  end
end

-- ---- AMQP deliveries: a full queue, then Kamailio comes

local deliveries_cfg = [[
event_route[kazoo:mod-init] {
  kazoo_subscribe("bench.events", "direct", "bench.events", "tick");
}
event_route[kazoo:consumer-event-bench-tick] {
  $var(call) = $(kzE{kz.json,Call-ID});
  $var(user) = $(kzE{kz.json,From-User});
  $var(n) = $var(n) + 1;
  if ($var(n) == 1 || $var(n) == %d) xlog("L_NOTICE", "bench: message $var(n) $var(call) $var(user) at $TV(Sn)\n");
}
]]

local function stamp(server, number)
  local line = server:wait_log(("bench: message %d "):format(number), patience)
  return tonumber(line:match("at ([%d.]+)"))
end

local function deliveries(which, options)
  local broker = the_rabbit()
  local client = amqp.client(broker)
  local count = math.ceil(30000 * options.seconds)
  client:queue("bench.events", "auto_delete") -- as the module itself declares it
  client:publish("", "bench.events", payload, { count = count })
  local server = start_kamailio(which, 1, kazoo_settings(broker) .. deliveries_cfg:format(count))
  local first = stamp(server, 1)
  local cpu = server:cpu()
  local last = stamp(server, count)
  cpu = server:cpu() - cpu
  stop_kamailio(server)
  return { count = count, seconds = last - first, cpu = cpu }
end

-- ---- kazoo_query. Debian's module dies of it, so the first column is bare librabbitmq, asking the same application.

local query_cfg = [[
max_while_loops=1000000000
%s
request_route {
  $var(n) = $(rb{s.int});
  $var(i) = 0;
  $var(failed) = 0;
  while ($var(i) < $var(n)) {
    if (!%s) {
      $var(failed) = $var(failed) + 1;
    }
    $var(i) = $var(i) + 1;
  }
  sl_send_reply("200", "refused $var(failed)");
}
]]

-- A program that answers, and asks as nothing but the bare library would: build/spec/PROGRAM.
local applications = {}

local function program_path(program) return files.root .. "/build/spec/" .. program end

local function serve_with(program, broker)
  if applications[program] then return end
  local application = process.spawn {
    name = program, folder = files.new_folder(program), command = { program_path(program), broker.url, "serve" },
  }
  applications[program] = application
  wait.until_(function() return application:log():find("ready", 1, true) end, patience, "the application that answers")
end

local function ask_bare(program, broker, count, ...)
  local output = files.must_run(files.quote_all { program_path(program), broker.url, "ask", count, ... })
  local mean, cpu = output:match("([%d.]+) [%d.]+ ([%d.]+)")
  return { count = count, seconds = mean * count / 1e6, cpu = cpu * count / 1e6 }
end

-- A route that asks many times in one SIP worker, once the server says that its connection stands.
local function ask_in_route(server, count)
  local cpu, started = server:cpu(), socket.gettime()
  local failed = collect_refused(send_to_workers(server, 1, count))
  local result = { count = count, seconds = socket.gettime() - started, cpu = server:cpu() - cpu, refused = failed }
  stop_kamailio(server)
  return result
end

local query_call = [[kazoo_query("%s", "call.status", "{'Event-Category':'call_event','Event-Name':'query_req'}")]]

-- What asks the application that is at this exchange.
local function query_work(exchange, serve)
  return function(which, options)
    local broker = the_rabbit()
    serve(broker)
    local count = 2000 * options.seconds
    if which == "stock" then return ask_bare("amqp_rtt", broker, count, exchange) end
    local server = start_kamailio(which, 1, query_cfg:format(kazoo_settings(broker), query_call:format(exchange)))
    server:wait_log("consuming queue", patience)
    return ask_in_route(server, count)
  end
end

local answering_cfg = [[
event_route[kazoo:mod-init] {
  kazoo_subscribe("callroute", "topic", "callroute", "call.#");
}
event_route[kazoo:consumer-event-call-event-query-req] {
  kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})", "{'Event-Category':'call_event',
    'Event-Name':'query_resp', 'Msg-ID':'$(kzE{kz.json,Msg-ID})', 'Status':'ok'}");
}
]]

local function serve_with_route(broker)
  if brokers.answering then return end
  brokers.answering = start_kamailio("ours", 1, kazoo_settings(broker) .. answering_cfg)
  brokers.answering:wait_log('consuming queue "callroute"', patience)
  brokers.answering:wait_log('consuming queue "[^"]*%-targeted%-', patience) -- now the exchange for answers is there
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

local function nats_publish_work(workers)
  return function(which, options)
    local broker = the_nats()
    local cfg = loop_cfg(nats_settings(broker), 'nats_publish("bench.bulk", "$var(p)")')
    local server = start_kamailio(which, workers, cfg)
    local expected = monitored(broker, "in_msgs")
    local result = run_timed(server, workers, options, function(count)
      local lost = await_count(broker, expected + count)
      expected = expected + count - (lost or 0)
      return lost
    end)
    stop_kamailio(server)
    return result
  end
end

-- ---- nats_js_publish, against nats.c; Debian's module has no such thing

local stream = "BENCH"

local function the_jetstream()
  if not brokers.jetstream then
    brokers.jetstream = nats_server.start { jetstream = true }
    brokers.streams = jetstream.connect { port = brokers.jetstream.port }
    brokers.streams:stream(stream, { subjects = { "bench.js" }, storage = "memory" })
    brokers.streams.stop = brokers.streams.close
  end
  return brokers.jetstream, brokers.streams
end

local function store_bare(broker, count)
  local output = files.must_run(files.quote_all { program_path("nats_js"), broker.url, "bench.js", payload, count })
  local seconds, cpu = output:match("([%d.]+) ([%d.]+)")
  return { count = count, seconds = tonumber(seconds), cpu = tonumber(cpu) }
end

local function store_bare_timed(broker, options)
  local trial = store_bare(broker, 20000)
  return store_bare(broker, math.ceil(trial.count / trial.seconds * options.seconds))
end

-- Each run finds the stream empty.
local function nats_js(which, options)
  local broker, api = the_jetstream()
  api:must("STREAM.PURGE." .. stream)
  if which == "stock" then return store_bare_timed(broker, options) end
  local server = start_kamailio(which, 1, loop_cfg(nats_settings(broker), 'nats_js_publish("bench.js", "$var(p)")'))
  server:wait_log("nats: connected to", patience, 3) -- two publishers and that of streams
  local expected = api:state(stream).last_seq
  local result = run_timed(server, 1, options, function(count)
    expected = expected + count
    wait.until_(function() return api:state(stream).last_seq >= expected end, patience, "the stream")
  end)
  stop_kamailio(server)
  return result
end

-- ---- nats_request, against nats.c, asking the same application; Debian's module has no such thing

local function nats_request(which, options)
  local broker = the_nats()
  serve_with("nats_rtt", broker)
  local count = 5000 * options.seconds
  if which == "stock" then return ask_bare("nats_rtt", broker, count) end
  local call = [[nats_request("bench.ask", '{"Event-Category":"call_event","Event-Name":"query_req"}', "$var(answer)")]]
  local server = start_kamailio(which, 1, query_cfg:format(nats_settings(broker), call))
  server:wait_log("nats: connected to", patience, 3) -- two publishers and the requester
  return ask_in_route(server, count)
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
    files.root .. "/build/spec/nats_blast", broker.url, "bench", count, size, window,
  })
  local handled, seconds = output:match("(%d+) ([%d.]+)")
  return { count = tonumber(handled), seconds = tonumber(seconds), lost = count - tonumber(handled) }
end

local function nats_deliveries(which, options)
  local broker = the_nats()
  local before = monitored(broker, "subscriptions")
  local settings = nats_settings(broker, 'modparam("nats", "subject_queue_group", "bench:bench")')
  local server = start_kamailio(which, 1, settings .. nats_deliveries_cfg:format(window * size))
  wait.until_(function() return monitored(broker, "subscriptions") > before end, patience, "the subscription")
  local trial = blast(broker, 20 * window)
  local cpu = server:cpu()
  local result = blast(broker, math.ceil(trial.count / trial.seconds * options.seconds / window) * window)
  result.cpu = server:cpu() - cpu
  stop_kamailio(server)
  return result
end

-- ---- the list, with the targets that the design sets

local function add(name, title, module, run, target)
  works.names[#works.names + 1] = name
  works.by_name[name] = { title = title, module = module, run = run, target = target }
end

add("loop", "a call that does nothing, 1 worker", nil, empty_loop)
add("publish1", "kazoo_publish, 1 SIP worker", "kazoo", publish_work(1), { rate = 5, cpu = 1 / 4 })
add("publish4", "kazoo_publish, 4 SIP workers", "kazoo", publish_work(4), { rate = 2.5, cpu = 1 / 4 })
add("deliveries", "AMQP deliveries, two {kz.json}", "kazoo", deliveries, { rate = 2, cpu_us = 10 })
local query_target = { rate = 1 / 1.3, cpu_us = 395 / 4 }
add("query", "kazoo_query, against bare library", "kazoo",
  query_work("callevt", function(broker) serve_with("amqp_rtt", broker) end), query_target)
add("query_route", "the same, an event_route answers", "kazoo", query_work("callroute", serve_with_route), query_target)
add("nats1", "nats_publish, 1 SIP worker", "nats", nats_publish_work(1), { rate = 2.5, cpu = 1 / 3 })
add("nats4", "nats_publish, 4 SIP workers", "nats", nats_publish_work(4))
add("nats_request", "nats_request, against nats.c", "nats", nats_request, { rate = 1 / 1.3 })
add("nats_js", "nats_js_publish, against nats.c", "nats", nats_js, { rate = 1 / 2 })
add("nats_deliveries", "NATS deliveries", "nats", nats_deliveries, { rate = 1 })

return works
