-- Durable consumers of streams.
local socket = require "socket"
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local process = require "support.process"
local stats = require "support.stats"
local wait = require "support.wait"

describe("nats_js_consumer", function()
  local broker, api, server, client

  -- What came: "NAME|SUBJECT|PAYLOAD|DELIVERED|STREAM|CONSUMER|REPLY"
  local function tell(name)
    return ([[
      $var(r) = "null";
      if ($natsReply != $null) $var(r) = $natsReply;
      nats_publish("seen", "%s|$natsSubject|$natsData|$natsProp(delivered)|$natsProp(stream)|$natsProp(consumer)|$var(r)");
    ]]):format(name)
  end

  local events = {
    jobs = tell("jobs"),
    ["work-any"] = tell("work-any"),
    fails = tell("fails") .. [[
      if ($natsData == "nak" && $natsProp(delivered) == "1") nats_nak();
      if ($natsData == "nak 0" && $natsProp(delivered) == "1") nats_nak("0");
      if ($natsData == "nak abc" && $natsProp(delivered) == "1") nats_nak("abc");
      if ($natsData == "nak -1" && $natsProp(delivered) == "1") nats_nak("-1");
      if ($natsData == "nak null" && $natsProp(delivered) == "1") nats_nak("$avp(nothing)");
      if ($natsData == "nak empty" && $natsProp(delivered) == "1") { $var(e) = ""; nats_nak("$var(e)"); }
      if ($natsData == "nak much" && $natsProp(delivered) == "1") nats_nak(99999999);
      if ($natsData == "later" && $natsProp(delivered) == "1") nats_nak(700);
      if ($natsData == "term") nats_term();
      if ($natsData == "twice") { nats_ack(); nats_nak(); }
    ]],
    slow = tell("slow") .. [[
      if ($natsData == "long") { $var(i) = 0;
        while ($var(i) < 6) { usleep("300000"); nats_progress(); $var(i) = $var(i) + 1; } }
      if ($natsData == "silent") usleep("1500000");
      if ($natsData == "acked") { nats_ack(); usleep("1500000"); }
      if ($(natsData{s.substr,0,3}) == "nap") usleep("200000");
    ]],
  }

  local function start()
    return nats.start {
      server = broker, events = events, params = {
        num_publish_workers = 1,
        nats_js_consumer = {
          "stream=JOBS;durable=all;event=jobs", "stream=WORK;durable=some;filter=work.*;max_deliver=3",
          "stream=FAIL;durable=f;event=fails;ack_wait=1000", "stream=SLOW;durable=s;event=slow;ack_wait=1000",
        },
      },
    }
  end

  local function await_active(stream)
    stats.await(server, "nats.subscriptions", { state = "active" }, { stream = stream })
  end

  setup(function()
    broker = nats_server.start { jetstream = true }
    api = jetstream.connect { port = broker.port }
    for name, subject in pairs { JOBS = "jobs.>", WORK = "work.>", FAIL = "fail", SLOW = "slow" } do
      api:stream(name, { subjects = { subject } })
    end
    client = nats_client.connect { port = broker.port }
    client:sub("seen")
    server = start()
    for _, stream in ipairs { "JOBS", "WORK", "FAIL", "SLOW" } do await_active(stream) end
  end)

  teardown(function()
    client:close()
    api:close()
    server:stop()
    broker:stop()
  end)

  local function seen(deadline)
    local message = client:next(deadline or 5)
    if not message then return nil end
    local e = {}
    e.name, e.subject, e.payload, e.delivered, e.stream, e.consumer, e.reply =
      message.payload:match("^(.-)|(.-)|(.-)|(.-)|(.-)|(.-)|(.*)$")
    return e
  end

  local function await_acked(stream, durable)
    wait.until_(function()
      local info = api:consumer(stream, durable)
      return info.num_pending == 0 and info.num_ack_pending == 0
    end, 10, "the acknowledgements of " .. durable)
  end

  it("makes the consumer with its settings", function()
    local config = api:consumer("WORK", "some").config
    assert.equal("work.*", config.filter_subject)
    assert.equal(3, config.max_deliver)
    assert.equal("explicit", config.ack_policy)
    assert.equal(1e9, api:consumer("FAIL", "f").config.ack_wait)
  end)

  it("runs the event's route, shows where the message comes from, and acknowledges it afterwards", function()
    api.client:pub("jobs.new.one", "do it")
    local e = assert(seen())
    assert.same({
      name = "jobs", subject = "jobs.new.one", payload = "do it", delivered = "1", stream = "JOBS", consumer = "all",
      reply = "null",
    }, e)
    await_acked("JOBS", "all")
  end)

  it("names the route after the filter, and skips messages that do not match it", function()
    api.client:pub("work.a.b", "not for us")
    api.client:pub("work.c", "for us")
    local e = assert(seen())
    assert.equal("work-any", e.name)
    assert.equal("for us", e.payload)
    await_acked("WORK", "some")
  end)

  it("begins with the last message of each subject when it says deliver=last_per_subject", function()
    api:stream("LATEST", { subjects = { "latest.*" } })
    for _, m in ipairs { { "a", "1" }, { "b", "2" }, { "a", "3" }, { "b", "4" }, { "c", "5" }, { "a", "6" } } do
      api.client:pub("latest." .. m[1], m[2])
    end
    api.client:flush()
    local other = nats.start {
      server = broker, events = { latest = tell("latest") },
      params = { nats_js_consumer = "stream=LATEST;durable=d;event=latest;filter=latest.*;deliver=last_per_subject" },
    }
    local came = {}
    for _ = 1, 3 do came[#came + 1] = assert(seen(10)).payload end
    assert.same({ "4", "5", "6" }, came)
    assert.is_nil(seen(0.3))
    assert.equal("last_per_subject", api:consumer("LATEST", "d").config.deliver_policy)
    other:stop()
  end)

  it("leaves an existing consumer as it is unless it is told otherwise", function()
    api:stream("KEPT", { subjects = { "kept" } })
    api:must("CONSUMER.DURABLE.CREATE.KEPT.d", {
      stream_name = "KEPT",
      config = {
        durable_name = "d", ack_policy = "explicit", ack_wait = 7000000000, max_deliver = 5, max_ack_pending = 10,
        description = "by hand",
      },
    })
    local other = nats.start {
      server = broker, params = { nats_js_consumer = "stream=KEPT;durable=d;max_deliver=6" },
    }
    stats.await(other, "nats.subscriptions", { state = "active" }, { stream = "KEPT" })
    local now = api:consumer("KEPT", "d").config
    assert.same({ 7e9, 6, 10, "by hand" }, { now.ack_wait, now.max_deliver, now.max_ack_pending, now.description })
    other:stop()
  end)

  it("fetches no more than slow routes handle before it is delivered again", function()
    for i = 1, 12 do api.client:pub("slow", "nap " .. i) end
    local runs = 0
    while seen(2) do runs = runs + 1 end
    assert.equal(12, runs)
  end)

  it("delivers again what nats_nak gave back, at once or after its delay", function()
    api.client:pub("fail", "nak")
    assert.equal("1", assert(seen()).delivered)
    assert.equal("2", assert(seen(0.6)).delivered)
    api.client:pub("fail", "later")
    assert.equal("1", assert(seen()).delivered)
    local began = socket.gettime()
    assert.equal("2", assert(seen()).delivered)
    assert.truthy(socket.gettime() - began > 0.5)
    await_acked("FAIL", "f")
  end)

  it("delivers again at once what nats_nak gave back with an invalid delay", function()
    for _, what in ipairs { "0", "abc", "-1", "null", "empty", "much" } do
      api.client:pub("fail", "nak " .. what)
      assert.equal("1", assert(seen()).delivered)
      local again = assert(seen(0.6), what)
      assert.same({ "nak " .. what, "2" }, { again.payload, again.delivered })
    end
    await_acked("FAIL", "f")
    assert.equal(5, server:count_log("ERROR: .*nats_nak: timeout"))
  end)

  it("never delivers again what nats_term ended", function()
    api.client:pub("fail", "term")
    assert.equal("1", assert(seen()).delivered)
    assert.is_nil(seen(1.5))
    await_acked("FAIL", "f")
    stats.await(server, "nats.stats", { terminated = 1 })
  end)

  it("takes the first verdict of a route and refuses the second", function()
    api.client:pub("fail", "twice")
    assert.equal("twice", assert(seen()).payload)
    server:wait_log("nats_nak: message has already been settled", 5)
    assert.is_nil(seen(1.2))
  end)

  -- Kamailio may have asked for one message alone, and what it acknowledges late stays acknowledged: so we ask too.
  it("keeps a message that reports progress; one that is silent for too long is delivered again", function()
    api.client:pub("slow", "long")
    assert.equal("1", assert(seen()).delivered)
    assert.is_nil(api:pull("SLOW", "s", 2)(3))
    assert.is_nil(seen(0))
    api.client:pub("slow", "silent")
    assert.equal("1", assert(seen()).delivered)
    local pulled = api:pull("SLOW", "s", 5)
    wait.until_(function()
      local here, there = seen(0), pulled(0)
      if there then api.client:pub(there.reply, "+ACK") end
      return here and here.delivered == "2" or there and there.payload == "silent"
    end, 5, "the second delivery")
    await_acked("SLOW", "s")
  end)

  it("is told of what quick routes handled, and of a nats_ack, while a slow one runs", function()
    local mixed, first, runs = {}, {}, {}
    for i = 1, 40 do first[i] = "first" end
    for i = 1, 20 do mixed[i] = "quick " .. i end
    mixed[21], mixed[22] = "acked", "silent"
    local function publish(payloads) -- in one piece, for they are to be delivered together
      for i, payload in ipairs(payloads) do payloads[i] = ("PUB mixed %d\r\n%s\r\n"):format(#payload, payload) end
      api.client:write(table.concat(payloads))
    end
    api:stream("MIXED", { subjects = { "mixed" } })
    local other = nats.start {
      server = broker, events = events,
      params = { num_publish_workers = 1, nats_js_consumer = "stream=MIXED;durable=d;event=slow;ack_wait=1000" },
    }
    stats.await(other, "nats.subscriptions", { state = "active" }, { stream = "MIXED" })
    publish(first)
    for _ = 1, 40 do assert.equal("first", assert(seen(10)).payload) end
    await_acked("MIXED", "d")
    publish(mixed)
    for e in seen, 3 do runs[e.payload] = (runs[e.payload] or 0) + 1 end
    assert.truthy(runs.silent)
    runs.silent = nil
    for payload, n in pairs(runs) do assert.equal(1, n, payload) end
    assert.equal(1, runs.acked)
    assert.equal(1, runs["quick 20"])
    other:stop()
  end)

  -- Waiting here behind a slow one for longer than their acknowledgement may take.
  local function deliver_late(stream, max_deliver)
    local subject, quick, at_once = stream:lower(), {}, {}
    api:stream(stream, { subjects = { subject } })
    local other = nats.start {
      server = broker, events = events, params = {
        num_publish_workers = 1,
        nats_js_consumer = ("stream=%s;durable=d;event=slow;ack_wait=1000;max_deliver=%d"):format(stream, max_deliver),
      },
    }
    stats.await(other, "nats.subscriptions", { state = "active" }, { stream = stream })
    local function publish(payloads)
      for _, payload in ipairs(payloads) do api.client:pub(subject, payload) end
    end
    for i = 1, 40 do quick[i] = "quick" end
    publish(quick) -- so that the next ones are fetched together
    for _ = 1, 40 do assert.equal("quick", assert(seen(10)).payload) end
    await_acked(stream, "d")
    local pid = other:pid_of "nats subscriber slow"
    process.signal(pid, "STOP")
    publish { "silent", "a", "b", "c" }
    wait.until_(function() return api:consumer(stream, "d").num_ack_pending == 4 end, 5, "four deliveries")
    process.signal(pid, "CONT")
    repeat
      local e = seen(3)
      if e and e.payload ~= "silent" and at_once[e.payload] == nil then at_once[e.payload] = e.delivered == "1" end
    until not e
    await_acked(stream, "d")
    other:stop()
    return at_once
  end

  it("runs the route of a last delivery, however late", function()
    assert.same({ a = true, b = true, c = true }, deliver_late("ONCE", 1))
  end)

  it("skips a late delivery that will come again", function()
    assert.same({ a = false, b = false, c = false }, deliver_late("OFTEN", 20))
  end)

  it("takes thousands of messages in order and acknowledges all", function()
    for i = 1, 5000 do api.client:pub("jobs.bulk", tostring(i)) end
    for i = 1, 5000 do assert.equal(tostring(i), assert(seen(), "message " .. i).payload) end
    await_acked("JOBS", "all")
    local shown = stats.await(server, "nats.subscriptions", { pending = 0 }, { stream = "JOBS" })
    assert.equal("all", shown.group)
    assert.truthy(shown.acked >= 5000)
  end)

  it("continues where it stopped when Kamailio or the server was down", function()
    server:stop()
    api.client:pub("jobs.x", "while kamailio was away")
    api.client:flush()
    server = start()
    assert.equal("while kamailio was away", assert(seen(10)).payload)
    broker:kill9()
    broker:start_again()
    api:close()
    client:close()
    api = jetstream.connect { port = broker.port }
    client = nats_client.connect { port = broker.port }
    client:sub("seen")
    wait.until_(function()
      api:ask("jobs.y", nil, 1)
      return client:next(0.5)
    end, 20, "a delivery after the restart")
  end)

  it("logs why a consumer is not available, and uses it once it is", function()
    api:delete("SLOW")
    server:wait_log('consumer "s" of stream "SLOW": .*', 10)
    stats.await(server, "nats.subscriptions", { state = "retrying" }, { stream = "SLOW" })
    server:wait_log("stream not found", 10)
    api:stream("SLOW", { subjects = { "slow" } })
    await_active("SLOW")
    while client:next(0.3) do end
    api.client:pub("slow", "back")
    assert.equal("back", assert(seen(10)).payload)
  end)
end)
