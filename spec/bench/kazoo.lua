-- What is measured of the kazoo module. A work gets which module it is to use, and the options of the command line, and
-- returns {count, seconds, cpu (of Kamailio, in seconds), refused, lost}.
local amqp = require "support.amqp"
local rabbit = require "support.rabbit"
local kit = require "bench.kit"

local kazoo = {}

local function the_rabbit()
  return kit.once("rabbit", function() return rabbit.start {} end)
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

function kazoo.publish(workers)
  return function(which, options)
    local broker = the_rabbit()
    local client = amqp.client(broker)
    declare_for_publish(client, options)
    local sentinels = client:consumer("bench.done")
    local cfg = kit.loop_cfg(kazoo_settings(broker), 'kazoo_publish("bench.bulk", "bench.tick", "$var(p)")',
      'kazoo_publish("bench.done", "done", "$var(p)")')
    local server = kit.start_kamailio(which, workers, cfg)
    local seen = 0
    local result = kit.run_timed(server, workers, options, function()
      seen = seen + workers
      sentinels:wait(seen, kit.patience)
    end)
    kit.stop_kamailio(server)
    sentinels:stop()
    remove_after_publish(client, options)
    return result
  end
end

-- ---- AMQP deliveries: a full queue, as after an outage; then Kamailio comes

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
  local line = server:wait_log(("bench: message %d "):format(number), kit.patience)
  return tonumber(line:match("at ([%d.]+)"))
end

local function fill_queue(options)
  local broker = the_rabbit()
  local client = amqp.client(broker)
  local count = math.ceil(30000 * options.seconds)
  client:queue("bench.events", "auto_delete") -- as the module itself declares it
  client:publish("", "bench.events", kit.payload, { count = count })
  broker:await_rest("bench.events") -- else RabbitMQ's garbage is what is measured: it delivers a third as fast
  return broker, count
end

function kazoo.deliveries(which, options)
  local broker, count = fill_queue(options)
  local server = kit.start_kamailio(which, 1, kazoo_settings(broker) .. deliveries_cfg:format(count))
  local first = stamp(server, 1)
  local cpu = server:cpu()
  local last = stamp(server, count)
  cpu = server:cpu() - cpu
  kit.stop_kamailio(server)
  return { count = count, seconds = last - first, cpu = cpu }
end

-- How fast RabbitMQ delivers at all on this machine, to a program that does nothing with it.
function kazoo.deliveries_bare(which, options)
  if which ~= "stock" then return kazoo.deliveries(which, options) end
  local broker, count = fill_queue(options)
  return kit.drain_bare("amqp_rtt", broker, count, "bench.events")
end

-- ---- kazoo_query. Debian's module dies of it, so the first column is bare librabbitmq, asking the same application.

local query_call = [[kazoo_query("%s", "call.status", "{'Event-Category':'call_event','Event-Name':'query_req'}")]]

-- What asks the application that is at this exchange.
local function query_work(exchange, serve)
  return function(which, options)
    local broker = the_rabbit()
    serve(broker)
    local count = 2000 * options.seconds
    if which == "stock" then return kit.ask_bare("amqp_rtt", broker, count, exchange) end
    local server = kit.start_kamailio(which, 1, kit.asking_cfg(kazoo_settings(broker), query_call:format(exchange)))
    server:wait_log("consuming from queue", kit.patience)
    return kit.ask_in_route(server, count)
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
  kit.once("answering", function()
    local server = kit.start_kamailio("ours", 1, kazoo_settings(broker) .. answering_cfg)
    server:wait_log('consuming from queue "callroute"', kit.patience)
    server:wait_log('consuming from queue "[^"]*%-targeted%-', kit.patience) -- now the exchange for answers is there
    return server
  end)
end

kazoo.query = query_work("callevt", function(broker) kit.serve_with("amqp_rtt", broker) end)
kazoo.query_route = query_work("callroute", serve_with_route)

return kazoo
