-- What operators see of messages that wait for the broker, and of those that there is no room for.
local samples = require "soak.samples"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local kazoo_stats = require "support.kazoo_stats"
local ports = require "support.ports"
local stats = require "support.stats"
local wait = require "support.wait"

local moves = kazoo_stats.moves

local routes = {
  ask_nobody = kazoo_stats.ask_nobody,
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

local settings = "max_while_loops = 2000"

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
    amqp.client(kazoo.shared_rabbit()):exchange("sx", "topic", "durable")
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
