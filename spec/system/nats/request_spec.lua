-- Asking over NATS and waiting for the answer, or the reason why there is none; and answering.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local questions = require "support.nats_questions"
local nats_server = require "support.nats_server"
local stats = require "support.stats"

local routes = {
  ask = questions.routes.ask, ask_for = questions.routes.ask_for,
  ask_target = questions.routes.ask_target,
  ask_nobody = [[ $avp(answer) = "old"; nats_request("nobody.there", "x", "$avp(answer)", 10000);
    $var(rc) = $rc; if ($avp(answer) == $null) { $var(out) = "null"; } else { $var(out) = $avp(answer); } ]],
  ask_and_ask_wrongly = [[ nats_request("ask", "x", "$var(answer)", 5000);
    xlog("L_NOTICE", "first: $rc $natsAnswer $var(answer)\n");
    nats_request("ask", "<$rb>", "$var(answer)", 5000);
    $var(rc) = $rc; $var(out) = $_s($natsAnswer $var(answer) $natsError); ]],
  ask_headers = [[ nats_request("ask", $rb, "$var(answer)", "5000", "h=v;h2=a b"); ]] .. questions.seen,
  ask_bad_header = [[ nats_request("ask", "x", "$var(answer)", "5000", "nonsense"); ]] .. questions.seen,
  ask_bad_timeout = [[ nats_request("ask", "x", "$var(answer)", "soon"); ]] .. questions.seen,
  ask_bytes = [[ $var(p) = $_s(610062ff); $var(p) = $(var(p){s.decode.hexa}); $var(i) = 0;
    while ($var(i) < 13) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_request("ask", $var(p), "$var(answer)", 5000); $var(rc) = $rc;
    if ($var(answer) == $var(p) && $natsAnswer == $var(p)) { $var(out) = $(natsAnswer{s.len}); } ]],
  ask_huge = [[ $var(p) = "0123456789abcdef"; $var(i) = 0;
    while ($var(i) < 17) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_request("ask", $var(p), "$var(answer)", 8000); $var(rc) = $rc; $var(out) = $natsError; ]],
  publish_headers = [[ nats_publish("heard", $rb, "", "h=v;h2=a b"); ]],
  publish_reply_headers = [[ nats_publish("heard", $rb, "back.to.me", "h=v"); ]],
  publish_bad_headers = [[ nats_publish("heard", $rb, "", "h:h=v"); ]],
  publish_to = [[ nats_publish($rb, "x"); ]],
  publish_any_headers = [[ nats_publish("heard", "x", "", $rb); ]],
  respond_here = [[ nats_respond("x"); ]],
}

local events = {
  echo = [[ nats_respond("echo of $natsData", "h=$natsHdr(h)"); ]],
  plain = [[ nats_respond($natsData); $var(r) = $rc; xlog("L_NOTICE", "responded $var(r)\n"); ]],
}

describe("nats_request", function()
  local broker, client, server

  setup(function()
    broker = nats_server.start()
    client = nats_client.connect { port = broker.port }
    client:sub("ask")
    client:sub("heard")
    server = nats.start {
      server = broker, routes = routes, events = events, children = 2, settings = "max_while_loops = 1000",
      params = { subject_queue_group = { "echo:g", "plain:g" }, num_publish_workers = 1 },
    }
    stats.await(server, "nats.stats", { connections_open = 4 })
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "echo" })
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "plain" })
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  local function ask(subject, body)
    return server:start_call("ask", { body = body, headers = { "X-Subject: " .. subject } })
  end

  local function ask_for(subject, ms)
    return server:start_call("ask_for", { body = "q", headers = { "X-Subject: " .. subject, "X-Ms: " .. ms } })
  end

  local function next_message() return assert(client:next(5), "no message") end

  it("returns the reply", function()
    local finish = ask("ask", "question")
    local question = next_message()
    assert.equal("question", question.payload)
    assert.truthy(question.reply:find("^_INBOX%.[%w_-]+%.[%w_-]+$"), question.reply)
    client:pub(question.reply, "answer")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("answer|||", out)
  end)

  it("fails at once when the request is longer than the server accepts", function()
    local rc, out, seconds = server:start_call("ask_huge", { body = "q" })()
    assert.equal(-1, rc)
    assert.equal("refused", out)
    assert.truthy(seconds < 6, seconds)
  end)

  it("puts the reply into its target", function()
    local finish = server:start_call("ask_target", { body = "q" })
    client:pub(next_message().reply, "for the target")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("for the target", out)
  end)

  it("accepts an empty reply", function()
    local finish = ask("ask", "q")
    client:pub(next_message().reply, "")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("|||", out)
  end)

  it("carries headers both ways", function()
    local finish = server:start_call("ask_headers", { body = "q" })
    local question = next_message()
    assert.same({ h = "v", h2 = "a b" }, question.headers)
    client:pub(question.reply, "answer", nil, { h = "of the answer" })
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("answer|of the answer||", out)
  end)

  it("carries any bytes, also many", function()
    local finish = server:start_call("ask_bytes")
    local question = next_message()
    assert.is_true(question.payload == ("a\0b\255"):rep(8192))
    client:pub(question.reply, question.payload)
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("32768", out)
  end)

  it("learns at once that there are no responders", function()
    local rc, out, seconds = ask_for("nobody.there", 10000)()
    assert.equal(-3, rc)
    assert.equal("|||no responders", out)
    assert.is_true(seconds < 5, seconds)
    assert.equal("null", (select(2, server:call("ask_nobody"))))
    server:wait_log('nats_request: request to "nobody.there" failed: no responders')
  end)

  it("ends at its deadline; a late reply reaches no later request", function()
    local finish = ask_for("ask", 300)
    local question = next_message()
    local rc, out, seconds = finish()
    assert.equal(-2, rc)
    assert.equal("|||timeout", out)
    assert.is_true(seconds >= 0.3 and seconds < 5, seconds)
    server:wait_log('nats_request: request to "ask" timed out')
    client:pub(question.reply, "late")
    finish = ask("ask", "next")
    client:pub(next_message().reply, "in time")
    assert.equal("in time|||", (select(2, finish())))
  end)

  it("takes the first of two replies, and the next request gets its own", function()
    local finish = ask("ask", "one")
    local question = next_message()
    client:pub(question.reply, "first")
    client:pub(question.reply, "second")
    assert.equal("first|||", (select(2, finish())))
    finish = ask("ask", "two")
    client:pub(next_message().reply, "its own")
    assert.equal("its own|||", (select(2, finish())))
  end)

  it("refuses an invalid request", function()
    local rc, out = ask("not.to.*", "q")()
    assert.equal(-1, rc)
    assert.equal("|||refused", out)
    server:wait_log('nats_request: cannot publish to "not.to.*"', 5)
    assert.equal(-1, (server:call("ask_bad_header")))
    server:wait_log('nats_request: header "nonsense" is not of the form name=value')
    assert.equal(-1, (server:call("ask_bad_timeout")))
    server:wait_log('nats_request: timeout "soon" is not a number of milliseconds')
    assert.equal(-1, (ask_for("ask", 0)()))
    server:wait_log("nats_request: timeout must be 1 to 3600000 milliseconds")
    assert.is_nil(client:next(0.2))
  end)

  it("leaves the previous reply in no variable when a parameter is longer than pv_buffer_size", function()
    local finish = server:start_call("ask_and_ask_wrongly", { body = ("b"):rep(9000) })
    client:pub(next_message().reply, "the first")
    local rc, out = finish()
    server:wait_log("first: 1 the first the first")
    assert.equal(-1, rc)
    assert.equal("<null> 0 refused", out)
    server:wait_log("ERROR.*nats_request: parameter payload is too long: ")
  end)

  describe("and nats_publish", function()
    it("sends headers, with a reply subject and without", function()
      assert.equal(1, (server:call("publish_headers", { body = "x" })))
      local message = next_message()
      assert.same({ h = "v", h2 = "a b" }, message.headers)
      assert.is_nil(message.reply)
      assert.equal(1, (server:call("publish_reply_headers", { body = "x" })))
      message = next_message()
      assert.same({ h = "v" }, message.headers)
      assert.equal("back.to.me", message.reply)
    end)

    it("refuses headers that break the protocol", function()
      assert.equal(-1, (server:call("publish_bad_headers", { body = "x" })))
      server:wait_log('nats_publish: invalid headers "h:h=v"', 5)
    end)
  end)

  it("and similar functions forge no line of the log", function()
    local forged = "no json\nERROR: forged"
    assert.equal(-1, (server:call("publish_to", { body = forged })))
    server:wait_log('nats_publish: cannot publish to "no json%?ERROR: forged"')
    assert.equal(-1, (server:call("publish_any_headers", { body = forged })))
    server:wait_log('nats_publish: header "no json%?ERROR: forged" is not of the form name=value')
    assert.is_nil(server:log():find("\nERROR: forged", 1, true))
  end)

  describe("and nats_respond", function()
    it("replies to another client, with headers", function()
      client:sub("_INBOX.spec")
      client:pub("echo", "hello", "_INBOX.spec", { h = "of the question" })
      local answer = next_message()
      assert.equal("echo of hello", answer.payload)
      assert.same({ h = "of the question" }, answer.headers)
    end)

    it("replies to this Kamailio itself", function()
      local rc, out = ask("echo", "myself")()
      assert.equal(1, rc)
      assert.equal("echo of myself|<null>||", out)
    end)

    it("is -1 for a message without a reply subject, and logs that", function()
      client:pub("plain", "no answer wanted")
      server:wait_log("responded %-1", 5)
      server:wait_log('nats_respond: cannot reply to the message on "plain"')
    end)

    it("is -1 outside of an event, and logs that", function()
      assert.equal(-1, (server:call("respond_here")))
      server:wait_log("nats_respond: may be called only in the event route of a message", 5)
    end)
  end)

  describe("is counted", function()
    local unsteady = { outbox_bytes_high = true, request_us_p50 = true, request_us_p90 = true, request_us_p99 = true }
    local function moves(expected, action)
      stats.await(server, "nats.stats", { outbox_messages = 0 }) -- what was sent before is counted
      stats.moves(server, "nats.stats", unsteady, expected, action)
    end

    it("when it gets a reply, with the time it took", function()
      moves({ published = 1, sent = 1, delivered = 1, requests_answered = 1 }, function()
        local finish = ask("ask", "q")
        client:pub(next_message().reply, "a")
        finish()
      end)
      local now = stats.one(server, "nats.stats")
      assert.is_true(now.request_us_p50 > 0 and now.request_us_p99 >= now.request_us_p50)
    end)

    it("when nobody is there", function()
      moves({ published = 1, sent = 1, delivered = 1, requests_no_responders = 1 }, function() ask("nobody", "q")() end)
    end)

    it("when there is no reply in time", function()
      moves({ published = 1, sent = 1, requests_timeout = 1 }, function() ask_for("ask", 100)() end)
      next_message()
    end)

    it("when it is refused", function()
      moves({ refused = 1, refused_invalid = 1, requests_refused = 1 }, function() ask("not.to.*", "q")() end)
    end)

    it("while it is in flight", function()
      local finish = ask("ask", "q")
      local question = next_message()
      assert.equal(1, stats.one(server, "nats.stats").requests_under_way)
      client:pub(question.reply, "a")
      finish()
      assert.equal(0, stats.one(server, "nats.stats").requests_under_way)
    end)

    it("in nats.requests", function()
      local now, all = stats.one(server, "nats.requests"), stats.one(server, "nats.stats")
      for _, name in ipairs { "answered", "timeout", "lost", "refused", "no_responders", "under_way" } do
        assert.equal(all["requests_" .. name], now[name], name)
      end
      local answered = 0
      for _, count in pairs(now.answered_below_us) do answered = answered + count end
      assert.equal(now.answered, answered)
      assert.is_true(now.mean_us > 0)
    end)
  end)
end)
