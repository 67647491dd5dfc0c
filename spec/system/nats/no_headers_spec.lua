-- A server with no_header_support: what needs no headers works, and what does says that it cannot.
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local questions = require "support.nats_questions"
local stats = require "support.stats"

local routes = {
  ask_for = questions.routes.ask_for,
  with_headers = [[ nats_publish("heard", $rb, "", "h=v"); ]],
  ask_headers = [[ nats_request("echo", "q", "$var(answer)", 5000, "h=v"); ]] .. questions.seen,
  store_wait = [[ nats_js_publish_wait("kept", "x", 5000); ]],
  get = [[ nats_kv_get("b", "k", "$var(v)"); $var(rc) = $rc; $var(out) = $natsError; ]],
}

describe("A server without headers", function()
  local broker, client, server

  setup(function()
    broker = nats_server.start { jetstream = true, conf = "no_header_support: true" }
    client = nats_client.connect { port = broker.port, headers = false }
    client:sub("heard")
    server = nats.start {
      server = broker, routes = routes, events = { echo = [[ nats_respond("echo of $natsData"); ]] },
      params = {
        subject_queue_group = "echo:g", num_publish_workers = 1, nats_kv_bucket = "b",
        nats_js_consumer = "stream=KEPT;durable=d",
      },
    }
    server:await_connections(5)
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "echo" })
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  local function ask_for(subject, ms)
    return server:call("ask_for", { body = "q", headers = { "X-Subject: " .. subject, "X-Ms: " .. ms } })
  end

  it("carries messages without headers, and drops those with headers with a log line", function()
    assert.equal(1, server:call("with_headers", { body = "never" }))
    assert.equal(1, server:publish("heard", "plain"))
    assert.equal("plain", assert(client:next(5)).payload)
    server:wait_log('message to "heard" dropped: it has headers, which the server does not support .no_header_support.')
    assert.equal(1, stats.one(server, "nats.stats").publish_invalid)
  end)

  it("replies to requests; without responders they end at their deadline", function()
    local rc, out = ask_for("echo", 5000)
    assert.equal(1, rc)
    assert.equal("echo of q|||", out)
    rc, out = ask_for("nobody.there", 300)
    assert.equal(-2, rc)
    assert.equal("|||timeout", out)
    rc, out = server:call("ask_headers")
    assert.equal(-1, rc)
    assert.equal("|||refused", out)
  end)

  it("stores nothing of nats_js_publish, and delivers nothing of a stream", function()
    local api = jetstream.connect { port = broker.port, headers = false }
    api:stream("KEPT", { subjects = { "kept" } })
    assert.equal(-1, server:call("store_wait"))
    server:wait_log('message to "kept" dropped: publishing to a stream needs headers, which the server does not support')
    local shown = stats.one(server, "nats.subscriptions", { stream = "KEPT" })
    assert.equal("retrying", shown.state)
    assert.matches("need headers, which the server does not support", shown.reason)
    server:wait_log('nats: cannot subscribe to "KEPT" .queue group "d".: stream consumers need headers')
    api:close()
  end)

  it("lets bucket values be written but not read", function()
    server:wait_log('bucket "b" is ready')
    local api = jetstream.connect { port = broker.port, headers = false }
    assert.truthy(api:ask("$KV.b.k", "1"))
    local rc, out = server:call("get")
    assert.equal(-1, rc)
    assert.matches("reply without headers", out)
    api:close()
  end)
end)
