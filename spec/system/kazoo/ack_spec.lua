-- Who acknowledges a delivery, when, and what routes can say about the message and read of it.
local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local process = require "support.process"
local wait = require "support.wait"

local waits_for_worker = "'no_ack':0, 'wait_for_consumer_ack':1"

-- Durable, stays when Kamailio goes, and sends what is rejected on to the exchange ack-dead.
local function subscription(queue, flags)
  return ([[kazoo_subscribe("{'exchange':'ack', 'type':'topic', 'queue':'%s', 'routing':'%s.#', 'durable':1,
    'auto_delete':0, %s, 'arguments':{'x-dead-letter-exchange':'ack-dead'}}");
  ]]):format(queue, queue, flags)
end

local queues = 0

local function new_queue()
  queues = queues + 1
  return "ackq" .. queues
end

local function counts(rabbit, queue)
  for line in rabbit:ctl("list_queues", "name", "messages", "messages_unacknowledged"):gmatch("[^\n]+") do
    local name, all, open = line:match("^(%S+)\t(%d+)\t(%d+)$")
    if name == queue then return tonumber(all), tonumber(open) end
  end
end

local function await_empty(rabbit, queue)
  wait.until_(function()
    local all = counts(rabbit, queue)
    return all == 0, all
  end, 15, "an empty queue " .. queue)
end

describe("A route", function()
  local rabbit, client, server, queue, dead

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("ack-dead", "topic")
    dead = client:tap("ack-dead", "#")
  end)

  after_each(function()
    server:stop()
    client:delete_queue(queue)
  end)

  local function start(body, flags, options)
    local full = {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 }, settings = kazoo.hold_settings,
      events = { ["consumer-event"] = body, ["consumer-event-connection"] = "exit;" },
    }
    for name, value in pairs(options or {}) do full[name] = value end
    queue = new_queue()
    full.mod_init = subscription(queue, flags or waits_for_worker)
    server = kazoo.start(full)
    server:wait_log(('consuming from queue "%s"'):format(queue))
  end

  local function publish(payload, options) client:publish("ack", queue .. ".key", payload, options) end

  it("acknowledges before its end with kazoo_ack(), and still sees the message", function()
    start([[kazoo_ack();
      xlog("L_NOTICE", "acknowledged: $rc\n");]] .. kazoo.hold .. [[
      xlog("L_NOTICE", "after: $kzEx $kzRK $kzQueue $kzHdr(colour) $kzProp(type) $kzE\n");]])
    publish('{"id":"early"}', { headers = { colour = "red" }, type = "T" })
    server:wait_log("acknowledged: 1")
    await_empty(rabbit, queue)
    server:let_go()
    server:wait_log(('after: ack %s.key %s red T {"id":"early"'):format(queue, queue))
  end)

  it("rejects with kazoo_reject(), and the message is dead-lettered", function()
    start 'kazoo_reject(); xlog("L_NOTICE", "rejected: $rc\\n");'
    publish '{"id":"rejected"}'
    server:wait_log("rejected: 1")
    assert.equal('{"id":"rejected"}', client:get(dead).payload)
    await_empty(rabbit, queue)
  end)

  it("is optional: without one a message is acknowledged, or dead-lettered if it is not a JSON object", function()
    start("exit;", nil, { events = { ["consumer-event-known"] = kazoo.note("known") } })
    local payloads = { '{"Event-Category":"of nobody"}', "[1", '{"Event-Category":"known"}', "" }
    client:publish_all("ack", queue .. ".key", payloads)
    assert.equal("[1", client:get(dead).payload)
    assert.equal("", client:get(dead).payload)
    await_empty(rabbit, queue)
    assert.equal(1, #server:events())
  end)

  it("is optional: without wait_for_consumer_ack a message that is not a JSON object is acknowledged on receipt", function()
    start("exit;", "'no_ack':0")
    publish "[2"
    server:wait_log("discarding message on exchange .*: .*%[2")
    await_empty(rabbit, queue)
    assert.matches("kazoo:rejected = 0\n", server:rpc("stats.get_statistics", "kazoo:"))
  end)

  it("requeues with kazoo_requeue(), and the message comes again, marked as redelivered", function()
    start [[xlog("L_NOTICE", "redelivered: $kzRedelivered\n");
      if ($kzRedelivered == 0) kazoo_requeue();]]
    publish '{"id":"again"}'
    server:wait_log("redelivered: 0")
    server:wait_log("redelivered: 1")
    await_empty(rabbit, queue)
    assert.equal(2, server:count_log("redelivered: "))
  end)

  it("settles a message once: a second attempt fails and is logged", function()
    start 'kazoo_ack(); kazoo_reject(); xlog("L_NOTICE", "second: $rc\\n");'
    publish '{"id":"once"}'
    server:wait_log("second: %-1")
    server:wait_log("ERROR.*kazoo_reject: message has already been settled")
    await_empty(rabbit, queue)
    publish '{"id":"twice"}'
    server:wait_log("second: %-1", 10, 2)
    assert.equal(0, server:count_log("PRECONDITION"))
  end)

  for what, flags in pairs { ["without acknowledgements"] = "'no_ack':1", ["acknowledged on receipt"] = "'no_ack':0" } do
    it("cannot settle a message that is " .. what, function()
      start('kazoo_requeue(); xlog("L_NOTICE", "result: $rc\\n");', flags)
      publish '{"id":"not ours"}'
      server:wait_log("result: %-1")
      server:wait_log('ERROR.*kazoo_requeue: cannot settle the message: its subscription needs "no_ack":0')
    end)
  end

  it("has nothing to settle and nothing to read for SIP requests", function()
    start("exit;", nil, { routes = {
      settle = "kazoo_ack();",
      read = '$var(out) = $_s($kzE $kzRK $kzEx $kzQueue $kzRedelivered $kzHdr(a) $kzProp(type)); $var(rc) = 1;',
    } })
    assert.equal(-1, (server:call "settle"))
    server:wait_log("ERROR.*kazoo_ack: no message to settle")
    local _, out = server:call "read"
    assert.equal("<null> <null> <null> <null> <null> <null> <null>", out)
  end)

  it("reads exchange, queue, headers and properties of the message, by name or by variable", function()
    start [[$var(name) = "colour"; $var(none) = $null;
      xlog("L_NOTICE", "read: $kzEx|$kzQueue|$kzRedelivered|$kzHdr(colour)|$kzHdr($var(name))|$kzHdr(x-no)|\n");
      xlog("L_NOTICE", "properties: $kzProp(message-id)|$kzProp(reply-to)|$kzProp(correlation-id)|$kzProp(app-id)|\n");
      xlog("L_NOTICE", "more: $kzProp(delivery-mode)|$kzProp(priority)|$kzHdr($var(none))|\n");]]
    publish('{"id":"read"}', {
      headers = { colour = "dark red; = \"" }, message_id = "m1", reply_to = "r1", correlation_id = "c1", app_id = "a1",
      persistent = true,
    })
    local line = server:wait_log("read: ")
    assert.equal(("ack|%s|0|dark red; = \"|dark red; = \"|<null>|"):format(queue), line:match("read: (.*)$"))
    assert.equal("m1|r1|c1|a1|", server:wait_log("properties: "):match("properties: (.*)$"))
    assert.equal("2|<null>|<null>|", server:wait_log("more: "):match("more: (.*)$"))
  end)

  it("reads neither exchange nor queue for the module's own events", function()
    start("exit;", nil, { events = {
      ["consumer-event-connection-open"] = 'xlog("L_NOTICE", "own: $kzEx|$kzRK|$kzQueue|$kzRedelivered|$kzHdr(a)\\n");',
    } })
    assert.equal("<null>|<null>|<null>|<null>|<null>", server:wait_log("own: "):match("own: (.*)$"))
  end)

  it("does the same in KEMI", function()
    queue = new_queue()
    server = kazoo.start {
      rabbit = rabbit, params = { event_callback = "ksr_event" },
      lua = ([[
        function ksr_request_route() end
        function ksr_event(name)
          local payload = tostring(KSR.pv.get("$kzE"))
          if name == "kazoo:mod-init" then
            KSR.kazoo.kazoo_subscribe("{'exchange':'ack', 'type':'topic', 'queue':'QUEUE', 'routing':'QUEUE.#', " ..
              "'durable':1, 'auto_delete':0, 'no_ack':0, 'wait_for_consumer_ack':1, " ..
              "'arguments':{'x-dead-letter-exchange':'ack-dead'}}")
          elseif payload:find("requeue me", 1, true) and KSR.pv.get("$kzRedelivered") == 0 then
            KSR.notice("requeue gave " .. KSR.kazoo.kazoo_requeue() .. "\n")
          elseif payload:find("reject me", 1, true) or name == "kazoo:consumer-event-raw" then
            KSR.notice("reject gave " .. KSR.kazoo.kazoo_reject() .. "\n")
          elseif KSR.pv.get("$kzRK") then
            KSR.notice("ack gave " .. KSR.kazoo.kazoo_ack() .. " for " .. KSR.pv.get("$kzHdr(n)") .. "\n")
          end
          return 1
        end
      ]]):gsub("QUEUE", queue),
    }
    server:wait_log(('consuming from queue "%s"'):format(queue))
    publish('{"id":"requeue me"}', { headers = { n = "seven" } })
    server:wait_log("requeue gave 1")
    server:wait_log("ack gave 1 for seven")
    publish '{"id":"reject me"}'
    server:wait_log("reject gave 1")
    publish "no JSON"
    await_empty(rabbit, queue)
    assert.equal('{"id":"reject me"}', client:get(dead).payload)
    assert.equal("no JSON", client:get(dead).payload)
  end)
end)

describe("An acknowledgement after the route", function()
  local rabbit, client, server, queue

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function()
    server:stop()
    client:delete_queue(queue)
  end)

  local function start()
    queue = queue or new_queue()
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 }, settings = kazoo.hold_settings,
      mod_init = subscription(queue, waits_for_worker),
      events = {
        ["consumer-event"] = 'xlog("L_NOTICE", "begins: $kzE\\n");' .. kazoo.hold .. kazoo.note("done"),
        ["consumer-event-connection"] = "exit;",
      },
    }
    server:wait_log(('consuming from queue "%s"'):format(queue))
  end

  before_each(function()
    queue = nil
    start()
  end)

  local function worker_pid()
    return server:pid_of "kazoo worker 0"
  end

  it("is not sent for a worker that was killed: the message is delivered again", function()
    client:publish_all("ack", queue .. ".a", { '{"id":"one"}', '{"id":"two"}' }, { persistent = true, confirm = true })
    server:wait_log("begins: .*one")
    process.signal(worker_pid(), "KILL")
    assert.is_truthy(server.process:wait(10), "Kamailio ends with a worker that died")
    server:stop()
    start()
    server:let_go()
    assert.equal("done", server:event('"id":"one"').route)
    assert.equal("done", server:event('"id":"two"').route)
    await_empty(rabbit, queue)
  end)

  it("is not sent on the next connection, where its tag means another message", function()
    local payloads = {}
    for i = 1, 20 do payloads[i] = cjson.encode { id = "n" .. i .. "." } end
    client:publish_all("ack", queue .. ".a", payloads)
    server:wait_log("begins: .*n1%.")
    rabbit:ctl("close_all_connections", "spec")
    server:wait_log('consuming from queue "' .. queue, 15, 2)
    server:let_go()
    await_empty(rabbit, queue)
    -- Those of the first connection and, because nothing of it was acknowledged, all of the second.
    wait.until_(function() return #server:events() == 40, #server:events() end, 10, "each message twice")
    assert.equal(0, server:count_log("PRECONDITION"))
    assert.equal(0, server:count_log("lost: 5%d%d"))
  end)

  it("is not sent on a channel that was closed and opened again on the same connection", function()
    client:publish("ack", queue .. ".a", '{"id":"before"}')
    server:wait_log("begins: .*before")
    client:delete_queue(queue)
    server:wait_log("subscription to queue .* cancelled by the broker, retrying")
    server:let_go()
    server:event "before"
    server:wait_log('consuming from queue "' .. queue, 15, 2)
    client:publish("ack", queue .. ".a", '{"id":"behind"}')
    server:event "behind"
    await_empty(rabbit, queue)
    assert.equal(1, server:count_log("connected to .* consumer%)"))
    assert.equal(0, server:count_log("PRECONDITION"))
  end)
end)
