local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local rabbits = require "support.rabbit"

local publish = [[kazoo_publish("props", "$hdr(X-Key)", $rb, "$hdr(X-Headers)", "$hdr(X-Properties)");]]

local kemi = [[
function ksr_request_route()
  local rc = KSR.kazoo.kazoo_publish_properties("props", "k", KSR.pv.get("$rb"), "h=1", KSR.pv.get("$hdr(X-Properties)"))
  KSR.sl.sl_send_reply(200, "rc " .. rc)
end
]]

-- One header, of 16 bytes doubled this many times.
local long_header = [[
  $var(h) = "0123456789abcdef"; $var(i) = 0;
  while ($var(i) < $(hdr(X-Doubled){s.int})) { $var(h) = $var(h) + $var(h); $var(i) = $var(i) + 1; }
  $var(h) = "h=" + $var(h);
  kazoo_publish("heads", "k", $rb, "$var(h)");]]

describe("Headers of what is published", function()
  local function start(rabbit)
    local server = kazoo.start { rabbit = rabbit, routes = { long = long_header },
      events = kazoo.notes { "consumer-event-message-refused" } }
    server:await_connected()
    return server
  end

  local function publish_long(server, doubled)
    return (server:call("long", { body = "{'a' : 1}", headers = { "X-Doubled: " .. doubled } }))
  end

  local function list(count, name)
    local headers = {}
    for i = 1, count do headers[i] = (name or "h") .. i .. "=v" end
    return table.concat(headers, ";")
  end

  it("are refused with -1 when they are too many or too long, and other messages are still sent", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    client:exchange("heads", "topic")
    local queue = client:tap("heads", "#")
    local server = start(rabbit)
    assert.equal(1, server:publish("heads", "k", "{}", list(64)))
    assert.equal("v", client:get(queue).headers.h64)
    assert.equal(-1, server:publish("heads", "k", "{}", list(65)))
    server:wait_log "ERROR.*kazoo_publish: headers of %d+ bytes: more than 64"
    assert.equal(1, server:publish("heads", "k", "{}", ("n"):rep(255) .. "=v"))
    assert.equal("v", client:get(queue).headers[("n"):rep(255)])
    assert.equal(-1, server:publish("heads", "k", "{}", ("n"):rep(256) .. "=v"))
    server:wait_log 'ERROR.*kazoo_publish: header "n+%.%.%.": its name is longer than 255 bytes'
    assert.equal(1, publish_long(server, 12))
    assert.equal(65536, #client:get(queue).headers.h)
    assert.equal(-1, publish_long(server, 13))
    server:wait_log "ERROR.*kazoo_publish: headers of %d+ bytes: longer than the 126976 bytes"
    assert.equal(0, server:count_log "connection to .* lost")
    server:stop()
  end)

  it("that do not fit into a frame of this broker lose only their own message", function()
    local rabbit = rabbits.start { conf = "frame_max = 8192" }
    finally(function() rabbit:stop() end)
    local client = amqp.client(rabbit)
    client:exchange("heads", "topic")
    local queue = client:tap("heads", "#")
    local server = start(rabbit)
    assert.equal(1, publish_long(server, 10))
    assert.equal(1, server:publish("heads", "k", '{"id":"behind it"}'))
    assert.equal("behind it", cjson.decode(client:get(queue).payload).id)
    server:event "too long for the protocol"
    server:wait_log 'message to exchange "heads" .* dropped: its headers and properties do not fit in one frame'
    assert.equal(0, server:count_log "connection to .* lost")
    server:stop()
  end)
end)

describe("Properties of what is published", function()
  local rabbit, client, queue

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("props", "topic")
    queue = client:tap("props", "#")
  end)

  local function start(params)
    local server = kazoo.start { rabbit = rabbit, routes = { with = publish }, params = params }
    server:await_connected()
    return server
  end

  local function call(server, properties, payload)
    return (server:call("with", {
      body = payload or "{'a' : 1}",
      headers = { "X-Key: k", "X-Headers: h=1", "X-Properties: " .. (properties or ";") },
    }))
  end

  describe("of one message", function()
    local server

    setup(function() server = start {} end)
    teardown(function() server:stop() end)

    it("can be any that AMQP knows", function()
      assert.equal(1, call(server, "content-type=text/x;content-encoding=c;delivery-mode=1;priority=7;correlation-id=i;"
        .. "reply-to=r;expiration=60000;message-id=m;timestamp=1700000000;type=t;user-id=guest;app-id=a;mandatory=1"))
      local message = client:get(queue)
      message.payload, message.exchange, message.routing_key, message.redelivered = nil, nil, nil, nil
      assert.same({
        content_type = "text/x", content_encoding = "c", delivery_mode = 1, priority = 7, correlation_id = "i",
        reply_to = "r", expiration = "60000", message_id = "m", timestamp = 1700000000, type = "t", user_id = "guest",
        app_id = "a", headers = { h = "1" },
      }, message)
    end)

    it("leave the others as they are", function()
      assert.equal(1, call(server, " type = x ; "))
      local message = client:get(queue)
      assert.same({ "x", "application/json", 2 }, { message.type, message.content_type, message.delivery_mode })
      assert.equal(1, call(server))
      assert.is_nil(client:get(queue).type)
    end)

    local wrong = {
      ["priority=high"] = "property priority=high: must be a number from 0 to 255",
      ["priority=256"] = "property priority=256: must be a number from 0 to 255",
      ["delivery-mode=3"] = "property delivery%-mode=3: must be a number from 1 to 2",
      ["delivery-mode=0"] = "property delivery%-mode=0: must be a number from 1 to 2",
      ["type=x;expiration=1s"] = "property expiration=1s: must be a number from 0 to 4294967295",
      ["expiration="] = "property expiration=: must be a number",
      ["timestamp=-1"] = "property timestamp=%-1: must be a number",
      ["mandatory=yes"] = "property mandatory=yes: must be 0 or 1",
      ["persistent=1"] = "property persistent=1: unknown property, expected one of content%-type, .* and mandatory",
      ["type"] = 'property "type" is not of the form name=value',
      ["type=" .. ("x"):rep(256)] = "property type=x+: longer than 255 bytes",
    }
    for text, complaint in pairs(wrong) do
      it(("refuse %.30s with -1, name and reason"):format(text), function()
        assert.equal(-1, call(server, text))
        server:wait_log("ERROR.*kazoo_publish: " .. complaint)
      end)
    end

    it("that are wrong send nothing", function()
      assert.equal(-1, call(server, "priority=high", "{'wrong' : 1}"))
      assert.equal(1, call(server, nil, "{'right' : 1}"))
      assert.equal(1, cjson.decode(client:get(queue).payload).right)
    end)
  end)

  describe("of every message, by amqp_publish_properties,", function()
    it("hold unless the message says otherwise", function()
      local server = start { amqp_publish_properties = "delivery-mode=1;priority=3;type=event" }
      assert.equal(1, server:publish("props", "k", "{}"))
      local message = client:get(queue)
      assert.same({ 1, 3, "event" }, { message.delivery_mode, message.priority, message.type })
      assert.equal(1, call(server, "priority=9"))
      message = client:get(queue)
      assert.same({ 1, 9, "event" }, { message.delivery_mode, message.priority, message.type })
      server:stop()
    end)

    it("stop the start when they are wrong", function()
      for text, complaint in pairs {
        ["priority=x"] = "amqp_publish_properties: property priority=x: must be a number from 0 to 255",
        ["durable=1"] = "amqp_publish_properties: property durable=1: unknown property",
        ["type"] = 'amqp_publish_properties: property "type" is not of the form name=value',
      } do
        local server, log = kazoo.try_start { rabbit = rabbit, params = { amqp_publish_properties = text } }
        assert.is_nil(server)
        assert.matches("ERROR.*" .. complaint, log)
      end
    end)
  end)

  it("can be set from KEMI", function()
    local server = kazoo.start { rabbit = rabbit, lua = kemi }
    server:await_connected()
    local function reason(properties)
      return assert(server.sip:request { method = "MESSAGE", uri = "sip:x@127.0.0.1", body = "{}",
        headers = { "X-Properties: " .. properties } }).reason
    end
    assert.equal("rc 1", reason "type=kemi")
    local message = client:get(queue)
    assert.same({ "kemi", "1" }, { message.type, message.headers.h })
    assert.equal("rc -1", reason "type")
    server:stop()
  end)
end)
