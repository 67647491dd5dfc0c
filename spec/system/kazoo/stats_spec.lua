-- What operators see of the kazoo module: each counter moves for its own reason, and no other does.
local socket = require "socket"
local samples = require "soak.samples"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"
local rabbit = require "support.rabbit"
local stats = require "support.stats"
local wait = require "support.wait"

-- Levels and not counts: they have specs of their own.
local levels = { outbox_bytes_high = true, query_us_p50 = true, query_us_p90 = true, query_us_p99 = true }

local function moves(server, expected, action, ...)
  stats.moves(server, "kazoo.stats", levels, expected, action, ...)
end

local routes = {
  ask = [[kazoo_query("sx", "ask", "{'Event-Category':'spec', 'Event-Name':'ask'}");]],
  mandatory = [[kazoo_publish("sx", "nobody listens", "{}", "", "mandatory=1");]],
  ask_nobody = [[kazoo_query("", "unanswered", "{}");]],
  ask_nobody_briefly = [[$avp(ms) = 300; kazoo_query("", "unanswered", "{}");]],
  ask_nobody_patiently = [[$avp(ms) = 1000; kazoo_query("", "unanswered", "{}");]],
  ask_no_queue = [[kazoo_query("targeted", "nobody", "{}");]],
  odd_property = [[kazoo_publish("sx", "k", "{}", "", "colour=red");]],
  odd_time = [[kazoo_publish_wait("sx", "k", "{}", "soon");]],
  ask_wrongly = [[kazoo_query("targeted", "nobody", "no JSON");]],
  -- "accepted refused" of 100 messages of some 2000 bytes
  fill = [[
    $var(p) = "0123456789abcdef"; $var(i) = 0;
    while ($var(i) < 7) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    $var(i) = 0; $var(n) = 0; $var(refused) = 0;
    while ($var(i) < 100) {
      if (kazoo_publish("sx", "k", "{'p':'$var(p)'}")) { $var(n) = $var(n) + 1; }
      else { $var(refused) = $var(refused) + 1; }
      $var(i) = $var(i) + 1;
    }
    $var(out) = $_s($var(n) $var(refused)); $var(rc) = 1;]],
  large = [[
    $var(p) = "0123456789abcdef"; $var(i) = 0;
    while ($var(i) < 13) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    $var(p) = "{'p':'" + $var(p) + "'}";
    kazoo_publish("sx", "k", $var(p));]],
}

local events = {
  ["consumer-event-spec-known"] = kazoo.note("known"),
  ["consumer-event-spec-ask"] = [[
    kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})", "{'Msg-ID' : '$(kzE{kz.json,Msg-ID})', 'is' : 'answer'}");]],
  ["consumer-event-spec-reject"] = "kazoo_reject();",
  ["consumer-event-spec-requeue"] = "if ($kzRedelivered == 0) kazoo_requeue();",
  ["consumer-event-spec-hold"] = [[xlog("L_NOTICE", "route begins\n");]] .. kazoo.hold,
}

local settings = kazoo.hold_settings .. "\n"

local function subscribe(fields)
  return ([[kazoo_subscribe("{'type':'topic', 'durable':1, 'auto_delete':0, %s}");]]):format(fields)
end

local known = '{"Event-Category":"spec","Event-Name":"known"}'

describe("The statistics of kazoo", function()
  local server, client

  setup(function()
    client = amqp.client(kazoo.shared_rabbit())
    client:queue("unanswered")
    server = kazoo.start {
      rabbit = kazoo.shared_rabbit(), routes = routes, events = events,
      params = { amqp_inbox_size = 65536, amqp_query_timeout_avp = "$avp(ms)", amqp_query_timeout_sec = 10 },
      mod_init = subscribe "'exchange':'sx', 'queue':'sq', 'routing':['event','ask'], 'no_ack':0"
        .. subscribe "'exchange':'sx', 'queue':'sw', 'routing':'settle', 'no_ack':0, 'wait_for_consumer_ack':1",
      settings = settings .. [[
        loadmodule "xhttp.so"
        loadmodule "xhttp_prom.so"
        modparam("xhttp_prom", "xhttp_prom_stats", "all")
        disable_tcp=no
        tcp_children=1
        tcp_accept_no_cl=yes
        listen=tcp:127.0.0.1:]] .. ports.free() .. "\n" ..
        "event_route[xhttp:request] { prom_dispatch(); }",
    }
    server:wait_log('consuming from queue "sw"')
    stats.await(server, "kazoo.stats", { connections_open = 3 })
  end)

  teardown(function()
    server:stop()
    for _, queue in ipairs { "sq", "sw", "unanswered" } do client:delete_queue(queue) end
  end)

  local function ask(route, result)
    local rc = server:call(route, { deadline = 10 })
    assert.equal(result, rc)
  end

  it("count published and confirmed messages", function()
    moves(server, { published = 3, confirmed = 3 }, function()
      for _ = 1, 3 do assert.equal(1, server:publish("sx", "nobody listens", "{}")) end
    end)
    assert.is_true(stats.one(server, "kazoo.stats").outbox_bytes_high > 0)
  end)

  it("count payloads, properties and times that are refused", function()
    moves(server, { refused = 3, refused_invalid = 3 }, function()
      assert.equal(-1, server:publish("sx", "k", "no JSON"))
      assert.equal(-1, (server:call("odd_property")))
      assert.equal(-1, (server:call("odd_time")))
    end)
  end)

  it("count messages that the broker returns", function()
    moves(server, { published = 1, confirmed = 1, returned = 1 }, server.call, server, "mandatory")
  end)

  it("count messages that the broker refuses", function()
    moves(server, { published = 1, publish_rejected = 1 }, server.publish, server, "no such exchange", "k", "{}")
  end)

  it("count messages that AMQP has no room for", function()
    local name = ("n"):rep(300)
    moves(server, { refused = 1, refused_invalid = 1 }, server.publish, server, "sx", "k", "{}", name .. "=1")
  end)

  it("count deliveries and their acknowledgements", function()
    moves(server, { delivered = 2, acked = 2 }, function()
      for _ = 1, 2 do client:publish("sx", "event", known) end
    end)
  end)

  local function settle(how)
    client:publish("sx", "settle", ('{"Event-Category":"spec","Event-Name":"%s"}'):format(how))
  end

  it("count deliveries that a route rejects", function()
    moves(server, { delivered = 1, rejected = 1 }, settle, "reject")
  end)

  it("count deliveries that a route requeues, and that come again", function()
    moves(server, { delivered = 2, requeued = 1, redelivered = 1, acked = 1 }, settle, "requeue")
  end)

  it("count deliveries without a route", function()
    local unknown = '{"Event-Category":"spec","Event-Name":"unknown"}'
    moves(server, { delivered = 1, acked = 1, dropped_no_route = 1 }, client.publish, client, "sx", "event", unknown)
  end)

  it("count deliveries that cannot be read", function()
    moves(server, { delivered = 1, acked = 1, dropped_unreadable = 1 }, client.publish, client, "sx", "event", "[1")
  end)

  it("count deliveries that are too large", function()
    local large = '{"p":"' .. ("x"):rep(40000) .. '"}'
    moves(server, { rejected = 1, dropped_too_large = 1 }, client.publish, client, "sx", "event", large)
  end)

  it("count requests and their replies", function()
    moves(server, {
      published = 2, sent_unconfirmed = 1, confirmed = 1, delivered = 1, acked = 1, queries_answered = 1,
    }, ask, "ask", 1)
  end)

  it("count requests without a reply", function()
    moves(server, { published = 1, sent_unconfirmed = 1, queries_timeout = 1 }, ask, "ask_nobody_briefly", -2)
  end)

  it("count requests that reach no queue, but not as returned messages", function()
    moves(server, { published = 1, sent_unconfirmed = 1, queries_unroutable = 1 }, ask, "ask_no_queue", -3)
  end)

  it("count requests that cannot be sent", function()
    moves(server, { refused = 1, refused_invalid = 1, queries_refused = 1 }, ask, "ask_wrongly", -1)
  end)

  it("count requests in flight", function()
    server.sip:start { method = "MESSAGE", uri = "sip:ask_nobody_patiently@127.0.0.1" }
    stats.await(server, "kazoo.stats", { queries_under_way = 1 })
    assert.equal(1, stats.one(server, "kazoo.queries").under_way)
    assert(server.sip:await_reply(10))
    stats.await(server, "kazoo.stats", { queries_under_way = 0 })
  end)

  it("show how long replies take", function()
    for _ = 1, 10 do ask("ask", 1) end
    local queries, sum = stats.one(server, "kazoo.queries"), 0
    for _, count in pairs(queries.answered_below_us) do sum = sum + count end
    assert.equal(queries.answered, sum)
    assert.is_true(queries.answered >= 10)
    for _, name in ipairs { "mean_us", "p50_us", "p90_us", "p99_us" } do
      assert.is_true(queries[name] > 20 and queries[name] < 5e6, name .. " is " .. queries[name])
    end
    assert.is_true(queries.p50_us <= queries.p90_us and queries.p90_us <= queries.p99_us)
    assert.equal(queries.p90_us, stats.one(server, "kazoo.stats").query_us_p90)
  end)

  it("are statistics of the core", function()
    local own, core = stats.one(server, "kazoo.stats"), {}
    for name, value in server:rpc("stats.get_statistics", "kazoo:"):gmatch("kazoo:(%S+) = (%d+)") do
      core[name] = tonumber(value)
    end
    for name, value in pairs(own) do assert.equal(value, core[name], name) end
    for name in pairs(core) do assert.truthy(own[name], name) end
  end)

  it("are shown to Prometheus", function()
    local published = stats.one(server, "kazoo.stats").published
    local port = assert(server:log():match("tcp: 127%.0%.0%.1 %[127%.0%.0%.1%]:(%d+)"))
    local tcp = assert(socket.connect("127.0.0.1", port))
    tcp:settimeout(10)
    assert(tcp:send("GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n"))
    local seen = {}
    wait.until_(function()
      local line = assert(tcp:receive("*l"))
      seen[#seen + 1] = line
      return line:match("^kamailio_kazoo_published (%d+)") == tostring(published)
    end, 10, "kamailio_kazoo_published " .. published)
    assert.matches("^HTTP/1.. 200", seen[1])
    tcp:close()
  end)

  it("are counted for each connection", function()
    local consumer, publisher = { name = "consumer" }, { name = "publisher" }
    local in_before = stats.one(server, "kazoo.connections", consumer)
    local out_before = stats.one(server, "kazoo.connections", publisher)
    server:publish("sx", "event", known)
    stats.await(server, "kazoo.connections", { messages_in = in_before.messages_in + 1 }, consumer)
    local now = stats.await(server, "kazoo.connections", { messages_out = out_before.messages_out + 1 }, publisher)
    assert.is_true(now.bytes_out - out_before.bytes_out > #known)
    assert.equal("open", now.state)
    assert.matches("^127%.0%.0%.1:%d+$", now.address)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", now.since)
    assert.equal("", now.last_error)
  end)

  it("are counted for each subscription", function()
    local before = stats.one(server, "kazoo.subscriptions", { queue = "sq" })
    assert.equal("active", before.state)
    assert.equal("sx", before.exchange)
    assert.equal("event ask", before.routing)
    client:publish("sx", "event", known)
    stats.await(server, "kazoo.subscriptions", {
      delivered = before.delivered + 1, acked = before.acked + 1,
    }, { queue = "sq" })
  end)
end)

describe("Without a broker the statistics of kazoo", function()
  local server

  setup(function()
    server = kazoo.start {
      routes = routes, settings = settings,
      params = { amqp_connection = "amqp://carl:s3cret@127.0.0.1:" .. ports.free(), amqp_outbox_size = 65536 },
    }
  end)

  teardown(function() server:stop() end)

  it("show what waits in the outbox, and what it has no room for", function()
    local _, out = server:call("fill")
    local accepted, refused = out:match("(%d+) (%d+)")
    local now = stats.one(server, "kazoo.stats")
    assert.is_true(tonumber(accepted) > 10 and tonumber(refused) > 10, out)
    assert.equal(tonumber(accepted), now.published)
    assert.equal(tonumber(accepted), now.outbox_messages)
    assert.equal(tonumber(refused), now.refused_full)
    assert.equal(tonumber(refused), now.refused)
    assert.is_true(now.outbox_bytes > now.outbox_messages * 2048 and now.outbox_bytes <= 65536)
    assert.equal(now.outbox_bytes, now.outbox_bytes_high)
  end)

  it("count messages that will never fit", function()
    moves(server, { refused = 1, refused_too_large = 1 }, server.call, server, "large")
  end)

  it("count requests that fail at once", function()
    moves(server, { queries_refused = 1 }, server.call, server, "ask_nobody")
  end)

  it("show why no connection is open, without the password", function()
    local consumer = wait.until_(function()
      local c = stats.one(server, "kazoo.connections", { name = "consumer" })
      return c.failed_attempts > 1 and c.last_error ~= "" and c
    end, 10, "failed attempts")
    assert.is_true(consumer.state == "closed" or consumer.state == "connecting")
    assert.equal(0, stats.one(server, "kazoo.stats").connections_open)
    for _, command in ipairs { "kazoo.stats", "kazoo.connections", "kazoo.subscriptions", "kazoo.queries" } do
      assert.is_nil(server:rpc(command):find("s3cret", 1, true))
    end
  end)
end)

describe("The outbox of the default size", function()
  local server

  setup(function()
    server = kazoo.start { rabbit = kazoo.shared_rabbit(), routes = routes, settings = settings }
    stats.await(server, "kazoo.stats", { connections_open = 3 })
  end)

  teardown(function() server:stop() end)

  -- 19 MB through a ring of 16 MB, 200 KB at a time.
  it("needs little memory while the broker confirms", function()
    local before, rounds = samples.take(server).shared, 90
    for _ = 1, rounds do
      local _, out = server:call("fill")
      assert.equal("100 0", out)
      stats.await(server, "kazoo.stats", { outbox_messages = 0 })
    end
    assert.is_true(stats.one(server, "kazoo.stats").published >= 100 * rounds)
    local grown = samples.take(server).shared - before
    assert.is_true(grown < 2048, grown .. " kB")
  end)
end)

describe("With several zones kazoo shows", function()
  local server

  setup(function()
    local dead = "amqp://127.0.0.1:" .. ports.free()
    server = kazoo.start {
      params = { amqp_connection = { dead, "zone=far;" .. dead } },
      mod_init = subscribe "'exchange':'here', 'queue':'zq', 'routing':'a'"
        .. subscribe "'exchange':'both', 'queue':'zq', 'routing':'a', 'federate':1",
    }
  end)

  teardown(function() server:stop() end)

  it("the connections of each", function()
    for _, zone in ipairs { "local", "far" } do
      for _, name in ipairs { "publisher", "consumer" } do
        stats.await(server, "kazoo.connections", {}, { zone = zone, name = name })
      end
    end
    assert.equal(5, #stats.all(server, "kazoo.connections")) -- and one for questions
  end)

  it("in each the subscriptions that are meant for it, before they are active", function()
    stats.await(server, "kazoo.subscriptions", { state = "retrying" }, { zone = "far", exchange = "both" })
    stats.await(server, "kazoo.subscriptions", { state = "retrying" }, { zone = "local", exchange = "both" })
    stats.await(server, "kazoo.subscriptions", { reason = "not connected" }, { zone = "local", exchange = "here" })
    assert.equal(3, #stats.all(server, "kazoo.subscriptions"))
  end)
end)

describe("A broker in trouble is seen:", function()
  local broker, client, server

  setup(function()
    broker = rabbit.start()
    client = amqp.client(broker)
    client:exchange("sx", "topic")
    client:queue("unanswered")
    server = kazoo.start {
      rabbit = broker, routes = routes, events = events, settings = settings, children = 2,
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
