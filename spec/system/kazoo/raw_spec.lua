local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local stats = require "support.stats"
local wait = require "support.wait"

local raw_mod_init = [[kazoo_subscribe('{"exchange":"raw", "type":"topic", "queue":"QUEUE", "routing":"#", "no_ack":0,
  "wait_for_consumer_ack":1}');]]
local note_raw = 'xlog("L_NOTICE", "raw $kzRK [$(kzE{s.len})] $(kzE{s.encode.hexa}) $kzHdr(h) $kzProp(content-type)\\n");'

describe("A body that is no JSON object", function()
  local bodies = { "", " ", "text", "[1,2]", "null", "42", "\0\1\255 binary", '{"a":', "<xml/>" }
  local rabbit, client, server, queue

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  local function hex(text)
    return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
  end

  local function start(events)
    local mod_init
    mod_init, queue = kazoo.with_own_queue(raw_mod_init)
    server = kazoo.start { rabbit = rabbit, events = events, mod_init = mod_init }
    server:wait_log(('consuming from queue "%s"'):format(queue:gsub("%-", "%%-")))
  end

  it("runs kazoo:consumer-event-raw, which reads it as it came, with its headers and properties", function()
    start { ["consumer-event-raw"] = note_raw, ["consumer-event"] = kazoo.note("json") }
    for i, body in ipairs(bodies) do
      client:publish("raw", "n" .. i, body, { headers = { h = "header" .. i }, content_type = "text/x" })
      local line = server:wait_log(("raw n%d "):format(i))
      assert.matches(("raw n%d %%[%d%%] %s header%d text/x"):format(i, #body, hex(body), i), (line:gsub("<null>", "")))
    end
    client:publish("raw", "json", "{'id':'single quotes, as json-c reads them'} behind")
    assert.equal("single quotes, as json-c reads them", server:event("as json-c reads them").payload.id)
    assert.equal(0, server:count_log("discarding message"))
    assert.equal(0, stats.one(server, "kazoo.subscriptions", { queue = queue }).dropped_unreadable)
  end)

  it("is acknowledged after that route", function()
    start { ["consumer-event-raw"] = note_raw }
    client:publish("raw", "k", "text")
    server:wait_log("raw k")
    wait.until_(function() return (client:queue(queue, "auto_delete")) == 0 end, 5, "an empty queue")
    stats.await(server, "kazoo.subscriptions", { acked = 1, rejected = 0 }, { queue = queue })
  end)

  it("is discarded with a line and a count where there is no such route", function()
    start { ["consumer-event"] = kazoo.note("json") }
    client:publish("raw", "k", "text")
    server:wait_log('discarding message on exchange "raw" with routing key "k": not a JSON object at byte 0 of 4: text')
    stats.await(server, "kazoo.subscriptions", { dropped_unreadable = 1 }, { queue = queue })
  end)
end)

describe("RabbitMQ's event exchange", function()
  it("runs kazoo:consumer-event-raw for what the broker tells of itself", function()
    local rabbit = require("support.rabbit").start { plugins = { "rabbitmq_event_exchange" } }
    local server = kazoo.start {
      rabbit = rabbit,
      mod_init = [[kazoo_subscribe('{"exchange":"amq.rabbitmq.event", "type":"topic", "queue":"", "routing":"queue.*",
        "passive":0, "exchange-def":{"type":"topic", "durable":1, "internal":1}}');]],
      events = { ["consumer-event-raw"] = 'xlog("L_NOTICE", "told $kzRK [$kzE] $kzHdr(name) $kzHdr(durable)\\n");' },
    }
    server:wait_log('consuming from queue "" of exchange "amq.rabbitmq.event"')
    amqp.client(rabbit):queue("told-of", "durable")
    server:wait_log("told queue.created %[%] told%-of true")
    server:stop()
    rabbit:stop()
  end)
end)
