-- What operators see of a broker that refuses, blocks, or is lost.
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local kazoo_stats = require "support.kazoo_stats"
local rabbit = require "support.rabbit"
local stats = require "support.stats"
local wait = require "support.wait"

local subscribe = kazoo_stats.subscribe

local routes = { ask_nobody = kazoo_stats.ask_nobody, ask_nobody_briefly = kazoo_stats.ask_nobody_briefly }

local events = {
  ["consumer-event-spec-hold"] = [[xlog("L_NOTICE", "route begins\n");]] .. kazoo.hold,
}

describe("A broker in trouble is seen:", function()
  local broker, client, server

  setup(function()
    broker = rabbit.start()
    client = amqp.client(broker)
    client:exchange("sx", "topic")
    client:queue("unanswered")
    server = kazoo.start {
      rabbit = broker, routes = routes, events = events, settings = kazoo.hold_settings, children = 2,
      params = { amqp_consumer_processes = 1, amqp_query_timeout_avp = "$avp(ms)", amqp_query_timeout_sec = 20,
        amqp_heartbeats = 60 },
      mod_init = subscribe "'exchange':'tx', 'queue':'tq', 'routing':'event', 'no_ack':0, 'wait_for_consumer_ack':1"
        .. subscribe "'exchange':'taken', 'queue':'wq', 'routing':'event'",
    }
    server:wait_log('consuming from queue "wq"')
  end)

  teardown(function()
    server:stop()
    broker:stop()
  end)

  it("a subscription that it refuses, and why, until it does not", function()
    client:delete_queue("wq")
    client:delete_exchange("taken")
    client:exchange("taken", "fanout")
    local subscription = wait.until_(function()
      local s = stats.one(server, "kazoo.subscriptions", { queue = "wq" })
      return s.state == "retrying" and s.reason:find("406", 1, true) and s
    end, 10, "the refused subscription")
    assert.matches('declaring exchange "taken"', subscription.reason)
    assert.equal("active", stats.one(server, "kazoo.subscriptions", { queue = "tq" }).state)
    client:delete_exchange("taken")
    stats.await(server, "kazoo.subscriptions", { state = "active", reason = "" }, { queue = "wq" })
  end)

  -- The broker as it was, whatever becomes of the specs in between.
  local function afterwards(restore, during)
    local ok, why = pcall(during)
    restore()
    assert(ok, why)
  end

  it("that it blocks publishers, and when it stops blocking them", function()
    broker:ctl("set_vm_memory_high_watermark", "0")
    afterwards(function() broker:ctl("set_vm_memory_high_watermark", "0.6") end, function()
      wait.until_(function()
        server:publish("tx", "nobody listens", "{}") -- blocked is who publishes, once the alarm is out
        return stats.one(server, "kazoo.connections", { name = "publisher", state = "blocked" })
      end, 20, "a blocked publisher")
      assert.equal(1, stats.one(server, "kazoo.stats").connections_blocked)
    end)
    stats.await(server, "kazoo.connections", { state = "open" }, { name = "publisher" }, 20)
    stats.await(server, "kazoo.stats", { outbox_messages = 0 })
  end)

  it("that it blocks the requester, and requests past their deadline are not sent afterwards", function()
    local timeouts
    broker:ctl("set_vm_memory_high_watermark", "0")
    afterwards(function() broker:ctl("set_vm_memory_high_watermark", "0.6") end, function()
      wait.until_(function()
        assert.equal(-2, (server:call("ask_nobody_briefly")))
        return stats.one(server, "kazoo.connections", { name = "requester", state = "blocked" })
      end, 20, "a blocked connection of the requester")
      timeouts = stats.one(server, "kazoo.stats").queries_timeout
      assert.equal(-2, (server:call("ask_nobody_briefly")))
    end)
    stats.await(server, "kazoo.stats",
      { queries_timeout = timeouts + 1, publish_expired = 1, outbox_messages = 0, outbox_bytes = 0 }, nil, 30)
    stats.await(server, "kazoo.connections", { state = "open" }, { name = "requester" })
  end)

  it("a lost connection, the requests lost with it, and redelivered messages", function()
    local hold = '{"Event-Category":"spec","Event-Name":"hold"}'
    client:publish("tx", "event", hold, { persistent = true, confirm = true })
    server:wait_log("route begins")
    server.sip:start { method = "MESSAGE", uri = "sip:ask_nobody@127.0.0.1" }
    stats.await(server, "kazoo.stats", { queries_under_way = 1 })
    local before = stats.one(server, "kazoo.stats")
    broker:kill9()
    stats.await(server, "kazoo.stats", { connections_open = 0, queries_lost = before.queries_lost + 1 })
    local consumer = stats.one(server, "kazoo.connections", { name = "consumer" })
    assert.not_equal("", consumer.last_error)
    assert.equal("not connected", stats.one(server, "kazoo.subscriptions", { queue = "tq" }).reason)
    assert(server.sip:await_reply(5))
    broker:start_again()
    stats.await(server, "kazoo.stats", { connections_open = 3, reconnects = before.reconnects + 3 }, nil, 30)
    stats.await(server, "kazoo.connections", { state = "open", reconnects = 1 }, { name = "consumer" })
    server:let_go()
    stats.await(server, "kazoo.stats", { redelivered = 1, acked = before.acked + 1 }, nil, 20)
  end)
end)
