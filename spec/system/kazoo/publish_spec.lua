local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local sip = require "support.sip"
local stats = require "support.stats"
local wait = require "support.wait"

local routes = require "support.publish_routes"

describe("kazoo_publish", function()
  local server, client, queue, from_mod_init

  setup(function()
    local rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("pub", "topic")
    queue = client:tap("pub", "#")
    server = kazoo.start {
      rabbit = rabbit, mod_init = [[kazoo_publish("pub", "mod-init", "{'n' : 1}");]], routes = routes, children = 3,
      settings = "max_while_loops = 10000",
      params = { app_name = "spec app" },
    }
    server:await_connected()
    from_mod_init = client:get(queue)
  end)

  teardown(function() server:stop() end)

  local function publish(payload, key, headers) return server:publish("pub", key or "k", payload, headers) end

  -- What the broker got of this payload: the decoded object and the message.
  local function published(payload, key, headers)
    assert.equal(1, publish(payload, key, headers))
    local message = client:get(queue)
    return cjson.decode(message.payload), message
  end

  local function nothing_was_sent()
    assert.equal(1, publish("{'probe' : 1}", "probe"))
    assert.equal("probe", client:get(queue).routing_key)
  end

  describe("adds the fields that say who sent it", function()
    local version = io.popen("kamailio -v"):read("*a"):match("version: kamailio (%S+)")

    it("when they are absent", function()
      local object = published('{"Event-Name":"x"}')
      assert.equal("spec app", object["App-Name"])
      assert.equal(version, object["App-Version"])
      assert.equal("kamailio@spec.example", object["Node"])
      assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$",
        object["Msg-ID"])
      assert.matches("^kamailio@spec%.example%-.*targeted%-", object["Server-ID"])
      assert.equal("x", object["Event-Name"])
    end)

    it("with a new Msg-ID each time", function()
      assert.not_equal(published("{}")["Msg-ID"], published("{}")["Msg-ID"])
    end)

    it("and keeps those that are present, whatever their value", function()
      local own = {
        ["App-Name"] = "a", ["App-Version"] = "b", Node = "c", ["Msg-ID"] = "d", ["Server-ID"] = "",
      }
      assert.same(own, published(cjson.encode(own)))
    end)
  end)

  describe("sends strict JSON", function()
    local function sent(payload)
      local object, message = published(payload)
      return object, message.payload
    end

    it("of single-quoted strings and keys", function()
      local object = sent([[ {'it' : 'a "quoted" word', "mix" : 'ed', 'n' : 1, 'yes' : true, 'no' : null } ]])
      assert.equal('a "quoted" word', object.it)
      assert.equal("ed", object.mix)
      assert.equal(1, object.n)
      assert.is_true(object.yes)
      assert.equal(cjson.null, object.no)
    end)

    -- As Debian's own module reads them; of what is lost on the way a warning says the first.
    local mended = {
      ["text behind the object"] = { [[{"a" : 1} x]], { a = 1 }, "text behind the object ignored at byte 10" },
      ["two objects"] = { [[{"a" : 1}{"b" : 2}]], { a = 1 }, "text behind the object ignored at byte 9" },
      ["comments"] = {
        "{/* one */ 'a' : 1, // two\n 'b' : '/* no */'}", { a = 1, b = "/* no */" }, "comment removed at byte 1",
      },
      ["NaN and Infinity"] = {
        "{'a' : NaN, 'b' : [Infinity, -Infinity]}", { a = cjson.null, b = { cjson.null, cjson.null } },
        "NaN or Infinity replaced with null at byte 7",
      },
      ["equal keys"] = {
        "{'a' : 1, 'b' : {'c' : 1, 'c' : 2}, 'a' : 3}", { a = 3, b = { c = 2 } },
        "repeated key removed, its last value is sent at byte %d+",
      },
    }
    for what, case in pairs(mended) do
      it("of " .. what .. ", with a warning", function()
        local before = server:count_log("WARNING.*payload mended")
        local object, text = sent(case[1])
        for key, value in pairs(case[2]) do assert.same(value, object[key]) end
        assert.equal(1, select(2, text:gsub('"a":', "")))
        wait.until_(function() -- at most one a second, so it may take another
          if server:count_log("WARNING.*kazoo_publish: payload mended, " .. case[3]) > 0 then return true end
          sent(case[1])
        end, 5, "a warning of " .. what)
        assert.is_true(server:count_log("WARNING.*payload mended") > before)
      end)
    end

    it("of a trailing comma, numbers without digits and literals in any case, without a warning", function()
      local before = server:count_log("payload mended")
      local object = sent("{'a' : [1., 2e, -.5, 007, TRUE,], 'b' : Null,}")
      assert.same({ 1, 2, -0.5, 7, true }, object.a)
      assert.equal(cjson.null, object.b)
      assert.equal(before, server:count_log("payload mended"))
    end)

    it("of control characters inside strings", function()
      assert.equal("a\tb\nc", sent("{'a' : 'a\tb\nc'}").a)
    end)

    it("of bytes that are not UTF-8", function()
      assert.equal("x\239\191\189y", sent("{'a' : 'x\255y'}").a)
    end)
  end)

  describe("refuses with -1, a reason and nothing sent", function()
    local refused = {
      ["what is not JSON"] = "hello",
      ["an empty payload"] = " ",
      ["an array"] = "[1, 2]",
      ["a string"] = '"text"',
      ["a number"] = "17",
      ["JSON that breaks off"] = '{"a" : "b',
    }
    for what, payload in pairs(refused) do
      it(what, function()
        local before = server:count_log("kazoo_publish: payload refused, .* at byte %d+")
        assert.equal(-1, publish(payload))
        server:wait_log("kazoo_publish: payload refused, .* at byte %d+", 5, before + 1)
        nothing_was_sent()
      end)
    end

    it("a routing key of 256 bytes, while 255 pass", function()
      assert.equal(-1, publish("{}", ("k"):rep(256)))
      server:wait_log("kazoo_publish: routing key of 256 bytes is longer than AMQP allows %(255%)")
      local _, message = published("{}", ("k"):rep(255))
      assert.equal(("k"):rep(255), message.routing_key)
    end)

    it("a string with variables that is longer than pv_buffer_size, told once a second and counted", function()
      local too_long = "ERROR.*kazoo_publish: parameter json_payload is too long: strings with variables are limited to "
        .. "8191 bytes %(pv_buffer_size%)"
      local before = stats.one(server, "kazoo.stats").refused_invalid
      assert.equal(-1, (server:call("quoted_often", { body = ("b"):rep(9000) })))
      server:wait_log(too_long)
      assert.is_true(server:count_log(too_long) < 5)
      assert.equal(0, server:count_log("no more space for"))
      assert.equal(before + 50, stats.one(server, "kazoo.stats").refused_invalid)
      nothing_was_sent()
    end)

    it("invalid headers", function()
      assert.equal(-1, publish("{}", "k", "no header"))
      server:wait_log('kazoo_publish: header "no header" is not of the form name=value')
      nothing_was_sent()
    end)
  end)

  describe("takes its parameters", function()
    local function message_of(route, body)
      assert.equal(1, (server:call(route, { body = body, from = "sip:alice@example.org" })))
      return client:get(queue)
    end

    it("as quoted pseudo-variables", function()
      local message = message_of("quoted", "{'a' : 'b'}")
      assert.equal("quoted", message.routing_key)
      assert.equal("b", cjson.decode(message.payload).a)
    end)

    it("as unquoted pseudo-variables", function()
      local message = message_of("unquoted", "{'a' : 'b'}")
      assert.equal("unquoted", message.routing_key)
      assert.equal("b", cjson.decode(message.payload).a)
    end)

    -- $rb ends at the first NUL byte, so they come as hexadecimal digits.
    for _, route in ipairs { "quoted_hex", "unquoted_hex" } do
      it("with NUL bytes inside, " .. route:match("%a+"), function()
        local digits = ("{'a' : 'x\0y', 'b' : 2}"):gsub(".", function(c) return ("%02x"):format(c:byte()) end)
        local text = message_of(route, digits).payload
        assert.is_nil(text:find("\0", 1, true))
        assert.equal("x\0y", cjson.decode(text).a)
        assert.equal(2, cjson.decode(text).b)
      end)
    end

    it("as in the manual's example", function()
      local message = message_of("expression")
      assert.equal("registration.success.expression.alice", message.routing_key)
      assert.equal("alice", cjson.decode(message.payload).Username)
    end)

    it("as strings with pseudo-variables inside", function()
      local message = message_of("mixed")
      assert.equal("mixed.alice", message.routing_key)
      assert.equal("alice", cjson.decode(message.payload).a)
      assert.same({ x = "alice" }, message.headers)
    end)

    describe("as they are, whatever the later ones evaluate,", function()
      local long = ("k"):rep(60) -- no room in what the later ones leave behind

      it("with {kz.json}", function()
        local fields = { x = "pub", key = long }
        for n = 1, 9 do fields[("abcdefghi"):sub(n, n)] = tostring(n) end
        local message = message_of("transformed_kz", cjson.encode(fields))
        assert.equal(long, message.routing_key)
        assert.equal("1 2 3 4 5 6 7 8 9", (cjson.decode(message.payload).all:gsub("%s+", " ")))
      end)

      it("with transformations of the core", function()
        assert.equal(1, (server:call("transformed_core", { headers = { "X-Exchange: PUB", "X-Key: " .. long:upper() } })))
        assert.equal(long, client:get(queue).routing_key)
      end)

      it("with variables that share a buffer", function()
        local message = message_of("of_one_buffer")
        assert.equal("one.buffer", message.routing_key)
        assert.same({ b = "2" }, message.headers)
      end)
    end)

    it("as the texts of numbers, which may be longer than an int or begin with 0", function()
      assert.equal("2147483648", message_of("numbers", [[{"payload":"{'n':1}"}]]).routing_key)
      assert.equal("007", client:get(queue).routing_key)
      assert.equal("-17", client:get(queue).routing_key)
    end)

    it("as an empty text where a variable cannot be evaluated, as inside a longer string", function()
      local message = message_of("unreadable")
      assert.equal("unreadable", message.routing_key)
      assert.same({}, message.headers or {})
    end)

    it("and serves as a condition", function()
      message_of("in_condition")
    end)
  end)

  describe("sets", function()
    it("the content type, and asks the broker to keep the message", function()
      local _, message = published("{}")
      assert.equal("application/json", message.content_type)
      assert.equal(2, message.delivery_mode)
    end)

    it("headers of the form k=v;k2=v2", function()
      local _, message = published("{}", "k", "one=1;two=zwei;three=a=b")
      assert.same({ one = "1", two = "zwei", three = "a=b" }, message.headers)
    end)

    it("no headers for a number, with one warning however often", function()
      for _ = 1, 3 do
        assert.equal(1, publish("{}", "k", "2048"))
        assert.same({}, client:get(queue).headers or {})
      end
      local processes = 3
      local warnings = server:count_log("WARN.*ignoring headers parameter 2048")
      assert.is_true(warnings >= 1 and warnings <= processes)
    end)
  end)

  it("works in kazoo:mod-init too", function()
    assert.equal("mod-init", from_mod_init.routing_key)
    assert.equal(1, cjson.decode(from_mod_init.payload).n)
  end)

  it("sends messages of several frames", function()
    assert.equal(1, (server:call("large")))
    assert.equal(("0123456789abcdef"):rep(2 ^ 15), cjson.decode(client:get(queue).payload).text)
  end)

  it("sends to consumer://ID/KEY with the routing key KEY", function()
    local _, message = published("{}", "consumer://local/some.key/with-slash")
    assert.equal("some.key/with-slash", message.routing_key)
  end)

  it("drops only the messages to an exchange that does not exist", function()
    local function number_of(message) return cjson.decode(message.payload).n end
    for n = 1, 20 do
      assert.equal(1, server:publish(n == 10 and "no such exchange" or "pub", "around", ('{"n":%d}'):format(n)))
    end
    server:wait_log('message to exchange "no such exchange" with routing key "around" %(%d+ bytes%) dropped: 404')
    local seen = {}
    wait.until_(function()
      for _, message in ipairs(client:drain(queue, 0.3)) do seen[number_of(message)] = true end
      return #seen >= 9 and seen[20]
    end, 10, "the messages around the one that is dropped")
    for n = 1, 20 do assert.equal(n ~= 10 or nil, seen[n], "message " .. n) end
  end)

  it("delays other messages little by those to an exchange that does not exist", function()
    local rabbit = kazoo.shared_rabbit()
    local function channels_lost()
      return select(2, rabbit:log():gsub("operation basic.publish caused a channel exception", ""))
    end
    local before, lost_before = stats.one(server, "kazoo.stats"), channels_lost()
    assert.equal(1, (server:call("one_in_ten_missing")))
    local after = wait.until_(function()
      local now = stats.one(server, "kazoo.stats")
      return now.outbox_bytes == 0 and now
    end, 20, "an empty outbox")
    assert.equal(1000, after.publish_rejected - before.publish_rejected)
    assert.equal(9000, after.confirmed - before.confirmed)
    assert.is_true(channels_lost() - lost_before <= 10)
  end)

  it("asks for exchanges whose names are as long as they may be, and keeps its connection", function()
    local long = ("long-"):rep(51)
    client:exchange(long, "topic")
    local tap = client:tap(long, "#")
    for n = 1, 30 do
      server:publish(n % 10 == 5 and "no such exchange " .. n or long, "k", ('{"n":%d}'):format(n))
    end
    assert.equal(27, #client:consume(tap, { count = 27 }))
    assert.equal(0, server:count_log("connection to .* lost"))
    client:delete_exchange(long)
  end)

  -- The route waits until each worker is in it: a worker that is quick enough would do the work of all.
  it("keeps the order of each SIP worker", function()
    local workers, each = 3, 500
    local sip_client = sip.client(server.port)
    for _ = 1, workers do sip_client:start { method = "MESSAGE", uri = "sip:sequence@127.0.0.1" } end
    local next_of, seen = {}, 0
    for _, message in ipairs(client:consume(queue, { count = workers * each, deadline = 10 })) do
      local object = cjson.decode(message.payload)
      if not next_of[object.pid] then seen = seen + 1 end
      assert.equal(next_of[object.pid] or 0, object.n)
      next_of[object.pid] = object.n + 1
    end
    sip_client:close()
    assert.equal(workers, seen)
    for _, n in pairs(next_of) do assert.equal(each, n) end
  end)
end)

describe("kazoo_publish without an app_name", function()
  it("sends the server's name", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    client:exchange("pub-name", "topic")
    local queue = client:tap("pub-name", "#")
    local server = kazoo.start { rabbit = rabbit }
    assert.equal(1, server:publish("pub-name", "k", "{}"))
    assert.equal("kamailio", cjson.decode(client:get(queue).payload)["App-Name"])
    server:stop()
  end)
end)
