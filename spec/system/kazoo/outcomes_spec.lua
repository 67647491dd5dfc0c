-- What became of a published message: events, and results of a kazoo_publish that waits.
local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local routes = {
  wait = [[kazoo_publish_wait("$hdr(X-Exchange)", "$hdr(X-Key)", $rb, "$hdr(X-Wait)", "h=1", "$hdr(X-Properties)");]],
  wait4 = [[kazoo_publish_wait("ox", "$hdr(X-Key)", $rb, "5000");]],
  wait5 = [[kazoo_publish_wait("ox", "$hdr(X-Key)", $rb, 5000, "h=5");]],
  with = [[kazoo_publish("$hdr(X-Exchange)", "$hdr(X-Key)", $rb, "", "app-id=$pp;$hdr(X-Properties)");]],
  many = [[
    $var(i) = 0;
    while ($var(i) < 200) {
      kazoo_publish("ox", "$hdr(X-Key)", "{'n' : $var(i), 'pid' : $pp}");
      if ($rc != 1) { $var(rc) = $var(rc) + 1; }
      $var(i) = $var(i) + 1;
    }]],
}

local events = kazoo.notes {
  "consumer-event-message-returned", "consumer-event-message-refused", "consumer-event-connection-blocked",
  "consumer-event-connection-unblocked", "consumer-event",
}

describe("The outcome of a message", function()
  local rabbit, client, server

  setup(function()
    rabbit = rabbits.start()
    client = amqp.client(rabbit)
    client:exchange("ox", "direct")
    client:queue "o-any"
    client:bind("o-any", "ox", "any")
    client:queue "o-full"
    client:bind("o-full", "ox", "full")
    rabbit:ctl("set_policy", "full", "^o-full$", '{"max-length":1,"overflow":"reject-publish"}', "--apply-to", "queues")
    client:publish("ox", "full", "{}", { confirm = true })
  end)

  teardown(function() rabbit:stop() end)

  after_each(function()
    assert.is_nil(server:crash())
    server:stop()
  end)

  local function start(params, mod_init)
    server = kazoo.start { rabbit = rabbit, routes = routes, events = events, params = params, mod_init = mod_init,
      settings = "max_while_loops = 1000", children = 2 }
    server:await_connected()
  end

  local function publish(exchange, key, payload, properties)
    return (server:call("with", { body = payload or "{'a' : 1}", headers = {
      "X-Exchange: " .. exchange, "X-Key: " .. key, "X-Properties: " .. (properties or ";") } }))
  end

  describe("is reported by an event:", function()
    it("returned, with all of the message, when it is mandatory and reaches no queue", function()
      start {}
      assert.equal(1, publish("ox", "nowhere", "{'Msg-ID' : 'id 1', 'text' : 'a \"quoted\" word'}", "mandatory=1"))
      local event = server:event "id 1"
      assert.equal("consumer-event-message-returned", event.route)
      event.payload.payload["App-Name"] = nil
      event.payload.payload["App-Version"] = nil
      event.payload.payload["Server-ID"] = nil
      assert.same({
        ["Event-Category"] = "message", ["Event-Name"] = "returned", host = "127.0.0.1", zone = "local",
        exchange = "ox", routing_key = "nowhere", reason = "312 NO_ROUTE", ["Msg-ID"] = "id 1",
        payload = { ["Msg-ID"] = "id 1", text = 'a "quoted" word', Node = "kamailio@spec.example" },
      }, event.payload)
      server:wait_log('WARN.*message to exchange "ox" with routing key "nowhere" returned, no queue .*: 312 NO_ROUTE')
    end)

    it("returned, once for each, among others that arrive", function()
      start { amqp_publish_properties = "mandatory=1" }
      for n = 1, 30 do publish("ox", n % 3 == 0 and "nowhere" or "any", ("{'n' : %d}"):format(n)) end
      wait.until_(function() return #server:events "consumer-event-message-returned" >= 10 end, 10, "ten events")
      assert.equal(20, #client:consume("o-any", { count = 20 }))
      local seen = {}
      for _, event in ipairs(server:events "consumer-event-message-returned") do
        local n = event.payload.payload.n
        assert.equal(0, n % 3)
        assert.is_nil(seen[n])
        seen[n] = true
      end
    end)

    it("nothing, when it reaches no queue and is not mandatory", function()
      start {}
      assert.equal(1, publish("ox", "nowhere"))
      assert.equal(1, publish("ox", "nowhere", "{'Msg-ID' : 'the last'}", "mandatory=1"))
      server:event "the last"
      assert.equal(1, #server:events "consumer-event-message-returned")
    end)

    it("refused, when the broker refuses it (basic.nack), and goes on refusing it", function()
      start { amqp_nack_retry = 300 }
      assert.equal(1, publish("ox", "full", "{'Msg-ID' : 'id 2'}"))
      local event = server:event "id 2"
      assert.equal("consumer-event-message-refused", event.route)
      assert.same({ "refused", "ox", "full", "id 2", "id 2" }, { event.payload["Event-Name"], event.payload.exchange,
        event.payload.routing_key, event.payload["Msg-ID"], event.payload.payload["Msg-ID"] })
      assert.matches("rejected by the broker", event.payload.reason)
      server:wait_log('WARN.*sending message to exchange "ox" with routing key "full" again: rejected by the broker')
    end)

    it("nothing, when the broker takes it in the end: it and what came after it arrive in their order", function()
      client:queue "o-tight"
      client:bind("o-tight", "ox", "tight")
      rabbit:ctl("set_policy", "tight", "^o-tight$", '{"max-length":1,"overflow":"reject-publish"}', "--apply-to", "queues")
      client:publish("ox", "tight", '{"n":0}', { confirm = true })
      start { amqp_publish_wait = 100 } -- one worker refused, the next one not
      for n = 1, 3 do
        assert.equal(-2, publish("ox", "tight", ("{'n' : %d}"):format(n)))
      end
      local newest = {}
      for n = 0, 3 do
        local message = client:get("o-tight", 10)
        local sender, number = message.app_id or "the probe", cjson.decode(message.payload).n
        assert.is_true(number > (newest[sender] or -1), n .. ". came " .. message.payload)
        newest[sender] = number
      end
      assert.same({}, server:events "consumer-event-message-refused")
      client:delete_queue "o-tight"
    end)

    it("nothing, for those that other queues have room for, for longer than one that is full holds them up", function()
      start { amqp_nack_retry = 500 }
      for n = 1, 20 do publish("ox", n % 2 == 0 and "full" or "any", ("{'n' : %d}"):format(n)) end
      local seen = {}
      for _, message in ipairs(client:consume("o-any", { count = 10 })) do seen[cjson.decode(message.payload).n] = true end
      for n = 1, 19, 2 do assert.is_true(seen[n]) end
      wait.until_(function() return #server:events "consumer-event-message-refused" >= 10 end, 10, "ten events")
    end)

    it("refused, when the broker closes the channel over it", function()
      start {}
      assert.equal(1, publish("no such exchange", "k", "{'Msg-ID' : 'id 3'}"))
      local event = server:event "id 3"
      assert.equal("consumer-event-message-refused", event.route)
      assert.matches("^404 NOT_FOUND", event.payload.reason)
    end)

    it("without the payload, when that is too long for a worker's inbox", function()
      start { amqp_inbox_size = 65536 }
      assert.equal(1, publish("ox", "nowhere", ("{'Msg-ID' : 'id 4', 'text' : '%s'}"):format(("x"):rep(40000)),
        "mandatory=1"))
      local payload = wait.until_(function()
        return server:events("consumer-event-message-returned")[1]
      end, 10, "the event").payload
      assert.same({ "returned", "nowhere" }, { payload["Event-Name"], payload.routing_key })
      assert.is_nil(payload.payload)
      assert.equal(1, publish("ox", "nowhere", "{'Msg-ID' : 'id 5'}", "mandatory=1"))
      server:event "id 5"
    end)
  end)

  describe("with amqp_publish_wait is the result of kazoo_publish:", function()
    it("1 when the broker has confirmed it, soon", function()
      start { amqp_publish_wait = 5000 }
      local started = socket.gettime()
      for n = 1, 20 do
        assert.equal(1, publish("ox", "any", ("{'n' : %d}"):format(n)))
      end
      local each = (socket.gettime() - started) / 20
      assert.is_true(each < 0.5, "each took " .. each)
      for n = 1, 20 do assert.equal(n, cjson.decode(client:get("o-any").payload).n) end
    end)

    it("1 for each of many in a row, from several workers at once", function()
      start { amqp_publish_wait = 5000 }
      for _ = 1, 3 do assert.equal(0, (server:call("many", { headers = { "X-Key: any" } }))) end
      assert.equal(600, #client:consume("o-any", { count = 600 }))
    end)

    it("-1 when the broker refuses it, or returns it, or closes the channel over it", function()
      start { amqp_publish_wait = 5000, amqp_nack_retry = 0 }
      assert.equal(-1, publish("ox", "full"))
      assert.equal(-1, publish("ox", "nowhere", "{}", "mandatory=1"))
      assert.equal(-1, publish("no such exchange", "k"))
      assert.equal(1, publish("ox", "nowhere"))
    end)

    it("-2 at the deadline, when the broker is frozen; the message arrives when it goes on", function()
      start { amqp_publish_wait = 300 }
      rabbit:freeze()
      local started = socket.gettime()
      assert.equal(-2, publish("ox", "any", "{'while' : 'frozen'}"))
      local took = socket.gettime() - started
      assert.is_true(took >= 0.3 and took < 5, "took " .. took)
      server:wait_log "WARN.*kazoo_publish: no confirm within 300 ms for routing key \"any\""
      rabbit:thaw()
      assert.equal("frozen", cjson.decode(client:get("o-any").payload)["while"])
      assert.equal(1, publish("ox", "any", "{'after' : 'all'}"))
      assert.equal("all", cjson.decode(client:get("o-any").payload).after)
    end)

    it("1 without waiting in mod-init, where nothing is sent yet", function()
      start({ amqp_publish_wait = 3000 }, [[
        kazoo_publish("ox", "any", "{'from' : 'mod-init'}");
        xlog("L_NOTICE", "mod-init: $rc\n");]])
      server:wait_log "mod%-init: 1"
      assert.equal("mod-init", cjson.decode(client:get("o-any").payload).from)
    end)
  end)

  describe("is the result of kazoo_publish_wait:", function()
    local function wait_for(ms, exchange, key, payload, properties)
      return (server:call("wait", { body = payload or "{'a' : 1}", headers = { "X-Wait: " .. ms,
        "X-Exchange: " .. exchange, "X-Key: " .. key, "X-Properties: " .. (properties or ";") } }))
    end

    local function empty_queue() client:consume("o-any", { deadline = 0.2 }) end

    it("1 when the broker has confirmed it, -1 when it refuses it or returns it", function()
      start { amqp_nack_retry = 0 }
      empty_queue()
      assert.equal(1, wait_for(5000, "ox", "any", "{'n' : 1}"))
      assert.same({ h = "1" }, client:get("o-any").headers)
      assert.equal(-1, wait_for(5000, "ox", "full"))
      assert.equal(-1, wait_for(5000, "ox", "nowhere", "{}", "mandatory=1"))
      assert.equal(-1, wait_for(5000, "no such exchange", "k"))
      assert.equal(-1, (server:call("wait4", { body = "{}", headers = { "X-Key: full" } })))
      assert.equal(1, (server:call("wait5", { body = "{}", headers = { "X-Key: any" } })))
      assert.same({ h = "5" }, client:get("o-any").headers)
      assert.equal(1, publish("ox", "full")) -- kazoo_publish waits no more than before
    end)

    it("-2 at its own deadline, and 1 at once with 0, whatever amqp_publish_wait is", function()
      start { amqp_publish_wait = 60000 }
      empty_queue()
      rabbit:freeze()
      local started = socket.gettime()
      assert.equal(-2, wait_for(300, "ox", "any", "{'while' : 'frozen'}"))
      local took = socket.gettime() - started
      assert.equal(1, wait_for(0, "ox", "any", "{'without' : 'waiting'}"))
      rabbit:thaw()
      assert.is_true(took >= 0.3 and took < 5, "took " .. took)
      server:wait_log "WARN.*kazoo_publish_wait: no confirm within 300 ms for routing key \"any\""
      assert.equal("frozen", cjson.decode(client:get("o-any").payload)["while"])
      assert.equal("waiting", cjson.decode(client:get("o-any").payload).without)
    end)

    it("-1 when there is no such time, and nothing is published", function()
      start {}
      empty_queue()
      for _, bad in ipairs { "soon", "-1", "3600001", "1.5", "4294967297" } do
        assert.equal(-1, wait_for(bad, "ox", "any"))
        server:wait_log('ERROR.*kazoo_publish_wait: timeout_ms: "' .. bad:gsub("%p", "%%%0") .. '" must be')
      end
      assert.same({}, client:consume("o-any", { deadline = 0.2 }))
    end)

    it("the same in KEMI", function()
      server = kazoo.start { rabbit = rabbit, params = { amqp_nack_retry = 0 }, lua = [[
        function ksr_request_route()
          local key, k = KSR.pv.get("$hdr(X-Key)"), KSR.kazoo
          local results = {
            k.kazoo_publish_wait("ox", key, "{'n' : 1}", 5000), k.kazoo_publish_wait("ox", key, "{'n' : 2}", -1),
            k.kazoo_publish_wait_properties("ox", key, "{'n' : 3}", "5000", "h=1", "type=T"),
            k.kazoo_publish_wait_properties("ox", key, "{'n' : 4}", "x", "h=1", "type=T"),
          }
          KSR.sl.sl_send_reply(200, table.concat(results, " "))
          return 1
        end]] }
      server:await_connected()
      empty_queue()
      local function results(key)
        return assert(server.sip:request { method = "MESSAGE", body = "x", headers = { "X-Key: " .. key } }).reason
      end
      assert.equal("1 -1 1 -1", results "any")
      local messages = client:consume("o-any", { count = 2 })
      assert.same({ 1, 3, "T" },
        { cjson.decode(messages[1].payload).n, cjson.decode(messages[2].payload).n, messages[2].type })
      assert.equal("-1 -1 -1 -1", results "full")
    end)
  end)

  it("connection.blocked keeps messages in the outbox and deliveries going, and is told by events", function()
    start({}, [[kazoo_subscribe("{'exchange':'ox', 'type':'direct', 'queue':'o-in', 'routing':'in'}");]])
    server:wait_log('consuming from queue "o%-in"')
    client:queue "o-keep"
    client:bind("o-keep", "ox", "keep")
    rabbit:ctl("set_vm_memory_high_watermark", "0.00001")
    assert.equal(1, publish("ox", "keep", "{'n' : 0}")) -- RabbitMQ tells who publishes
    local event = wait.until_(function() return server:events("consumer-event-connection-blocked")[1] end, 10, "blocked")
    local p = event.payload
    assert.same({ "connection", "blocked", "127.0.0.1", "local", "publisher", "low on memory" },
      { p["Event-Category"], p["Event-Name"], p.host, p.zone, p.connection, p.reason })
    for n = 1, 50 do assert.equal(1, publish("ox", "keep", ("{'n' : %d}"):format(n))) end
    -- The probe would be blocked too.
    rabbit:ctl("eval", [[rabbit_basic:publish(rabbit_misc:r(<<"/">>, exchange, <<"ox">>), <<"in">>, [],
      <<"{\"id\":\"inside\"}">>).]])
    server:event "inside"
    assert.equal(0, #server:events "consumer-event-connection-unblocked")
    rabbit:ctl("set_vm_memory_high_watermark", "0.8")
    wait.until_(function() return server:events("consumer-event-connection-unblocked")[1] end, 10, "unblocked")
    local seen = {}
    for _, message in ipairs(client:consume("o-keep", { count = 51 })) do seen[cjson.decode(message.payload).n] = true end
    for n = 0, 50 do assert.is_true(seen[n]) end
  end)

  it("connection.blocked is over, for the events too, when the connection is lost", function()
    start {}
    rabbit:ctl("set_vm_memory_high_watermark", "0.00001")
    assert.equal(1, publish("ox", "any"))
    wait.until_(function() return server:events("consumer-event-connection-blocked")[1] end, 10, "blocked")
    rabbit:ctl("set_vm_memory_high_watermark", "0.8")
    rabbit:ctl("close_all_connections", "spec")
    wait.until_(function() return server:events("consumer-event-connection-unblocked")[1] end, 10, "unblocked")
    assert.equal(1, #client:consume("o-any", { count = 1 }))
  end)
end)
