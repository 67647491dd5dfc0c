local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local sip = require "support.sip"
local stats = require "support.stats"
local wait = require "support.wait"

local servers = 0

-- Each server has queues of its own: what a broker believes of the consumers of the last one is no concern then.
local function with_own_queue(text)
  servers = servers + 1
  return (text:gsub("QUEUE", ("events-%d"):format(servers)))
end

local mod_init = [[
  kazoo_subscribe("{'exchange':'ev', 'type':'topic', 'queue':'QUEUE', 'routing':'plain.#'}");
  kazoo_subscribe("{'exchange':'ev', 'type':'topic', 'queue':'QUEUE-own', 'routing':'own.#',
    'event_key':'Own_Key', 'event_subkey':'Own-Sub'}");
]]

describe("An event from the bus", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  local function start_with(options)
    options.rabbit, options.mod_init = rabbit, with_own_queue(mod_init)
    server = kazoo.start(options)
    server:wait_log('consuming from queue ".*%-own"')
  end

  local function start(names, params) start_with { events = kazoo.notes(names), params = params } end

  local serial = 0

  -- The route that ran for this payload, sent with this routing key.
  local function route_of(payload, key)
    serial = serial + 1
    payload.id = ("event %d."):format(serial)
    client:publish("ev", key or "plain.key", cjson.encode(payload))
    return server:event(payload.id).route
  end

  local message = { ["Event-Category"] = "Presence_State", ["Event-Name"] = "UPDATE_now" }

  describe("runs the first of five routes that exists:", function()
    local names = {
      "consumer-event-presence-state-update-now",
      "consumer-event-presence-state",
      "consumer-event-event-category-event-name",
      "consumer-event-event-category",
      "consumer-event",
    }
    for i, name in ipairs(names) do
      it(name, function()
        start({ unpack(names, i) })
        assert.equal(name, route_of(message))
      end)
    end
  end)

  it("runs no route when none exists, and the next message is handled", function()
    start { "consumer-event-known" }
    client:publish("ev", "plain.key", '{"Event-Category":"unknown"}')
    assert.equal("consumer-event-known", route_of { ["Event-Category"] = "known" })
  end)

  it("is named by the fields of the module's parameters", function()
    start({ "consumer-event-one-two", "consumer-event-my-field-my-subfield", "consumer-event" },
      { amqp_consumer_event_key = "My_Field", amqp_consumer_event_subkey = "My-SubField" })
    assert.equal("consumer-event-one-two", route_of { My_Field = "ONE", ["My-SubField"] = "two" })
    assert.equal("consumer-event-my-field-my-subfield", route_of { ["Event-Category"] = "one" })
  end)

  describe("of a subscription with its own event_key and event_subkey", function()
    it("is named by those fields", function()
      start { "consumer-event-kv-sv", "consumer-event-presence-state-update-now", "consumer-event" }
      assert.equal("consumer-event-kv-sv", route_of({ Own_Key = "kv", ["Own-Sub"] = "sv" }, "own.x"))
      assert.equal("consumer-event", route_of(message, "own.x"))
      assert.equal("consumer-event-presence-state-update-now", route_of(message))
    end)

    it("is named by their text where the payload lacks the field", function()
      start { "consumer-event-own-key-own-sub", "consumer-event-kv-own-sub", "consumer-event" }
      assert.equal("consumer-event-own-key-own-sub", route_of({}, "own.x"))
      assert.equal("consumer-event-kv-own-sub", route_of({ Own_Key = "kv" }, "own.x"))
    end)
  end)

  it("of numbers and booleans is named by their text", function()
    start { "consumer-event-7-true", "consumer-event" }
    assert.equal("consumer-event-7-true", route_of { ["Event-Category"] = 7, ["Event-Name"] = true })
  end)

  describe("is seen by its route", function()
    setup(function() serial = serial + 1 end)

    local function event(payload, key)
      start { "consumer-event" }
      payload.id = "seen"
      client:publish("ev", key or "plain.key", cjson.encode(payload))
      return server:event '"id":"seen"'
    end

    it("as $kzE, and its routing key as $kzRK", function()
      local seen = event({ a = { 1, 2 }, text = "x" }, "plain.some.Key")
      assert.equal("plain.some.Key", seen.key)
      assert.same({ 1, 2 }, seen.payload.a)
      assert.equal("x", seen.payload.text)
    end)

    it("with the zone of the broker and the time it came", function()
      local seen = event({ ["AMQP-Broker-Zone"] = "a lie", ["AMQP-Received"] = "another" }).payload
      assert.equal("local", seen["AMQP-Broker-Zone"])
      assert.is_number(seen["AMQP-Received"])
      assert.is_true(math.abs(os.time() - seen["AMQP-Received"]) < 60)
    end)

    it("with a Server-ID that leads back to the broker", function()
      assert.equal("consumer://local/asker-<1>-targeted-2",
        event({ ["Server-ID"] = "asker-<1>-targeted-2" }).payload["Server-ID"])
    end)

    for what, value in pairs { ["an empty"] = "", ["a null"] = cjson.null, ["an object as"] = { a = 1 } } do
      it("without " .. what .. " Server-ID", function()
        assert.is_nil(event({ ["Server-ID"] = value }).payload["Server-ID"])
      end)
    end
  end)

  it("is answered by publishing to its Server-ID", function()
    client:exchange("targeted-ev", "direct")
    local answers = client:tap("targeted-ev", "asker")
    start_with {
      events = {
        ["consumer-event"] = [[kazoo_publish("targeted-ev", "$(kzE{kz.json,Server-ID})", "{'answer' : 42}");]],
      },
    }
    client:publish("ev", "plain.key", '{"Server-ID":"asker"}')
    assert.equal(42, cjson.decode(client:get(answers).payload).answer)
  end)

  it("is handled by another worker while one is busy", function()
    start_with {
      params = { amqp_consumer_processes = 2 },
      settings = kazoo.hold_settings, events = {
        ["consumer-event-slow"] = kazoo.hold .. kazoo.note("slow"),
        ["consumer-event-quick"] = kazoo.note("quick") .. '$shv(go) = 1;',
      },
    }
    client:publish_all("ev", "plain.key", { '{"Event-Category":"slow"}', '{"Event-Category":"quick"}' })
    server:event('"Event-Category":"slow"')
    assert.equal("quick", server:events()[1].route)
  end)

  it("leaves nothing behind for the next event", function()
    start_with {
      params = { amqp_consumer_processes = 1 }, events = {
        ["consumer-event-first"] = [[$avp(left) = "something"; append_hf("X: y\r\n"); $ru = "sip:changed@example.org";
          exit;]],
        ["consumer-event"] = 'xlog("L_NOTICE", "left: $avp(left) $rU\\n");' .. kazoo.note("second"),
      },
    }
    client:publish_all("ev", "plain.key", { '{"Event-Category":"first"}', '{"Event-Category":"second"}' })
    server:event '"Event-Category":"second"'
    assert.matches("left: <null> ", server:wait_log("left: "))
    assert.not_matches("changed", server:wait_log("left: "))
  end)

  it("is read as JSON whatever its content type is", function()
    start { "consumer-event" }
    client:publish("ev", "plain.key", '{"id":"octets"}', { content_type = "application/octet-stream" })
    server:event "octets"
  end)
end)

describe("A connection to a broker", function()
  local rabbit, server

  local names = {
    consumer = { "open", "closed" }, publisher = { "publisher-open", "publisher-closed" },
    requester = { "requester-open", "requester-closed" },
  }

  before_each(function()
    rabbit = kazoo.shared_rabbit()
    local routes = {}
    for _, pair in pairs(names) do
      for _, name in ipairs(pair) do routes[#routes + 1] = "consumer-event-connection-" .. name end
    end
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_primary_zone = "dresden", node_hostname = "closed.example" },
      events = kazoo.notes(routes),
    }
    server:await_connected()
  end)

  after_each(function() server:stop() end)

  local function pid_of(connection)
    for line in rabbit:ctl("list_connections", "pid", "client_properties"):gmatch("[^\n]+") do
      if line:find("kamailio@closed.example " .. connection, 1, true) then return line:match("^(<[^>]+>)") end
    end
    error("the broker knows no connection of the " .. connection)
  end

  local function await_event(name, count)
    return wait.until_(function()
      local events = server:events("consumer-event-connection-" .. name)
      return #events >= count and events[count]
    end, 10, ("event %d %s"):format(count, name))
  end

  local function check(event, connection, name)
    assert.equal("<null>", event.key)
    assert.equal("connection", event.payload["Event-Category"])
    assert.equal(name, event.payload["Event-Name"])
    assert.equal("127.0.0.1", event.payload.host)
    assert.equal("dresden", event.payload.zone)
    assert.equal(connection, event.payload.connection)
  end

  for connection, pair in pairs(names) do
    it(("is an event when it opens and when it closes, that of the %s too, and of no other"):format(connection), function()
      for _, other in pairs(names) do await_event(other[1], 1) end
      rabbit:ctl("close_connection", pid_of(connection), "spec")
      check(await_event(pair[1], 2), connection, pair[1])
      check(await_event(pair[2], 1), connection, pair[2])
      assert.equal(5, #server:events()) -- three that opened, and these two
    end)
  end
end)

describe("event_route[kazoo:mod-init]", function()
  it("runs once, before the first event", function()
    local rabbit = kazoo.shared_rabbit()
    local server = kazoo.start {
      rabbit = rabbit, children = 3, mod_init = 'xlog("L_NOTICE", "mod-init ran\\n");',
      events = kazoo.notes { "consumer-event-connection-open" },
    }
    server:event '"open"'
    assert.equal(1, server:count_log("mod%-init ran"))
    server:stop()
  end)
end)

local raw_mod_init = [[kazoo_subscribe('{"exchange":"raw", "type":"topic", "queue":"QUEUE", "routing":"#", "no_ack":0,
  "wait_for_consumer_ack":1}');]]
local note_raw = 'xlog("L_NOTICE", "raw $kzRK [$(kzE{s.len})] $(kzE{s.encode.hexa}) $kzHdr(h) $kzProp(content-type)\\n");'

describe("A body that is no JSON object", function()
  local bodies = { "", " ", "text", "[1,2]", "null", "42", "\0\1\255 binary", '{"a":', "<xml/>" }
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  local function hex(text)
    return (text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
  end

  local function start(events)
    server = kazoo.start { rabbit = rabbit, events = events, mod_init = with_own_queue(raw_mod_init) }
    server:wait_log('consuming from queue "events')
  end

  it("runs kazoo:consumer-event-raw, which reads it as it came, with its headers and properties", function()
    start { ["consumer-event-raw"] = note_raw, ["consumer-event"] = kazoo.note("json") }
    for i, body in ipairs(bodies) do
      client:publish("raw", "n" .. i, body, { headers = { h = "header" .. i }, content_type = "text/x" })
      local line = server:wait_log(("raw n%d "):format(i))
      assert.matches(("raw n%d %%[%d%%] %s header%d text/x"):format(i, #body, hex(body), i), (line:gsub("<null>", "")))
    end
    client:publish("raw", "json", "{'id':'single quotes, as json-c reads them'} behind")
    assert.equal("single quotes, as json-c reads them", server:event("as json-c reads them").payload.id)
    assert.equal(0, server:count_log("discarding message"))
    assert.equal(0, stats.one(server, "kazoo.subscriptions", { queue = "events-" .. servers }).dropped_unreadable)
  end)

  it("is acknowledged after that route", function()
    start { ["consumer-event-raw"] = note_raw }
    client:publish("raw", "k", "text")
    server:wait_log("raw k")
    wait.until_(function() return (client:queue("events-" .. servers, "auto_delete")) == 0 end, 5, "an empty queue")
    stats.await(server, "kazoo.subscriptions", { acked = 1, rejected = 0 }, { queue = "events-" .. servers })
  end)

  it("is discarded with a line and a count where there is no such route", function()
    start { ["consumer-event"] = kazoo.note("json") }
    client:publish("raw", "k", "text")
    server:wait_log('discarding message on exchange "raw" with routing key "k": not a JSON object at byte 0 of 4: text')
    stats.await(server, "kazoo.subscriptions", { dropped_unreadable = 1 }, { queue = "events-" .. servers })
  end)
end)

describe("RabbitMQ's event exchange", function()
  it("runs kazoo:consumer-event-raw for what the broker tells of itself", function()
    local rabbit = require("support.rabbit").start { plugins = { "rabbitmq_event_exchange" } }
    local server = kazoo.start {
      rabbit = rabbit,
      mod_init = [[kazoo_subscribe('{"exchange":"amq.rabbitmq.event", "type":"topic", "queue":"", "routing":"queue.*",
        "passive":0, "exchange-def":{"type":"topic", "durable":1, "internal":1}}');]],
      events = { ["consumer-event-raw"] = 'xlog("L_NOTICE", "told $kzRK [$kzE] $kzHdr(name) $kzHdr(durable)\\n");' },
    }
    server:wait_log('consuming from queue "" of exchange "amq.rabbitmq.event"')
    amqp.client(rabbit):queue("told-of", "durable")
    server:wait_log("told queue.created %[%] told%-of true")
    server:stop()
    rabbit:stop()
  end)
end)

local kemi = [[
function ksr_request_route()
  local rc = KSR.kazoo.kazoo_publish("kemi", "out", "{'from' : '" .. KSR.pv.get("$rU") .. "'}")
  KSR.sl.sl_send_reply(rc == 1 and 200 or 500, "rc " .. tostring(rc))
end

function ksr_kazoo_event(name)
  KSR.notice("callback " .. name .. " " .. tostring(KSR.pv.get("$kzRK")) .. " " .. tostring(KSR.pv.get("$kzE")) .. "\n")
  if name == "kazoo:mod-init" then
    local rc = KSR.kazoo.kazoo_subscribe("{'exchange':'kemi', 'type':'topic', 'queue':'QUEUE', 'routing':'in'}")
    KSR.notice("kazoo_subscribe returned " .. tostring(rc) .. "\n")
  end
  return 1
end

function ksr_kazoo_broken(name) error("broken on purpose") end
]]

describe("A KEMI script", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  local function start(callback)
    server = kazoo.start { rabbit = rabbit, lua = with_own_queue(kemi), params = { event_callback = callback } }
  end

  it("subscribes when it is called with kazoo:mod-init", function()
    start "ksr_kazoo_event"
    server:wait_log("callback kazoo:mod%-init")
    server:wait_log("kazoo_subscribe returned 1")
    server:wait_log('consuming from queue "events')
    assert.equal(1, server:count_log("callback kazoo:mod%-init"))
  end)

  it("is called with kazoo:consumer-event for each message, and reads $kzE and $kzRK", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "events')
    client:publish("kemi", "in", '{"id":"kemi 1","Server-ID":"asker"}')
    local line = server:wait_log('callback kazoo:consumer%-event in {"id":"kemi 1"')
    assert.matches('"AMQP%-Broker%-Zone":"local"', line)
    assert.matches('"Server%-ID":"consumer://local/asker"', line)
  end)

  it("is called with kazoo:consumer-event-raw for a body that is no JSON object", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "events')
    client:publish("kemi", "in", "no JSON")
    server:wait_log("callback kazoo:consumer%-event%-raw in no JSON")
  end)

  it("is called for the module's own events", function()
    start "ksr_kazoo_event"
    server:wait_log('callback kazoo:consumer%-event .*"Event%-Category":"connection"')
  end)

  it("publishes", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "events')
    local queue = client:tap("kemi", "out")
    assert.equal(200, server.sip:message("x", { uri = "sip:lua@127.0.0.1" }).status)
    assert.equal("lua", cjson.decode(client:get(queue).payload).from)
  end)

  it("whose callback fails logs app_lua's error with the line, and loses only that event", function()
    start "ksr_kazoo_broken"
    server:wait_log("kemi.lua:15: broken on purpose", 10, 2)
    assert.equal(200, server.sip:message("x", { uri = "sip:lua@127.0.0.1" }).status)
    assert.is_nil(server:crash())
  end)
end)

describe("A KEMI script that sends requests", function()
  local script = [[
    function ksr_request_route()
      local how, key = KSR.pv.get("$rU"), KSR.pv.get("$rd")
      if how == "now" then
        local rc = KSR.kazoo.kazoo_query("qx", key, "{}")
        KSR.sl.sl_send_reply(200, rc .. " " .. tostring(KSR.pv.get("$kzR")))
      elseif how == "headers" then
        KSR.sl.sl_send_reply(200, tostring(KSR.kazoo.kazoo_query_headers("qx", key, "{}", "h=v")))
      else
        local rc = KSR.kazoo.kazoo_async_query("qx", key, "{}", "on_answer", "on_failure")
        if rc < 0 then KSR.sl.sl_send_reply(500, "not asked") end
      end
    end
    function on_answer() KSR.tm.t_reply(480, "answered") end
    function on_failure() KSR.tm.t_reply(504, "failed") end
  ]]
  local rabbit, client, server, questions

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "key.*")
    server = kazoo.start { rabbit = rabbit, lua = script, params = { amqp_query_timeout_sec = 2 } }
    server:wait_log('consuming from queue "kamailio@')
  end)

  teardown(function() server:stop() end)

  local function start(how)
    local phone = sip.client(server.port)
    phone:start { method = "MESSAGE", uri = ("sip:%s@key.1:%d"):format(how, server.port), body = "x" }
    return phone
  end

  local function answer()
    local question = cjson.decode(client:get(questions).payload)
    client:publish("targeted", question["Server-ID"], cjson.encode { ["Msg-ID"] = question["Msg-ID"], it = "is" })
  end

  it("gets the reply", function()
    local phone = start "now"
    answer()
    local reply = assert(phone:await_reply(5))
    assert.matches('^1 .*"it":"is"', reply.reason)
    phone:close()
  end)

  it("sends requests with headers", function()
    local phone = start "headers"
    answer()
    assert.equal("1", assert(phone:await_reply(5)).reason)
    phone:close()
  end)

  it("suspends its transaction until a reply, or its absence, runs a function", function()
    local phone = start "later"
    answer()
    assert.equal(480, assert(phone:await_reply(5)).status)
    phone:close()
    phone = start "never"
    assert.equal(504, assert(phone:await_reply(8)).status)
    phone:close()
  end)
end)

describe("A native configuration with event_callback", function()
  it("logs that there is no KEMI script", function()
    local server = kazoo.start { rabbit = kazoo.shared_rabbit(), params = { event_callback = "ksr_kazoo_event" } }
    server:wait_log('event_callback "ksr_kazoo_event" is set, but the configuration has no KEMI script')
    server:stop()
  end)
end)
