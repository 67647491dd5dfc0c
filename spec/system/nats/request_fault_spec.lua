-- Questions over NATS whose server is gone or slow, or whose account may not ask.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local questions = require "support.nats_questions"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local process = require "support.process"
local socket = require "socket"
local stats = require "support.stats"

describe("nats_request and a server that", function()
  it("is lost meanwhile fails at once, and works again with the server", function()
    local broker = nats_server.start()
    local client = nats_client.connect { port = broker.port }
    client:sub("ask")
    local server = nats.start { server = broker, routes = questions.routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local fields = { body = "q", headers = { "X-Subject: ask", "X-Ms: 10000" } }
    local finish = server:start_call("ask_for", fields)
    assert(client:next(5))
    broker:kill9()
    local rc, out, seconds = finish()
    assert.equal(-1, rc)
    assert.equal("|||lost", out)
    assert.is_true(seconds < 5, seconds)
    server:wait_log('nats_request: request to "ask" failed: connection to the server lost', 5)

    rc, out, seconds = server:start_call("ask_for", fields)()
    assert.equal(-1, rc)
    assert.equal("|||not connected", out)
    assert.is_true(seconds < 5, seconds)
    server:wait_log('nats_request: request to "ask" refused: not connected to a server', 5)

    broker:start_again()
    stats.await(server, "nats.stats", { connections_open = 2 }, nil, 20)
    client = nats_client.connect { port = broker.port }
    client:sub("ask")
    finish = server:start_call("ask_for", fields)
    client:pub(assert(client:next(5)).reply, "back")
    assert.equal("back|||", (select(2, finish())))
    client:close()
    server:stop()
    broker:stop()
  end)

  it("was never up fails at once", function()
    local server = nats.start { routes = questions.routes, params = { nats_url = "nats://127.0.0.1:" .. ports.free() } }
    local rc, out, seconds = server:start_call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 10000" } })()
    assert.equal(-1, rc)
    assert.equal("|||not connected", out)
    assert.is_true(seconds < 5, seconds)
    server:stop()
  end)

  it("sends a reply that does not fit fails at once, and logs that", function()
    local broker = nats_server.start { conf = "max_payload: 4194304" }
    local client = nats_client.connect { port = broker.port }
    client:sub("ask")
    local server = nats.start { server = broker, routes = questions.routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local finish = server:start_call("ask_for", { body = "q", headers = { "X-Subject: ask", "X-Ms: 10000" } })
    client:pub(assert(client:next(5)).reply, ("x"):rep(2 * 1024 * 1024))
    local rc, out, seconds = finish()
    assert.equal(-1, rc)
    assert.equal("|||too large", out)
    assert.is_true(seconds < 5, seconds)
    server:wait_log("nats: discarding reply of %d+ bytes: the limit is %d+ bytes")
    server:wait_log('nats_request: request to "ask" failed: the reply is too large')
    assert.equal(1, stats.one(server, "nats.stats").requests_too_large)
    assert.equal(0, stats.one(server, "nats.stats").requests_lost)
    client:close()
    server:stop()
    broker:stop()
  end)

  it("is frozen fails at the deadline, and gets replies when it continues", function()
    local broker = nats_server.start()
    local server = nats.start { server = broker, routes = questions.routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    broker:freeze()
    local rc, out = server:start_call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 300" } })()
    broker:thaw()
    assert.equal(-2, rc)
    assert.equal("|||timeout", out)
    assert.equal(-3, (server:call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 5000" } })))
    server:stop()
    broker:stop()
  end)

  it("is reachable only after the deadline gets no request, which publish_expired counts", function()
    local broker = nats_server.start()
    local client = nats_client.connect { port = broker.port }
    client:sub("ask")
    local server = nats.start { server = broker, routes = questions.routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local requester = server:pid_of "nats requester"
    process.freeze(requester)
    local before = stats.one(server, "nats.stats")
    assert.equal(-2, (server:call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 300" } })))
    assert.equal(0, before.publish_expired)
    assert.equal(1, stats.one(server, "nats.stats").outbox_messages)
    process.signal(requester, "CONT")
    stats.await(server, "nats.stats", { publish_expired = 1, outbox_messages = 0, requests_timeout = 1, sent = 0 })
    assert.is_nil(client:next(0.2))
    client:close()
    server:stop()
    broker:stop()
  end)
end)

describe("nats_request and an account that", function()
  local broker, server

  local function start(permissions)
    broker = nats_server.start {
      conf = ('authorization { users = [ { user: carl, password: "s3cret", permissions: { %s } } ] }'):format(permissions),
    }
    local routes = { kv = [[ nats_kv_put("bucket", "key", "v"); $var(rc) = $rc; $var(out) = $natsError; ]] }
    for name, body in pairs(questions.routes) do routes[name] = body end
    server = nats.start {
      routes = routes, children = 3, params = {
        nats_url = "nats://carl:s3cret@127.0.0.1:" .. broker.port, num_publish_workers = 1, nats_request_timeout = 10000,
      },
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
  end

  after_each(function()
    server:stop()
    broker:stop()
  end)

  local function ask(subject)
    return server:start_call("ask_for", { body = "q", headers = { "X-Subject: " .. subject, "X-Ms: 10000" } })
  end

  it("may not publish to its subject fails at once, without failing other requests", function()
    start 'publish: { deny: ["secret.>", "$KV.>"] }, subscribe: ">"'
    local client = nats_client.connect { port = broker.port, user = "carl", pass = "s3cret" }
    client:sub("open.plans")
    local open = ask "open.plans"
    local question = assert(client:next(5))
    for _ = 1, 2 do
      local rc, out, seconds = ask "secret.plans" ()
      assert.equal(-1, rc)
      assert.equal("|||permissions violation", out)
      assert.is_true(seconds < 5, seconds)
    end
    server:wait_log('nats_request: request to "secret.plans" failed: the account has no permission to publish to it')
    local began = socket.gettime()
    local rc, out = server:call("kv")
    assert.equal(-1, rc)
    assert.equal("permissions violation", out)
    assert.is_true(socket.gettime() - began < 5)
    client:pub(question.reply, "fine")
    assert.equal("fine|||", (select(2, open())))
    local now = stats.await(server, "nats.stats", { requests_forbidden = 3, publish_forbidden = 3, requests_answered = 1 })
    assert.equal(0, now.requests_lost + now.requests_timeout)
    assert.equal(3, stats.one(server, "nats.requests").forbidden)
    client:close()
  end)

  it("may not subscribe to the reply subject is reported in the log", function()
    start 'publish: ">", subscribe: "mine.>"'
    server:wait_log('ERROR: nats: cannot receive replies from .*: no permission to subscribe to "_INBOX%.[%w_-]+%.%*",'
      .. ' allow "_INBOX%.>"')
    stats.await(server, "nats.subscriptions", { state = "retrying" }, { group = "" })
  end)
end)

describe("nats_inbox_prefix", function()
  it("that is not a subject stops the start", function()
    local _, log = nats.try_start {
      params = { nats_inbox_prefix = "not to.be" }, routes = { x = [[ nats_publish("a", "b"); ]] },
    }
    assert.truthy(log:find('nats_inbox_prefix: "not to.be" must be a subject', 1, true))
  end)

  it("is where replies arrive", function()
    local broker = nats_server.start {
      conf = 'authorization { users = [ { user: carl, password: "s3cret", permissions: {'
        .. ' publish: ">", subscribe: ["mine.>", "ask"] } } ] }',
    }
    local client = nats_client.connect { port = broker.port, user = "carl", pass = "s3cret" }
    client:sub("ask")
    local server = nats.start {
      routes = questions.routes, params = {
        nats_url = "nats://carl:s3cret@127.0.0.1:" .. broker.port, num_publish_workers = 1,
        nats_inbox_prefix = "mine.answers",
      },
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local finish = server:start_call("ask_target", { body = "q" })
    local question = assert(client:next(5))
    assert.truthy(question.reply:find("^mine%.answers%.[%w_-]+%.[%w_-]+$"), question.reply)
    client:pub(question.reply, "allowed")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("allowed", out)
    client:close()
    server:stop()
    broker:stop()
  end)
end)
