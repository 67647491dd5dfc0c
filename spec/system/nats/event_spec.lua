-- Which event routes run for messages, and what they see.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local wait = require "support.wait"

-- What comes on "NAME" goes out on "seen" as "NAME|PROCESS|PAYLOAD".
local function tell(name)
  return ('nats_publish("seen", "%s|$pp|$natsData");'):format(name)
end

describe("event_route[nats:...]", function()
  local broker, server, client

  setup(function()
    broker = nats_server.start()
    server = nats.start {
      server = broker, private_memory = 64,
      params = {
        subject_queue_group = {
          "quoted:group", "unquoted:group", "share:group", "share:group", "twice:one", "twice:two", "alone", "Case-Kept_1:g",
          "dot.ted:group", "one.*:group", "rest.>:group", "unheard:group", "condition:group", "parts.*:group",
          "leave:group",
        },
      },
      events = {
        quoted = [[nats_publish("back", "$natsData");]],
        unquoted = [[nats_publish("back", $natsData);]],
        share = tell("share"), twice = tell("twice"), alone = tell("alone"), ["Case-Kept_1"] = tell("Case-Kept_1"),
        ["dot-ted"] = tell("dot-ted"), ["one-any"] = tell("one-any"), ["rest-all"] = tell("rest-all"),
        ["parts-any"] = [[
          $var(name) = "By-Variable";
          if ($natsReply == $null) { $var(reply) = "null"; } else { $var(reply) = $natsReply; }
          if ($natsHdr(Missing) == $null) { $var(missing) = "null"; } else { $var(missing) = $natsHdr(Missing); }
          nats_publish("seen", "$natsSubject|$var(reply)|$natsHdr(Plain)|$natsHdr($var(name))|$var(missing)");]],
        leave = [[
          if ($avp(left) == $null && $xavp(left) == $null && $du == $null) { nats_publish("seen", "leave|0|clean"); }
          else { nats_publish("seen", "leave|0|$avp(left) $du"); }
          $avp(left) = 1;
          $xavp(left) = 1;
          $du = "sip:left@127.0.0.1";]],
        condition = [[if ($natsData == "yes") { nats_publish("seen", "condition|0|holds"); }]],
      },
      routes = { data = [[if ($natsData == $null) { $var(out) = "null"; } else { $var(out) = "something"; }]] },
    }
    server:await_connections(15)
    client = nats_client.connect { port = broker.port }
    client:sub("seen")
    client:sub("back")
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  -- A connection that is made has not subscribed yet, so the first message on a subject is sent until it is seen.
  local ready = {}
  local function await_subscribed(subject)
    if ready[subject] then return end
    wait.until_(function()
      client:pub(subject, "are you there?")
      return client:next(0.2)
    end, 10, "a subscription to " .. subject)
    while client:next(0.2) do end
    ready[subject] = true
  end

  local function seen()
    local message = assert(client:next(5), "nothing came on seen")
    local name, pid, payload = message.payload:match("^([^|]*)|(%d+)|(.*)$")
    return { name = name, pid = pid, payload = payload }
  end

  local function assert_runs(name, subject)
    await_subscribed(subject)
    client:pub(subject, "hello")
    local event = seen()
    assert.equal(name, event.name)
    assert.equal("hello", event.payload)
  end

  it("leaves no variable and no change of the message to the next event", function()
    await_subscribed("leave")
    for _ = 1, 3 do
      client:pub("leave", "x")
      assert.equal("leave|0|clean", assert(client:next(5)).payload)
    end
  end)

  it("shows the real subject, the reply subject and headers by name", function()
    await_subscribed("parts.warm")
    client:pub("parts.one", "x", "answer.here", { Plain = "p", ["By-Variable"] = "v" })
    assert.equal("parts.one|answer.here|p|v|null", assert(client:next(5)).payload)
    client:pub("parts.two", "x")
    assert.equal("parts.two|null|<null>|<null>|null", assert(client:next(5)).payload)
  end)

  it("runs for the subject of that name", function()
    assert_runs("share", "share")
    assert_runs("Case-Kept_1", "Case-Kept_1")
  end)

  it("runs for a subscription without a group", function() assert_runs("alone", "alone") end)

  it("has $natsData, which compares like any variable, and is null elsewhere", function()
    client:pub("condition", "no")
    wait.until_(function()
      client:pub("condition", "yes")
      local message = client:next(0.2)
      return message and message.payload == "condition|0|holds"
    end, 10, "the route of condition")
    while client:next(0.2) do end
    local _, out = server:call("data")
    assert.equal("null", out)
  end)

  it("runs once for each message, whichever process of the group gets it", function()
    await_subscribed("share")
    local got, pids, count = {}, {}, 400
    for i = 1, count do client:pub("share", tostring(i)) end
    for _ = 1, count do
      local event = seen()
      assert.is_nil(got[event.payload], "twice: " .. event.payload)
      got[event.payload], pids[event.pid] = true, true
    end
    local processes = 0
    for _ in pairs(pids) do processes = processes + 1 end
    assert.equal(2, processes)
    assert.is_nil(client:next(0.2))
  end)

  it("runs in each group that has the subject", function()
    await_subscribed("twice")
    client:pub("twice", "both")
    local first, second = seen(), seen()
    assert.same({ "both", "both" }, { first.payload, second.payload })
    assert.not_equal(first.pid, second.pid)
  end)

  it("keeps the order of a subject with one process", function()
    await_subscribed("alone")
    for i = 1, 2000 do client:pub("alone", tostring(i)) end
    for i = 1, 2000 do assert.equal(tostring(i), seen().payload) end
  end)

  it("does nothing for a subject without a route", function()
    for _ = 1, 100 do client:pub("unheard", "x") end
    assert_runs("alone", "alone")
  end)

  for name, subject in pairs { ["dot-ted"] = "dot.ted", ["one-any"] = "one.thing", ["rest-all"] = "rest.of.it" } do
    it(("has the name %s for %s"):format(name, subject), function()
      assert_runs(name, subject)
    end)
  end

  local hostile = {
    ["nothing"] = "",
    ["a NUL"] = "\0",
    ["NULs around and inside"] = "\0a\0b\0",
    ["format strings"] = "%s%n%d%999999s %%",
    ["what looks like a script"] = '"); $var(x) $(avp(y)) {s.len} \\n \r\n.\r\n',
    ["bytes that are not UTF-8"] = "\255\254\128\192\175",
    ["300 kB"] = ("0123456789"):rep(30000),
    ["max_payload bytes"] = ("0123456789abcdef"):rep(65536),
    ["deep JSON"] = ("["):rep(20000),
    ["a protocol line"] = "MSG back 1 5\r\nhello\r\n",
  }
  for _, route in ipairs { "quoted", "unquoted" } do
    for name, payload in pairs(hostile) do
      it(("passes %s through, %s, and the next message too"):format(name, route), function()
        await_subscribed(route)
        client:pub(route, payload)
        client:pub(route, "normal")
        local message = assert(client:next(10), "nothing came back")
        assert.equal(#payload, #message.payload)
        assert.is_true(payload == message.payload)
        assert.equal("normal", assert(client:next(5), "nothing came back").payload)
      end)
    end
  end

  it("takes messages with headers and a reply subject", function()
    await_subscribed("alone")
    client:pub("alone", "with headers", "answer.here", { Name = "value" })
    assert.equal("with headers", seen().payload)
  end)

  it("leaves no error in the log", function()
    assert.is_nil(server:crash())
    assert.equal(0, server:count_log("CRITICAL"))
    assert.equal(0, server:count_log("ERROR: nats"))
  end)
end)

describe("A subscription without an event route", function()
  local broker, client

  setup(function()
    broker = nats_server.start()
    client = nats_client.connect { port = broker.port }
  end)
  teardown(function()
    client:close()
    broker:stop()
  end)

  it("is reported by a warning at the start and for a message", function()
    local server = nats.start {
      server = broker, events = { known = "drop;" },
      params = { subject_queue_group = { "a.b:group", "c.*:group", "known:group" } },
    }
    assert.equal(1, server:count_log 'no event route found for "')
    server:wait_log('WARNING: .*subject_queue_group: no event route found for "a.b", tried: nats:a.b, nats:a%-b$')
    wait.until_(function()
      for _, subject in ipairs { "a.b", "c.d", "known" } do client:pub(subject, "x") end
      client:flush()
      return server:count_log "no event route found for message" == 2
    end, 10, "a line for each subscription")
    server:wait_log('WARNING: .*no event route found for message on "a.b", tried: nats:a.b, nats:a%-b %(1 so far')
    server:wait_log('on "c.d", tried: nats:c.%*, nats:c%-d, nats:c%-any %(1 so far')
    wait.while_(function() -- for longer than the second that other lines are held back
      client:pub("c.d", "x")
      client:flush()
      return server:count_log "no event route found for message" == 2
    end, 1.5, "no further line")
    server:stop()
  end)

  it("is not reported where a policy has named no route", function()
    local server = nats.start {
      server = broker, files = { ["p.lua"] = [[
        return { route_names = function(event)
          if event.subject == "c.d" then return {} end
          if event.subject == "c.e" then return { "nats:unheard-of" } end
        end }]] },
      params = { subject_queue_group = { "c.*:group", "a:group" }, lua_policy = "$FOLDER/p.lua" },
    }
    assert.equal(0, server:count_log 'no event route found for "')
    wait.until_(function()
      client:pub("c.d", "x")
      client:pub("c.e", "x")
      client:flush()
      return server:count_log "no event route found for message" > 0
    end, 10, "a line")
    server:wait_log('on "c.e", tried: nats:unheard%-of %(1 so far')
    server:stop()
  end)
end)
