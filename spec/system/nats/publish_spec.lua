local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"

local MAX = 1048576 -- max_payload of a nats-server by default

local routes = {
  two = [[nats_publish("two", "$rb");]],
  three = [[nats_publish("three", "$rb", "reply.here");]],
  unquoted = [[$var(s) = "unquoted"; $var(r) = "back"; nats_publish($var(s), $rb, $var(r));]],
  mixed = [[nats_publish("mixed.$fU", "<$rb>", "r.$fU");]],
  expression = [[nats_publish("expression", $fU + "/" + $rb);]],
  in_condition = [[
    $var(rc) = 7;
    if (nats_publish("condition", "yes")) { $var(rc) = 1; }
    if (nats_publish("not a subject", "no")) { $var(rc) = 8; }]],
  hex = [[$var(p) = $(rb{s.decode.hexa}); nats_publish("hex", $var(p));]],
  hex_quoted = [[$var(p) = $(rb{s.decode.hexa}); nats_publish("hex", "$var(p)");]],
  bad_reply = [[nats_publish("fine", "x", "$hdr(X-Subject)");]],
  -- around a payload one byte longer than the server takes
  too_long = ([[
    $var(p) = "0123456789abcdef";
    $var(i) = 0;
    while ($var(i) < 16) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_publish("long", "before");
    nats_publish("long", $var(p));
    nats_publish("long", $var(p) + "!");
    nats_publish("long", "after");]]):gsub("^%s+", ""),
  sequence = [[
    $var(i) = 0;
    while ($var(i) < 2000) { nats_publish("sequence", "$var(i)"); $var(i) = $var(i) + 1; }]],
}

describe("nats_publish", function()
  local broker, server, client

  setup(function()
    broker = nats_server.start()
    server = nats.start {
      server = broker, routes = routes, settings = "max_while_loops = 3000", private_memory = 64,
    }
    server:await_connections(2)
    client = nats_client.connect { port = broker.port }
    client:sub(">")
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  local function next_message(subject)
    local message = assert(client:next(5), "nothing came on " .. subject)
    assert.equal(subject, message.subject)
    return message
  end

  it("takes a subject and a payload", function()
    assert.equal(1, server:call("two", { body = "hello" }))
    local message = next_message("two")
    assert.equal("hello", message.payload)
    assert.is_nil(message.reply)
  end)

  it("takes a reply subject too", function()
    assert.equal(1, server:call("three", { body = "hello" }))
    local message = next_message("three")
    assert.equal("hello", message.payload)
    assert.equal("reply.here", message.reply)
  end)

  it("takes pseudo-variables without quotes", function()
    assert.equal(1, server:call("unquoted", { body = "a b" }))
    local message = next_message("unquoted")
    assert.equal("a b", message.payload)
    assert.equal("back", message.reply)
  end)

  it("takes pseudo-variables inside quotes", function()
    assert.equal(1, server:call("mixed", { body = "x" }))
    local message = next_message("mixed.spec")
    assert.equal("<x>", message.payload)
    assert.equal("r.spec", message.reply)
  end)

  it("takes an expression", function()
    assert.equal(1, server:call("expression", { body = "x" }))
    assert.equal("spec/x", next_message("expression").payload)
  end)

  it("is true or false in a condition", function()
    assert.equal(1, server:call("in_condition"))
    assert.equal("yes", next_message("condition").payload)
  end)

  it("sends every byte", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = ("%02x"):format(i) end
    local expected = table.concat(bytes):gsub("..", function(hex) return string.char(tonumber(hex, 16)) end)
    for _, route in ipairs { "hex", "hex_quoted" } do
      assert.equal(1, server:call(route, { body = table.concat(bytes) }))
      assert.equal(expected, next_message("hex").payload)
    end
  end)

  it("sends max_payload bytes; one more is dropped with a log line, and those around it arrive", function()
    assert.equal(1, server:call("too_long"))
    assert.equal("before", next_message("long").payload)
    local message = next_message("long")
    assert.equal(MAX, #message.payload)
    assert.is_true(message.payload == ("0123456789abcdef"):rep(65536))
    assert.equal("after", next_message("long").payload)
    server:wait_log('message to "long" dropped: 1048577 bytes, the server accepts 1048576')
  end)

  it("refuses an invalid subject, with a log line that shows it", function()
    for _, subject in ipairs { "a b", "a..b", ".a", "a.", "a.*", "*", ">", "a.>" } do
      local before = server:count_log("cannot publish to")
      assert.equal(-1, server:publish(subject, "x"), subject)
      server:wait_log("cannot publish to", 5, before + 1)
      assert.truthy(server:log():find(('nats_publish: cannot publish to "%s"'):format(subject), 1, true), subject)
    end
    assert.equal(-1, server:call("bad_reply", { headers = { "X-Subject: re ply" } }))
    server:wait_log('nats_publish: cannot publish to "re ply"')
    assert.equal(1, server:publish("good", "after all"))
    assert.equal("after all", next_message("good").payload)
  end)

  it("keeps the order of one SIP worker", function()
    assert.equal(1, server:call("sequence"))
    for i = 0, 1999 do assert.equal(tostring(i), next_message("sequence").payload) end
  end)
end)

-- "before": app_lua, which brings a Lua of its own, is loaded before nats; "after": after it.
for _, order in ipairs { "before", "after" } do
  describe("KEMI with app_lua loaded " .. order .. " nats", function()
    local broker, server, client

    local script = [[
      function ksr_request_route()
        local name, payload = KSR.pv.get("$rU"), KSR.pv.get("$rb")
        local rc = 0
        if name == "publish" then rc = KSR.nats.publish("kemi", payload) end
        if name == "request" then rc = KSR.nats.publish_request("kemi", payload, "kemi.reply") end
        if name == "bytes" then rc = KSR.nats.publish("kemi", ("a\0%s%n"):rep(150000)) end
        if name == "bad" then rc = KSR.nats.publish("ke mi", payload) end
        KSR.textops.set_reply_body(tostring(rc) .. "\n", "text/plain")
        KSR.sl.sl_send_reply(200, "OK")
      end
      function on_nats(event)
        local data = KSR.pv.get("$natsData")
        KSR.nats.publish("seen", event .. "|" .. tostring(data))
      end
    ]]

    setup(function()
      broker = nats_server.start()
      client = nats_client.connect { port = broker.port }
      client:sub("kemi")
      client:sub("seen")
      server = nats.start {
        server = broker, lua = script, lua_after = order == "after", private_memory = 32,
        params = { subject_queue_group = { "in.*.x:group", "plain:group" }, event_callback = "on_nats" },
      }
      server:await_connections(5) -- and that of the requester
    end)

    teardown(function()
      client:close()
      server:stop()
      broker:stop()
    end)

    local seen = {}
    local function next_on(subject)
      local message
      repeat
        message = assert(client:next(5), "nothing came on " .. subject)
        if message.subject == "seen" then seen[#seen + 1] = message.payload end
      until message.subject == subject
      return message
    end

    it("publishes", function()
      assert.equal(1, server:call("publish", { body = "hello" }))
      local message = next_on("kemi")
      assert.equal("hello", message.payload)
      assert.is_nil(message.reply)
    end)

    it("publishes with a reply subject", function()
      assert.equal(1, server:call("request", { body = "question" }))
      local message = next_on("kemi")
      assert.equal("question", message.payload)
      assert.equal("kemi.reply", message.reply)
    end)

    it("publishes any bytes", function()
      assert.equal(1, server:call("bytes"))
      assert.is_true(next_on("kemi").payload == ("a\0%s%n"):rep(150000))
    end)

    it("gets -1 for a bad subject", function()
      assert.equal(-1, server:call("bad", { body = "x" }))
    end)

    it("calls event_callback with the subject as it was subscribed", function()
      client:pub("in.any.x", "hel%slo")
      repeat until next_on("seen").payload == "nats:in.*.x|hel%slo"
      client:pub("plain", "")
      repeat until next_on("seen").payload == "nats:plain|"
    end)

    it("calls it with nats:connected, too, where there is no data", function()
      local connected = 0
      for _, payload in ipairs(seen) do
        if payload == "nats:connected|nil" then connected = connected + 1 end
      end
      assert.equal(2, connected) -- one for each subject_queue_group
    end)
  end)
end
