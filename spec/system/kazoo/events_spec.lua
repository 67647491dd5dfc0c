local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local wait = require "support.wait"

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
    options.rabbit, options.mod_init = rabbit, (kazoo.with_own_queue(mod_init))
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
