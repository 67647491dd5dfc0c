-- What operators see of the kazoo module: each counter moves for its own reason, and no other does.
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local kazoo_stats = require "support.kazoo_stats"
local ports = require "support.ports"
local stats = require "support.stats"
local wait = require "support.wait"

local moves, subscribe = kazoo_stats.moves, kazoo_stats.subscribe

local routes = {
  ask = [[kazoo_query("sx", "ask", "{'Event-Category':'spec', 'Event-Name':'ask'}");]],
  mandatory = [[kazoo_publish("sx", "nobody listens", "{}", "", "mandatory=1");]],
  ask_nobody_briefly = kazoo_stats.ask_nobody_briefly,
  ask_nobody_patiently = [[$avp(ms) = 1000; kazoo_query("", "unanswered", "{}");]],
  ask_no_queue = [[kazoo_query("targeted", "nobody", "{}");]],
  odd_property = [[kazoo_publish("sx", "k", "{}", "", "colour=red");]],
  odd_time = [[kazoo_publish_wait("sx", "k", "{}", "soon");]],
  ask_wrongly = [[kazoo_query("targeted", "nobody", "no JSON");]],
}

local events = {
  ["consumer-event-spec-known"] = kazoo.note("known"),
  ["consumer-event-spec-ask"] = [[
    kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})", "{'Msg-ID' : '$(kzE{kz.json,Msg-ID})', 'is' : 'answer'}");]],
  ["consumer-event-spec-reject"] = "kazoo_reject();",
  ["consumer-event-spec-requeue"] = "if ($kzRedelivered == 0) kazoo_requeue();",
}

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
      settings = [[
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
    local large = '{"p":"' .. ("x"):rep(33 * 1024 * 1024) .. '"}'
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
