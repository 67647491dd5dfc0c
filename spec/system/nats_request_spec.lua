-- Asking over NATS: the answer or the reason why there is none, waiting for it and not; and answering.
local socket = require "socket"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local sip = require "support.sip"
local stats = require "support.stats"

-- "answer|header h|status|error"; null is empty
local seen = [[
  $var(rc) = $rc;
  $var(a) = ""; $var(h) = ""; $var(s) = ""; $var(e) = "";
  if ($natsAnswer != $null) $var(a) = $natsAnswer;
  if ($natsAnswerHdr(h) != $null) $var(h) = $natsAnswerHdr(h);
  if ($natsAnswerStatus != $null) $var(s) = $natsAnswerStatus;
  if ($natsError != $null) $var(e) = $natsError;
  $var(out) = $_s($var(a)|$var(h)|$var(s)|$var(e));
]]

local routes = {
  ask = [[ nats_request("$hdr(X-Subject)", $rb, "$var(answer)"); ]] .. seen,
  ask_target = [[ nats_request("ask", $rb, "$avp(answer)", 5000);
    $var(rc) = $rc; $var(out) = $avp(answer); ]],
  ask_nobody = [[ $avp(answer) = "old"; nats_request("nobody.there", "x", "$avp(answer)", 10000);
    $var(rc) = $rc; if ($avp(answer) == $null) { $var(out) = "null"; } else { $var(out) = $avp(answer); } ]],
  ask_for = [[ $var(ms) = $(hdr(X-Ms){s.int}); nats_request("$hdr(X-Subject)", $rb, "$var(answer)", $var(ms)); ]] .. seen,
  ask_headers = [[ nats_request("ask", $rb, "$var(answer)", "5000", "h=v;h2=a b"); ]] .. seen,
  ask_bad_header = [[ nats_request("ask", "x", "$var(answer)", "5000", "nonsense"); ]] .. seen,
  ask_bad_timeout = [[ nats_request("ask", "x", "$var(answer)", "soon"); ]] .. seen,
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

  it("returns the answer", function()
    local finish = ask("ask", "question")
    local question = next_message()
    assert.equal("question", question.payload)
    assert.truthy(question.reply:find("^_INBOX%.[%w_-]+%.[%w_-]+$"), question.reply)
    client:pub(question.reply, "answer")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("answer|||", out)
  end)

  it("fails at once when the question is longer than the server takes", function()
    local rc, out, seconds = server:start_call("ask_huge", { body = "q" })()
    assert.equal(-1, rc)
    assert.equal("refused", out)
    assert.truthy(seconds < 2, seconds)
  end)

  it("puts the answer into its target", function()
    local finish = server:start_call("ask_target", { body = "q" })
    client:pub(next_message().reply, "for the target")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("for the target", out)
  end)

  it("takes an empty answer for an answer", function()
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

  it("is told at once that nobody would answer", function()
    local rc, out, seconds = ask_for("nobody.there", 10000)()
    assert.equal(-3, rc)
    assert.equal("|||no responders", out)
    assert.is_true(seconds < 2, seconds)
    assert.equal("null", (select(2, server:call("ask_nobody"))))
    server:wait_log('nats_request: "nobody.there" has no responders')
  end)

  it("ends at its deadline; a late answer reaches no later question", function()
    local finish = ask_for("ask", 300)
    local question = next_message()
    local rc, out, seconds = finish()
    assert.equal(-2, rc)
    assert.equal("|||timeout", out)
    assert.is_true(seconds >= 0.3 and seconds < 1.5, seconds)
    server:wait_log('nats_request: "ask" got no answer in time')
    client:pub(question.reply, "late")
    finish = ask("ask", "next")
    client:pub(next_message().reply, "in time")
    assert.equal("in time|||", (select(2, finish())))
  end)

  it("takes the first of two answers, and the next question gets its own", function()
    local finish = ask("ask", "one")
    local question = next_message()
    client:pub(question.reply, "first")
    client:pub(question.reply, "second")
    assert.equal("first|||", (select(2, finish())))
    finish = ask("ask", "two")
    client:pub(next_message().reply, "its own")
    assert.equal("its own|||", (select(2, finish())))
  end)

  it("refuses what cannot be asked", function()
    local rc, out = ask("not.to.*", "q")()
    assert.equal(-1, rc)
    assert.equal("|||refused", out)
    server:wait_log('nats_request: "not.to.*" is no subject to publish to', 5)
    assert.equal(-1, (server:call("ask_bad_header")))
    server:wait_log('nats_request: header "nonsense" is not of the form name=value')
    assert.equal(-1, (server:call("ask_bad_timeout")))
    server:wait_log('nats_request: the timeout "soon" is no number of milliseconds')
    assert.equal(-1, (ask_for("ask", 0)()))
    server:wait_log("nats_request: the timeout must be 1 to 3600000 milliseconds")
    assert.is_nil(client:next(0.2))
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
      server:wait_log('nats_publish: headers "h:h=v" cannot be sent', 5)
    end)
  end)

  it("and its like forge no line of the log", function()
    local forged = "no json\nERROR: forged"
    assert.equal(-1, (server:call("publish_to", { body = forged })))
    server:wait_log('nats_publish: "no json%?ERROR: forged" is no subject to publish to')
    assert.equal(-1, (server:call("publish_any_headers", { body = forged })))
    server:wait_log('nats_publish: header "no json%?ERROR: forged" is not of the form name=value')
    assert.is_nil(server:log():find("\nERROR: forged", 1, true))
  end)

  describe("and nats_respond", function()
    it("answers another client, with headers", function()
      client:sub("_INBOX.spec")
      client:pub("echo", "hello", "_INBOX.spec", { h = "of the question" })
      local answer = next_message()
      assert.equal("echo of hello", answer.payload)
      assert.same({ h = "of the question" }, answer.headers)
    end)

    it("answers this Kamailio itself", function()
      local rc, out = ask("echo", "myself")()
      assert.equal(1, rc)
      assert.equal("echo of myself|<null>||", out)
    end)

    it("is -1 for a message without a reply subject, and says so", function()
      client:pub("plain", "no answer wanted")
      server:wait_log("responded %-1", 5)
      server:wait_log('nats_respond: the message on "plain" asks for no answer')
    end)

    it("is -1 outside of an event, and says so", function()
      assert.equal(-1, (server:call("respond_here")))
      server:wait_log("nats_respond: only in the event route of a message", 5)
    end)
  end)

  describe("is counted", function()
    local unsteady = { outbox_bytes_high = true, request_us_p50 = true, request_us_p90 = true, request_us_p99 = true }
    local function moves(expected, action) stats.moves(server, "nats.stats", unsteady, expected, action) end

    it("when it is answered, with the time it took", function()
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

    it("when there is no answer in time", function()
      moves({ published = 1, sent = 1, requests_timeout = 1 }, function() ask_for("ask", 100)() end)
      next_message()
    end)

    it("when it is refused", function()
      moves({ refused = 1, refused_invalid = 1, requests_refused = 1 }, function() ask("not.to.*", "q")() end)
    end)

    it("while it is under way", function()
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

describe("nats_request and a server that", function()
  it("is lost in between fails at once, and works again with the server", function()
    local broker = nats_server.start()
    local client = nats_client.connect { port = broker.port }
    client:sub("ask")
    local server = nats.start { server = broker, routes = routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local fields = { body = "q", headers = { "X-Subject: ask", "X-Ms: 10000" } }
    local finish = server:start_call("ask_for", fields)
    assert(client:next(5))
    broker:kill9()
    local rc, out, seconds = finish()
    assert.equal(-1, rc)
    assert.equal("|||lost", out)
    assert.is_true(seconds < 5, seconds)
    server:wait_log('nats_request: "ask" got no answer: the server was lost', 5)

    rc, out, seconds = server:start_call("ask_for", fields)()
    assert.equal(-1, rc)
    assert.equal("|||not connected", out)
    assert.is_true(seconds < 1, seconds)
    server:wait_log('nats_request: "ask" fails at once: no server is connected', 5)

    broker:start_again()
    stats.await(server, "nats.stats", { connections_open = 2 }, nil, 20)
    client = nats_client.connect { port = broker.port }
    client:sub("ask")
    finish = server:start_call("ask_for", fields)
    client:pub(assert(client:next(5)).reply, "back")
    assert.equal("back|||", (select(2, finish())))
    client:close()
    server:stop()
    broker:stop()
  end)

  it("was never there fails at once", function()
    local server = nats.start { routes = routes, params = { nats_url = "nats://127.0.0.1:" .. ports.free() } }
    local rc, out, seconds = server:start_call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 10000" } })()
    assert.equal(-1, rc)
    assert.equal("|||not connected", out)
    assert.is_true(seconds < 1, seconds)
    server:stop()
  end)

  it("brings an answer that has no room fails at once, and says so", function()
    local broker = nats_server.start { conf = "max_payload: 4194304" }
    local client = nats_client.connect { port = broker.port }
    client:sub("ask")
    local server = nats.start { server = broker, routes = routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local finish = server:start_call("ask_for", { body = "q", headers = { "X-Subject: ask", "X-Ms: 10000" } })
    client:pub(assert(client:next(5)).reply, ("x"):rep(2 * 1024 * 1024))
    local rc, out, seconds = finish()
    assert.equal(-1, rc)
    assert.equal("|||too large", out)
    assert.is_true(seconds < 5, seconds)
    server:wait_log("nats: answer of %d+ bytes dropped: there is room for %d+")
    assert.equal(1, stats.one(server, "nats.stats").requests_too_large)
    assert.equal(0, stats.one(server, "nats.stats").requests_lost)
    client:close()
    server:stop()
    broker:stop()
  end)

  it("is frozen fails at the deadline, and an answer comes when it goes on", function()
    local broker = nats_server.start()
    local server = nats.start { server = broker, routes = routes, params = { num_publish_workers = 1 } }
    stats.await(server, "nats.stats", { connections_open = 2 })
    broker:freeze()
    local rc, out = server:start_call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 300" } })()
    broker:thaw()
    assert.equal(-2, rc)
    assert.equal("|||timeout", out)
    assert.equal(-3, (server:call("ask_for", { headers = { "X-Subject: ask", "X-Ms: 5000" } })))
    server:stop()
    broker:stop()
  end)
end)

local async_routes = [[
request_route {
  if (is_method("ACK")) exit;
  t_newtran();
  if ($hdr(X-Ms) == $null) {
    nats_request_async("$rU", "for $ci", "$hdr(X-Answer)", "$hdr(X-Failure)");
  } else {
    nats_request_async("$rU", "for $ci", "$hdr(X-Answer)", "$hdr(X-Failure)", "$hdr(X-Ms)", "h=v");
  }
  if ($rc < 0) {
    $var(reason) = "Not asked: " + $natsError;
    t_reply("500", "$var(reason)");
  }
  exit;
}
onreply_route[ANSWER] {
  $var(reason) = $natsAnswer + " " + $natsAnswerHdr(h);
  t_reply("480", "$var(reason)");
}
failure_route[FAILURE] {
  t_reply("504", "$natsError");
}
]]

describe("nats_request_async", function()
  local broker, client, server

  before_each(function()
    broker = nats_server.start()
    client = nats_client.connect { port = broker.port }
  end)

  after_each(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  local function start(params, more)
    params = params or {}
    params.num_publish_workers = 1
    local options = { server = broker, request_route = async_routes, params = params }
    for name, value in pairs(more or {}) do options[name] = value end
    server = nats.start(options)
    stats.await(server, "nats.stats", { connections_open = 2 })
  end

  local function invite(subject, fields)
    fields = fields or {}
    local phone = sip.client(server.port)
    phone:start {
      method = "INVITE", uri = ("sip:%s@127.0.0.1:%d"):format(subject, server.port),
      headers = {
        "X-Answer: " .. (fields.answer or "ANSWER"), "X-Failure: " .. (fields.failure or "FAILURE"),
        fields.ms and "X-Ms: " .. fields.ms or nil,
      },
    }
    return phone
  end

  local function final(phone)
    local reply = assert(phone:await_reply(10))
    phone:close()
    return ("%d %s"):format(reply.status, reply.reason)
  end

  it("goes on in the success route with the answer", function()
    start()
    client:sub("later")
    local phone = invite("later", { ms = 5000 })
    local question = assert(client:next(5))
    assert.same({ h = "v" }, question.headers)
    client:pub(question.reply, "answer", nil, { h = "header" })
    assert.equal("480 answer header", final(phone))
  end)

  it("tells its failures apart", function()
    start { nats_request_timeout = 300 }
    client:sub("silent")
    assert.equal("504 no responders", final(invite("nobody", { ms = 10000 })))
    assert.equal("504 timeout", final(invite("silent")))
    assert(client:next(5))
    local phone = invite("silent", { ms = 10000 })
    assert(client:next(5))
    broker:kill9()
    assert.equal("504 lost", final(phone))
    server:wait_log('nats_request_async: "nobody" has no responders')
    server:wait_log('nats_request_async: "silent" got no answer in time')
    server:wait_log('nats_request_async: "silent" got no answer: the server was lost')
    assert.equal("500 Not asked: not connected", final(invite("nobody")))
  end)

  it("does not suspend for a route that does not exist, and says so", function()
    start()
    assert.equal("500 Not asked: refused", final(invite("nobody", { answer = "MISSING" })))
    assert.equal("500 Not asked: refused", final(invite("nobody", { failure = "MISSING" })))
    server:wait_log("nats_request_async: there is no onreply_route%[MISSING%]")
    server:wait_log("nats_request_async: there is no failure_route%[MISSING%]")
  end)

  it("asks once for a request that is sent again, and leaves the transaction to it", function()
    start({}, { children = 1, request_route = async_routes:gsub("  t_newtran%(%);\n", "") })
    client:sub("again.*")
    local phone = sip.client(server.port)
    local request = sip.build(phone:complete {
      method = "MESSAGE", uri = ("sip:again.one@127.0.0.1:%d"):format(server.port),
      headers = { "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    for _ = 1, 3 do phone:send(request) end
    local other = invite("again.two")
    for _, subject in ipairs { "again.one", "again.two" } do
      local question = assert(client:next(5))
      assert.equal(subject, question.subject)
      client:pub(question.reply, "answer", nil, { h = "x" })
    end
    assert.equal("480 answer x", final(phone))
    assert.equal("480 answer x", final(other))
    assert.equal(0, server:count_log("is gone"))
  end)

  it("goes on with several transactions at once, though their routes take long", function()
    start({}, { request_route = async_routes:gsub("onreply_route%[ANSWER%] {", '%0 usleep("700000");') })
    client:sub("slow")
    local phones, questions = {}, {}
    for i = 1, 4 do phones[i] = invite("slow", { ms = 10000 }) end
    for i = 1, 4 do questions[i] = assert(client:next(5)) end
    local began = socket.gettime()
    for _, question in ipairs(questions) do client:pub(question.reply, "answer", nil, { h = "x" }) end
    for _, phone in ipairs(phones) do assert.equal("480 answer x", final(phone)) end
    local took = socket.gettime() - began
    assert.is_true(took >= 0.7 and took < 1.9, took) -- one after the other it would be 2.8 s
  end)

  it("asks no more at once than nats_async_requests", function()
    start { nats_async_requests = 2 }
    client:sub("silent")
    local first, second = invite("silent", { ms = 1000 }), invite("silent", { ms = 1000 })
    for _ = 1, 2 do assert(client:next(5)) end
    assert.equal("500 Not asked: refused", final(invite("silent", { ms = 1000 })))
    server:wait_log("all 2 questions of nats_async_requests are under way")
    assert.equal("504 timeout", final(first))
    assert.equal("504 timeout", final(second))
  end)

  it("keeps 200 questions under way, each with its own answer", function()
    start()
    client:sub("many.*")
    local phones, questions = {}, {}
    for i = 1, 200 do phones[i] = invite("many." .. i, { ms = 10000 }) end
    for i = 1, 200 do questions[i] = assert(client:next(5)) end
    for i = 200, 1, -1 do client:pub(questions[i].reply, questions[i].subject, nil, { h = "x" }) end
    for i, phone in ipairs(phones) do assert.equal(("480 many.%d x"):format(i), final(phone)) end
  end)
end)

describe("KEMI", function()
  local broker, client, server

  local script = [[
    local function reply(rc, out)
      KSR.textops.set_reply_body(rc .. "\n" .. tostring(out), "text/plain")
      KSR.sl.sl_send_reply(200, "OK")
    end
    local calls = {
      request = function(body)
        local rc = KSR.nats.request("ask", body, 5000)
        return rc, KSR.pv.get("$natsAnswer")
      end,
      headers = function(body)
        local rc = KSR.nats.request_headers("ask", body, 5000, "h=v")
        return rc, KSR.pv.get("$natsAnswerHdr(h)")
      end,
      nobody = function(body) return KSR.nats.request("nobody", body, 5000), KSR.pv.get("$natsError") end,
      timeout = function(body) return KSR.nats.request("ask", body, 0), KSR.pv.get("$natsError") end,
      publish = function(body) return KSR.nats.publish_headers("ask", body, "", "h=v") end,
      respond = function(body) return KSR.nats.respond(body) end,
    }
    function ksr_request_route()
      local name = KSR.pv.get("$rU")
      if KSR.pv.get("$rm") == "ACK" then return end
      if name == "later" then
        KSR.tm.t_newtran()
        local rc = KSR.nats.request_async(KSR.pv.get("$rd"), "x", "on_answer", "on_failure", 5000)
        if rc < 0 then KSR.tm.t_reply(500, "Not asked") end
        return
      end
      reply(calls[name](KSR.pv.get("$rb")))
    end
    function on_answer() KSR.tm.t_reply(480, KSR.pv.get("$natsAnswer")) end
    function on_failure() KSR.tm.t_reply(504, KSR.pv.get("$natsError")) end
    function on_nats(event)
      if event == "nats:echo" then
        KSR.nats.respond_headers("KEMI got " .. KSR.pv.get("$natsData"), "h=v")
      end
    end
  ]]

  setup(function()
    broker = nats_server.start()
    client = nats_client.connect { port = broker.port }
    client:sub("ask")
    server = nats.start {
      server = broker, lua = script,
      params = { num_publish_workers = 1, subject_queue_group = "echo:g", event_callback = "on_nats" },
    }
    stats.await(server, "nats.stats", { connections_open = 4 })
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "echo" })
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  it("asks and gets the answer", function()
    local finish = server:start_call("request", { body = "a question" })
    local question = assert(client:next(5))
    assert.equal("a question", question.payload)
    client:pub(question.reply, "an answer")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("an answer", out)
  end)

  it("asks with headers", function()
    local finish = server:start_call("headers", { body = "q" })
    local question = assert(client:next(5))
    assert.same({ h = "v" }, question.headers)
    client:pub(question.reply, "a", nil, { h = "back" })
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("back", out)
  end)

  it("is told why there is no answer", function()
    assert.same({ -3, "no responders" }, { server:call("nobody", { body = "q" }) })
    assert.same({ -1, "refused" }, { server:call("timeout", { body = "q" }) })
    assert.equal(-1, (server:call("respond", { body = "q" })))
  end)

  it("publishes headers", function()
    assert.equal(1, (server:call("publish", { body = "x" })))
    assert.same({ h = "v" }, assert(client:next(5)).headers)
  end)

  it("answers", function()
    client:sub("_INBOX.kemi")
    client:pub("echo", "hello", "_INBOX.kemi")
    local answer = assert(client:next(5))
    assert.equal("KEMI got hello", answer.payload)
    assert.same({ h = "v" }, answer.headers)
  end)

  it("suspends a transaction and goes on in a function of its own", function()
    local function invite(subject)
      local phone = sip.client(server.port)
      phone:start { method = "INVITE", uri = "sip:later@" .. subject }
      return phone
    end
    local phone = invite("ask")
    client:pub(assert(client:next(5)).reply, "later")
    local reply = assert(phone:await_reply(5))
    assert.same({ 480, "later" }, { reply.status, reply.reason })
    reply = assert(invite("nobody"):await_reply(5))
    assert.same({ 504, "no responders" }, { reply.status, reply.reason })
  end)
end)

describe("nats_inbox_prefix", function()
  it("that is no subject stops the start", function()
    local _, log = nats.try_start {
      params = { nats_inbox_prefix = "not to.be" }, routes = { x = [[ nats_publish("a", "b"); ]] },
    }
    assert.truthy(log:find('nats_inbox_prefix: "not to.be" must be words joined by dots', 1, true))
  end)

  it("is where answers come", function()
    local broker = nats_server.start {
      conf = 'authorization { users = [ { user: carl, password: "s3cret", permissions: {'
        .. ' publish: ">", subscribe: ["mine.>", "ask"] } } ] }',
    }
    local client = nats_client.connect { port = broker.port, user = "carl", pass = "s3cret" }
    client:sub("ask")
    local server = nats.start {
      routes = routes, params = {
        nats_url = "nats://carl:s3cret@127.0.0.1:" .. broker.port, num_publish_workers = 1,
        nats_inbox_prefix = "mine.answers",
      },
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
    local finish = server:start_call("ask_target", { body = "q" })
    local question = assert(client:next(5))
    assert.truthy(question.reply:find("^mine%.answers%.[%w_-]+%.[%w_-]+$"), question.reply)
    client:pub(question.reply, "allowed")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("allowed", out)
    client:close()
    server:stop()
    broker:stop()
  end)
end)
