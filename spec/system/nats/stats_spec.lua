-- What operators see of the nats module: each counter moves for its own reason, and no other does.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local stats = require "support.stats"
local wait = require "support.wait"

local function moves(server, expected, action, ...)
  stats.moves(server, "nats.stats", { outbox_bytes_high = true }, expected, action, ...)
end

local routes = {
  -- "accepted refused" of 1000 messages of some 1000 bytes
  fill = [[
    $var(i) = 0; $var(n) = 0; $var(refused) = 0;
    while ($var(i) < 1000) {
      if (nats_publish("order", "$rb")) { $var(n) = $var(n) + 1; } else { $var(refused) = $var(refused) + 1; }
      $var(i) = $var(i) + 1;
    }
    $var(out) = $_s($var(n) $var(refused)); $var(rc) = 1;]],
  large = [[
    $var(p) = "0123456789abcdef"; $var(i) = 0;
    while ($var(i) < 13) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_publish("order", $var(p));]],
  mixed = [[nats_publish("order", "<$rb>");]],
  respond_mixed = [[nats_respond("<$rb>");]],
}

describe("The statistics of nats", function()
  local broker, server, client

  setup(function()
    broker = nats_server.start { conf = "max_payload: 65536" }
    client = nats_client.connect { port = broker.port }
    server = nats.start {
      server = broker, routes = routes, settings = "max_while_loops = 3000",
      params = { num_publish_workers = 1, subject_queue_group = { "heard:group", "unheard:group" } },
      events = { heard = [[xlog("L_NOTICE", "got $natsData\n");]] },
    }
    stats.await(server, "nats.stats", { connections_open = 3 })
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  local function publish(subject)
    client:pub(subject, "hello")
    client:flush()
  end

  it("count published and sent messages", function()
    moves(server, { published = 2, sent = 2 }, function()
      for _ = 1, 2 do assert.equal(1, server:publish("nobody.listens", "hello")) end
    end)
    assert.is_true(stats.one(server, "nats.stats").outbox_bytes_high > 0)
  end)

  it("count refused subjects", function()
    moves(server, { refused = 1, refused_invalid = 1 }, function()
      assert.equal(-1, server:publish("not.to.*", "hello"))
    end)
  end)

  it("count parameters that are longer than pv_buffer_size", function()
    moves(server, { refused = 2, refused_invalid = 2 }, function()
      for _, route in ipairs { "mixed", "respond_mixed" } do
        assert.equal(-1, (server:call(route, { body = ("b"):rep(9000) })))
      end
    end)
    server:wait_log("ERROR.*nats_publish: parameter payload is too long: .* 8191 bytes")
  end)

  it("count messages that the server refuses", function()
    moves(server, { published = 1, publish_invalid = 1 }, server.call, server, "large")
  end)

  it("count deliveries", function()
    moves(server, { delivered = 2 }, function()
      for _ = 1, 2 do publish("heard") end
    end)
    assert.equal(2, server:count_log("got hello"))
  end)

  it("count deliveries without a route", function()
    moves(server, { delivered = 1, dropped_no_route = 1 }, publish, "unheard")
  end)

  it("are statistics of the core", function()
    local own, core = stats.one(server, "nats.stats"), {}
    for name, value in server:rpc("stats.get_statistics", "nats:"):gmatch("nats:(%S+) = (%d+)") do
      core[name] = tonumber(value)
    end
    assert.same(own, core)
  end)

  it("are counted for each connection", function()
    local publisher = { name = "kamailio publisher 0" }
    local before = stats.one(server, "nats.connections", publisher)
    server:publish("nobody.listens", "hello")
    local now = stats.await(server, "nats.connections", { messages_out = before.messages_out + 1 }, publisher)
    assert.equal(before.bytes_out + 5, now.bytes_out)
    assert.equal("open", now.state)
    assert.equal("127.0.0.1:" .. broker.port, now.address)
    local subscriber = stats.one(server, "nats.connections", { name = "kamailio heard:group" })
    publish("heard")
    stats.await(server, "nats.connections", {
      messages_in = subscriber.messages_in + 1, bytes_in = subscriber.bytes_in + 5,
    }, { name = "kamailio heard:group" })
  end)

  it("are counted for each subscription", function()
    local where = { subject = "unheard" }
    local before = stats.one(server, "nats.subscriptions", where)
    assert.equal("active", before.state)
    assert.equal("group", before.group)
    publish("unheard")
    stats.await(server, "nats.subscriptions", {
      delivered = before.delivered + 1, dropped_no_route = before.dropped_no_route + 1,
    }, where)
  end)

  it("show a lost connection, and when it is back", function()
    local where = { subject = "heard" }
    local before = stats.one(server, "nats.stats")
    broker:kill9()
    stats.await(server, "nats.stats", { connections_open = 0 })
    local subscription = stats.await(server, "nats.subscriptions", { state = "retrying" }, where)
    assert.equal("not connected", subscription.reason)
    assert.not_equal("", stats.one(server, "nats.connections").last_error)
    broker:start_again()
    stats.await(server, "nats.stats", { connections_open = 3, reconnects = before.reconnects + 3 }, nil, 20)
    stats.await(server, "nats.subscriptions", { state = "active", reason = "" }, where)
  end)
end)

describe("Without a server the statistics of nats", function()
  local server

  setup(function()
    server = nats.start {
      routes = routes, settings = "max_while_loops = 3000",
      params = { nats_url = "nats://carl:s3cret@127.0.0.1:" .. ports.free(), nats_outbox_size = 65536,
        num_publish_workers = 1, subject_queue_group = "a:b" },
    }
  end)

  teardown(function() server:stop() end)

  it("show what waits in the outbox, and what it has no room for", function()
    local _, out = server:call("fill", { body = ("x"):rep(1000) })
    local accepted, refused = out:match("(%d+) (%d+)")
    local now = stats.one(server, "nats.stats")
    assert.is_true(tonumber(accepted) > 10 and tonumber(refused) > 10, out)
    assert.equal(tonumber(accepted), now.published)
    assert.equal(tonumber(accepted), now.outbox_messages)
    assert.equal(tonumber(refused), now.refused_full)
    assert.equal(tonumber(refused), now.refused)
    assert.is_true(now.outbox_bytes > now.outbox_messages * 1000 and now.outbox_bytes <= 65536)
    assert.equal(now.outbox_bytes, now.outbox_bytes_high)
    assert.equal(0, now.sent)
  end)

  it("count messages that will never fit", function()
    moves(server, { refused = 1, refused_too_large = 1 }, server.call, server, "large")
  end)

  it("show why no connection is open, without the password", function()
    local connection = stats.await(server, "nats.connections", { state = "closed" })
    assert.is_true(connection.failed_attempts > 0)
    assert.not_equal("", connection.last_error)
    for _, command in ipairs { "nats.stats", "nats.connections", "nats.subscriptions" } do
      assert.is_nil(server:rpc(command):find("s3cret", 1, true))
    end
  end)
end)

-- Before the fork, where event routes of other modules may ask.
describe("While the server starts", function()
  it("nats.requests reports only that it is not ready", function()
    local port = ports.free()
    local server = nats.start {
      params = { nats_url = "nats://127.0.0.1:" .. port },
      before = 'loadmodule "jsonrpcs.so"\nloadmodule "htable.so"\nmodparam("htable", "htable", "any=>size=4;")',
      settings = [[
event_route[htable:mod-init] {
  jsonrpc_exec('{"jsonrpc":"2.0","method":"nats.requests","id":1}');
  xlog("L_NOTICE", "told $jsonrpl(body)\n");
}]],
    }
    server:wait_log('"message":%s*"not ready"')
    assert.equal(0, server:count_log("invalid json node"))
    server:stop()
  end)
end)

describe("A subscription that the server does not allow", function()
  it("is shown with the reason", function()
    local broker = nats_server.start {
      conf = 'authorization { users = [ { user: carl, password: "s3cret", permissions: { subscribe: "ok" } } ] }',
    }
    local server = nats.start { params = {
      nats_url = "nats://carl:s3cret@127.0.0.1:" .. broker.port, num_publish_workers = 1,
      subject_queue_group = { "ok:g", "forbidden:g" },
    } }
    wait.until_(function()
      local subscription = stats.one(server, "nats.subscriptions", { subject = "forbidden" })
      local reason = subscription and subscription.reason or "no subscription"
      return reason:find("Permissions Violation", 1, true), reason
    end, 10, "the server's refusal")
    assert.equal("retrying", stats.one(server, "nats.subscriptions", { subject = "forbidden" }).state)
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "ok" })
    server:stop()
    broker:stop()
  end)
end)
