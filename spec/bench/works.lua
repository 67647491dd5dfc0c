-- What can be measured, with the targets that the design sets.
local kazoo = require "bench.kazoo"
local kit = require "bench.kit"
local nats = require "bench.nats"

local works = { names = {}, by_name = {}, stop = kit.stop }

local function add(name, title, module, run, target)
  works.names[#works.names + 1] = name
  works.by_name[name] = { title = title, module = module, run = run, target = target }
end

add("loop", "a call that does nothing, 1 worker", nil, kit.empty_loop)
add("publish1", "kazoo_publish, 1 SIP worker", "kazoo", kazoo.publish(1), { rate = 5, cpu = 1 / 4 })
add("publish4", "kazoo_publish, 4 SIP workers", "kazoo", kazoo.publish(4), { rate = 2.5, cpu = 1 / 4 })
add("deliveries", "AMQP deliveries, two {kz.json}", "kazoo", kazoo.deliveries, { rate = 2, cpu_us = 10 })
add("deliveries_bare", "the same, against bare library", "kazoo", kazoo.deliveries_bare)
local query_target = { rate = 1 / 1.3, cpu_us = 395 / 4 }
add("query", "kazoo_query, against bare library", "kazoo", kazoo.query, query_target)
add("query_route", "the same, an event_route answers", "kazoo", kazoo.query_route, query_target)
add("nats1", "nats_publish, 1 SIP worker", "nats", nats.publish(1), { rate = 2.5, cpu = 1 / 3 })
add("nats4", "nats_publish, 4 SIP workers", "nats", nats.publish(4))
add("nats_request", "nats_request, against nats.c", "nats", nats.request, { rate = 1 / 1.3 })
add("nats_js", "nats_js_publish, against nats.c", "nats", nats.js, { rate = 1 / 2 })
add("nats_deliveries", "NATS deliveries", "nats", nats.deliveries, { rate = 1 })

return works
