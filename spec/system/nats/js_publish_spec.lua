-- Publishing into streams: what they store, what they refuse, and what becomes of that.
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local stats = require "support.stats"
local wait = require "support.wait"

local routes = {
  store = [[ nats_js_publish("$hdr(X-Subject)", $rb); ]],
  store_id = [[ nats_js_publish("orders.new", $rb, "Nats-Msg-Id=same;Kind=a b"); ]],
  store_wait = [[ nats_js_publish_wait("$hdr(X-Subject)", $rb, "5000"); ]],
  store_brief = [[ nats_js_publish_wait("orders.new", $rb, 300); ]],
  store_wrong = [[ nats_js_publish_wait("orders.new", $rb, 5000, "Nats-Expected-Last-Sequence=99999"); ]],
  store_many = [[ $var(i) = 0; $var(bad) = 0;
    while ($var(i) < 1000) { if (!nats_js_publish("orders.many", "$rb $var(i)")) { $var(bad) = $var(bad) + 1; }
      $var(i) = $var(i) + 1; } $var(rc) = 1; $var(out) = $var(bad); ]],
  store_mixed = [[ $var(i) = 0;
    while ($var(i) < 300) { nats_js_publish("orders.open", "$var(i)"); nats_js_publish("orders.secret", "$var(i)");
      $var(i) = $var(i) + 1; } $var(rc) = 1; ]],
  ack_nothing = [[ nats_ack(); ]],
}

describe("nats_js_publish", function()
  local broker, api, server

  setup(function()
    broker = nats_server.start { jetstream = true }
    api = jetstream.connect { port = broker.port }
    api:stream("ORDERS", { subjects = { "orders.>" } })
    server = nats.start {
      server = broker, routes = routes, children = 1, settings = "max_while_loops = 2000",
      params = { num_publish_workers = 1 },
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
  end)

  teardown(function()
    api:close()
    server:stop()
    broker:stop()
  end)

  local function store(route, subject, body)
    return server:call(route, { body = body, headers = { "X-Subject: " .. (subject or "orders.new") } })
  end

  local function await_messages(count)
    wait.until_(function() return api:state("ORDERS").messages >= count end, 10, count .. " stored messages")
    assert.equal(count, api:state("ORDERS").messages)
  end

  it("stores each message once, with an id of its own", function()
    local before = api:state("ORDERS")
    assert.equal(1, (store("store", "orders.one", "first")))
    assert.equal(1, (store("store", "orders.two", "second")))
    await_messages(before.messages + 2)
    local first, second = api:message("ORDERS", before.last_seq + 1), api:message("ORDERS", before.last_seq + 2)
    assert.equal("orders.one", first.subject)
    assert.equal("first", first.payload)
    local id = first.headers:match("Nats%-Msg%-Id: (%S+)")
    assert.equal(36, #id)
    assert.equal("second", second.payload)
    assert.not_equal(id, second.headers:match("Nats%-Msg%-Id: (%S+)"))
    stats.await(server, "nats.stats", { stored = 2 })
  end)

  it("keeps the script's own id and headers, and the stream drops a duplicate", function()
    local before = api:state("ORDERS").messages
    for _ = 1, 3 do assert.equal(1, (store("store_id", nil, "again"))) end
    assert.equal(1, (store("store_wait", nil, "behind them")))
    await_messages(before + 2)
    assert.truthy(api:message("ORDERS", api:state("ORDERS").last_seq - 1).headers:find("Kind: a b", 1, true))
  end)

  it("waits until it is stored, and returns that", function()
    local before = api:state("ORDERS").messages
    assert.equal(1, (store("store_wait", nil, "waited for")))
    assert.equal(before + 1, api:state("ORDERS").messages)
  end)

  it("drops a message that its stream refuses for good, tells the waiting process, and continues", function()
    assert.equal(-1, (store("store_wrong", nil, "x")))
    server:wait_log("wrong last sequence", 5)
    assert.equal(1, (store("store_wait", nil, "next")))
    stats.await(server, "nats.stats", { store_refused = 1 })
  end)

  it("drops a message that no stream takes, logs its subject, and continues", function()
    wait.until_(function() -- there is a line a second of its kind at most
      assert.equal(-1, (store("store_wait", "nowhere.to.be", "x")))
      return server:count_log('nats: message to "nowhere.to.be" .*dropped: no stream has this subject') > 0
    end, 10, "the reason in the log")
    assert.equal(1, (store("store_wait", nil, "next")))
  end)

  it("drops a message whose subject is too long together with its inbox, and continues", function()
    assert.equal(-1, (store("store_wait", "orders." .. ("x"):rep(4040), "x")))
    assert.equal(1, (store("store_wait", nil, "next")))
    assert.equal(0, server:count_log("connection to .* lost"))
  end)

  it("stores in the order of its process", function()
    local before = api:state("ORDERS").last_seq
    local rc, bad = store("store_many", nil, "n")
    assert.equal(1, rc)
    assert.equal("0", bad)
    wait.until_(function() return api:state("ORDERS").last_seq >= before + 1000 end, 20, "1000 messages")
    for _, i in ipairs { 0, 1, 499, 998, 999 } do
      assert.equal("n " .. i, api:message("ORDERS", before + 1 + i).payload)
    end
  end)

  it("holds a message back until its stream is there again, and stores those behind it in order", function()
    api:must("STREAM.UPDATE.ORDERS", {
      name = "ORDERS", subjects = { "orders.>" }, retention = "limits", storage = "file", num_replicas = 1,
      max_msgs = api:state("ORDERS").messages, discard = "new",
    })
    local last = api:state("ORDERS").last_seq
    assert.equal(-2, (store("store_brief", nil, "held")))
    assert.equal(1, (store("store", nil, "behind it")))
    server:wait_log('nats: sending message to "orders.new" again: maximum messages exceeded', 5)
    api:must("STREAM.UPDATE.ORDERS", {
      name = "ORDERS", subjects = { "orders.>" }, retention = "limits", storage = "file", num_replicas = 1,
      max_msgs = -1, discard = "new",
    })
    wait.until_(function() return api:state("ORDERS").last_seq >= last + 2 end, 15, "what was held back")
    assert.equal("held", api:message("ORDERS", last + 1).payload)
    assert.equal("behind it", api:message("ORDERS", last + 2).payload)
  end)

  it("loses nothing while the server is killed and started again", function()
    local before = api:state("ORDERS").messages
    assert.equal(1, (store("store_many", nil, "a")))
    broker:kill9()
    assert.equal(1, (store("store_many", nil, "b")))
    assert.equal(-2, (store("store_brief", nil, "c")))
    broker:start_again()
    api:close()
    api = jetstream.connect { port = broker.port }
    wait.until_(function() return api:state("ORDERS").messages >= before + 2001 end, 30, "all of them")
    assert.equal(before + 2001, api:state("ORDERS").messages)
  end)

  it("waits for the stream's reply when another client replies first", function()
    local other = nats_client.connect { port = broker.port }
    other:sub("orders.answered")
    for _ = 1, 5 do
      local finish = server:start_call("store_wait", { body = "x", headers = { "X-Subject: orders.answered" } })
      local heard = assert(other:next(5))
      other:pub(heard.reply, "hello")
      assert.equal(1, (finish()))
    end
    other:close()
  end)

  it("refuses wrong subjects at once, and acknowledging where there is nothing", function()
    assert.equal(-1, (store("store", "no good", "x")))
    assert.equal(-1, (server:call("ack_nothing")))
    server:wait_log("nats_ack: may be called only in the event route of a message", 5)
  end)
end)

describe("nats_js_publish of messages that the server does not accept", function()
  local broker, api, server

  local function start(conf)
    broker = nats_server.start { jetstream = true, conf = conf }
    api = jetstream.connect { port = broker.port, user = "admin", pass = "a" }
    api:stream("ORDERS", { subjects = { "orders.>" } })
    server = nats.start {
      server = { url = ("nats://kam:k@127.0.0.1:%d"):format(broker.port) }, routes = routes, children = 1,
      params = { num_publish_workers = 1 }, settings = "max_while_loops = 2000",
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
  end

  after_each(function()
    api:close()
    server:stop()
    broker:stop()
  end)

  local function store(subject)
    return (server:call("store_wait", { body = "x", headers = { "X-Subject: " .. subject } }))
  end

  local users = [[authorization { users: [ { user: admin, password: a },
    { user: kam, password: k, permissions: { publish: { deny: ["orders.secret"] } } } ] }]]

  it("drops a message that the account may not publish, and stores the rest", function()
    start(users)
    assert.equal(1, store("orders.open"))
    assert.equal(-1, store("orders.secret"))
    server:wait_log('Permissions Violation for Publish to "orders.secret"', 5)
    for _ = 1, 3 do assert.equal(1, store("orders.open")) end
    assert.equal(4, api:state("ORDERS").messages)
    assert.equal(1, (server:call("store_mixed")))
    wait.until_(function() return api:state("ORDERS").messages >= 304 end, 10, "all that is allowed")
    stats.await(server, "nats.stats", { store_refused = 301, outbox_messages = 0 })
    assert.equal(304, api:state("ORDERS").messages)
  end)

  it("drops a message that makes the server disconnect, and stores the rest without a reconnect loop", function()
    start(users .. "\nmax_control_line: 512")
    assert.equal(-1, store("orders." .. ("x"):rep(600)))
    assert.equal(1, store("orders.open"))
    assert.truthy(stats.one(server, "nats.stats").reconnects < 20)
  end)
end)
