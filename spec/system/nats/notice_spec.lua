-- What a server says of a connection before it ends it: that it is about to close, that we are too slow.
local socket = require "socket"
local files = require "support.files"
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_peer = require "support.nats_peer"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local process = require "support.process"
local stats = require "support.stats"
local wait = require "support.wait"

local function log_route(text) return ('xlog("L_NOTICE", "%s\\n");'):format(text) end

local events = {
  ["in"] = log_route "got $natsData", ["lame-duck"] = log_route "route of lame-duck: $natsData",
  ["slow-consumer"] = log_route "route of slow-consumer: $natsData", connected = log_route "route of connected",
  disconnected = log_route "route of disconnected",
}

-- Both are the least that a server takes, as far as it matters here.
local function lame_duck(grace)
  return ('lame_duck_duration: "30s"\nlame_duck_grace_period: "%s"'):format(grace)
end

local function signal_lame_duck(broker)
  files.must_run("nats-server --signal ldm=" .. broker.process.pid)
end

local function start(params, more)
  local options = { params = { num_publish_workers = 1, subject_queue_group = "in:group" }, events = events }
  for name, value in pairs(params) do options.params[name] = value end
  for name, value in pairs(more or {}) do options[name] = value end
  return nats.start(options)
end

describe("A cluster that grows", function()
  it("is an event and a count, and its new server is used when the first one dies", function()
    local conf, route = "cluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }", ports.free()
    local first = nats_server.start { conf = conf:format(route, "") }
    local server = start({ nats_url = first.url }, {
      events = { ["discovered-servers"] = log_route "route of discovered-servers" },
    })
    server:await_connections(2)
    local second = nats_server.start { conf = conf:format(ports.free(), "nats://127.0.0.1:" .. route) }
    server:wait_log("route of discovered%-servers")
    server:wait_log(("cluster of 127.0.0.1:%d now has 2 servers"):format(first.port))
    stats.await(server, "nats.stats", { discovered_servers = 2 })
    first:kill9()
    server:wait_log(("connected to 127.0.0.1:%d "):format(second.port), 10, 2)
    server:stop()
    second:stop()
  end)
end)

describe("A server in lame duck mode", function()
  local function address(broker) return "127.0.0.1:" .. broker.port end

  -- The route between two servers is there before either tells its clients of the other.
  local function await_announced(broker, other)
    wait.until_(function()
      local client = nats_client.connect { port = broker.port }
      local info = client.info
      client:close()
      return info:find('"' .. address(other) .. '"', 1, true), info
    end, 20, "the cluster of " .. address(broker))
  end

  -- Two that know each other; "nats:lame-duck" stands for the events of an `event_callback`, too.
  local function cluster()
    local conf = "cluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }\n" .. lame_duck "20s"
    local route = ports.free()
    local first = nats_server.start { conf = conf:format(route, "") }
    local second = nats_server.start { conf = conf:format(ports.free(), "nats://127.0.0.1:" .. route) }
    await_announced(first, second)
    return first, second
  end

  it("is left for another of the cluster before it closes, and nothing that is published is lost", function()
    local first, second = cluster()
    local server = start { nats_url = first.url }
    server:await_connections(2)
    local client = nats_client.connect { port = second.port }
    client:sub("out")
    local sent, seen = 0, {}
    local function publish()
      sent = sent + 1
      assert.equal(1, server:publish("out", tostring(sent)))
    end
    local function receive(deadline)
      local message = client:next(deadline)
      if message then seen[tonumber(message.payload)] = true end
      return message
    end
    wait.until_(function() -- the servers tell each other of a subscription
      publish()
      return receive(0.2)
    end, 10, "a message through both servers")
    while receive(0.2) do end
    local from = sent + 1

    signal_lame_duck(first)
    wait.until_(function()
      for _ = 1, 20 do publish() end
      return server:count_log("nats: connected to " .. address(second)) >= 2
    end, 15, "both connections at the other server")
    publish()
    while not seen[sent] and receive(5) do end
    while receive(0.3) do end
    for n = from, sent do assert.is_true(seen[n], ("%d of %d to %d is missing"):format(n, from, sent)) end

    assert.equal(2, server:count_log(("WARNING: nats: %s is shutting down %%(lame duck mode%%), moving to another")
      :format(address(first))))
    assert.equal(2, server:count_log("nats: left " .. address(first)))
    assert.equal(0, server:count_log("ERROR"))
    assert.equal(1, server:count_log("route of lame%-duck: <null>"))
    assert.equal(1, server:count_log("route of disconnected"))
    assert.equal(2, server:count_log("route of connected"))
    local now = stats.await(server, "nats.stats", { connections_open = 2, lame_duck = 2, reconnects = 2 })
    assert.equal(0, now.slow_consumer)
    assert.is_true(first.process:alive())
    wait.until_(function()
      client:pub("in", "after the move")
      client:flush()
      return server:count_log("got after the move") > 0
    end, 10, "a delivery")
    client:close()
    server:stop()
    first:stop()
    second:stop()
  end)

  it("is left so that a stream has every message once and in order", function()
    local conf = "server_name: %s\ncluster { name: t, listen: 127.0.0.1:%d, routes: [nats://127.0.0.1:%d] }\n"
      .. lame_duck "20s"
    local a, b = ports.free(), ports.free()
    local first = nats_server.start { jetstream = true, conf = conf:format("first", a, b) }
    local second = nats_server.start { jetstream = true, conf = conf:format("second", b, a) }
    local api = jetstream.connect { port = second.port }
    api:stream("OUT", { subjects = { "out" }, placement = { cluster = "t" }, num_replicas = 2 })
    await_announced(first, second)
    local server = start({ nats_url = first.url, subject_queue_group = {} }, {
      routes = { store = [[nats_js_publish("out", $rb);]] },
    })
    server:await_connections(1)
    local sent = 0
    local function store()
      sent = sent + 1
      assert.equal(1, server:call("store", { body = tostring(sent) }))
    end
    for _ = 1, 50 do store() end
    signal_lame_duck(first)
    wait.until_(function()
      for _ = 1, 20 do store() end
      return server:count_log("nats: left " .. address(first)) > 0
    end, 15, "the connection to leave")
    server:wait_log("nats: connected to " .. address(second))
    for _ = 1, 50 do store() end
    stats.await(server, "nats.stats", { stored = sent, outbox_messages = 0 }, nil, 20)
    assert.equal(sent, api:state("OUT").messages)
    for n = 1, sent do assert.equal(tostring(n), api:message("OUT", n).payload) end
    api:close()
    server:stop()
    first:stop()
    second:stop()
  end)

  it("is an event for event_callback, too", function()
    local first, second = cluster()
    local server = start({ nats_url = first.url, event_callback = "on_nats" }, { lua = [[
      function ksr_request_route() KSR.sl.sl_send_reply(200, "OK") end
      function on_nats(event) KSR.notice("callback of " .. event .. "\n") end
    ]] })
    server:wait_log("callback of nats:connected")
    signal_lame_duck(first)
    server:wait_log("callback of nats:lame%-duck")
    server:wait_log("callback of nats:disconnected", 15)
    server:wait_log("callback of nats:connected", 15, 2)
    server:stop()
    first:stop()
    second:stop()
  end)

  it("is used to its end when no other is known", function()
    local broker = nats_server.start { conf = lame_duck "3s" }
    local server = start { nats_url = broker.url }
    server:await_connections(2)
    local client = nats_client.connect { port = broker.port }
    client:sub("out")
    signal_lame_duck(broker)
    server:wait_log("WARNING: nats: .* is shutting down %(lame duck mode%), no other server is known", 10, 2)
    server:wait_log("route of lame%-duck")
    for n = 1, 100 do
      assert.equal(1, server:publish("out", tostring(n)))
      assert.equal(tostring(n), assert(client:next(5)).payload)
    end
    client:close()
    assert.equal(0, server:count_log("nats: left"))
    server:wait_log("nats: connection to .* lost", 15, 2)
    assert.is_truthy(broker.process:wait(10), "the server did not end")
    broker:start_again()
    server:await_connections(4, 20)
    server:stop()
    broker:stop()
  end)
end)

describe("A server that closes a connection", function()
  -- Linux tells a writer of the end before it shows a reader what came before.
  it("has its last error in the log, also when a write notices the end", function()
    local listener = nats_peer.listen()
    local server = start { nats_url = listener.url, subject_queue_group = {} }
    local peer = listener:serve()
    local publisher = server:pid_of "nats publisher 0"
    assert.equal(1, server:publish("out", "never read")) -- so the connection is reset at the end
    assert.equal(peer, socket.select({ peer }, nil, 10)[1])
    process.freeze(publisher)
    peer:send("-ERR 'A Reason Of Its Own'\r\n")
    peer:close()
    assert.equal(1, server:publish("out", "too late"))
    process.signal(publisher, "CONT")
    server:wait_log("ERROR: nats: connection to 127.0.0.1:" .. listener.port .. " lost: A Reason Of Its Own")
    listener:close()
    server:stop()
  end)
end)

describe("A slow consumer", function()
  it("that the server only reports stays connected", function()
    local listener = nats_peer.listen()
    local server = start { nats_url = listener.url }
    local peers = {}
    for _ = 1, 2 do
      local peer, name = listener:serve()
      peers[name] = peer
    end
    local subscriber = assert(peers["kamailio in:group"])
    nats_peer.read_until(subscriber, "^SUB in group ")
    for n = 1, 3 do
      subscriber:send("-ERR 'Slow Consumer'\r\n")
      server:wait_log("route of slow%-consumer: <null>", 10, n)
    end
    server:wait_log("ERROR: nats: 127.0.0.1:" .. listener.port .. ": Slow Consumer")
    local now = stats.await(server, "nats.stats", { slow_consumer = 3, connections_open = 2 })
    assert.equal(0, now.reconnects)
    subscriber:send("PING\r\nMSG in 1 2\r\nhi\r\n")
    assert.equal("PONG", assert(subscriber:receive("*l")))
    server:wait_log("got hi")
    assert.equal(0, server:count_log("route of disconnected"))
    for _, peer in pairs(peers) do peer:close() end
    listener:close()
    server:stop()
  end)

  it("that the server disconnects is recognised, and connects again", function()
    -- Its second limit, max_pending, may also be exceeded when all it wrote were whole messages, as on a busy machine.
    local broker = nats_server.start { conf = 'max_payload: 65536\nwrite_deadline: "1s"' }
    local slow = {}
    for name, body in pairs(events) do slow[name] = body end
    slow["in"] = [[usleep("20000");]]
    local server = start({ nats_url = broker.url }, { events = slow })
    server:await_connections(2)
    local client = nats_client.connect { port = broker.port }
    local payload = ("x"):rep(60000)
    wait.until_(function()
      for _ = 1, 20 do client:pub("in", payload) end
      client:flush(20)
      return broker:log():find("Slow Consumer Detected", 1, true)
    end, 20, "the server to find it slow")
    server:wait_log("ERROR: nats: connection to .* lost: closed by the server in the middle of a message", 30)
    server:wait_log("route of slow%-consumer: <null>")
    server:wait_log("route of disconnected")
    stats.await(server, "nats.stats", { slow_consumer = 1, connections_open = 2 }, nil, 15)
    client:close()
    server:stop()
    broker:stop()
  end)
end)
