-- Asking over NATS without waiting: the transaction goes on when the answer has come.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local sip = require "support.sip"
local socket = require "socket"
local stats = require "support.stats"

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

  it("continues in the success route with the reply", function()
    start()
    client:sub("later")
    local phone = invite("later", { ms = 5000 })
    local question = assert(client:next(5))
    assert.same({ h = "v" }, question.headers)
    client:pub(question.reply, "answer", nil, { h = "header" })
    assert.equal("480 answer header", final(phone))
  end)

  it("distinguishes its failures", function()
    start { nats_request_timeout = 300 }
    client:sub("silent")
    assert.equal("504 no responders", final(invite("nobody", { ms = 10000 })))
    assert.equal("504 timeout", final(invite("silent")))
    assert(client:next(5))
    local phone = invite("silent", { ms = 10000 })
    assert(client:next(5))
    broker:kill9()
    assert.equal("504 lost", final(phone))
    server:wait_log('nats_request_async: request to "nobody" failed: no responders')
    server:wait_log('nats_request_async: request to "silent" timed out')
    server:wait_log('nats_request_async: request to "silent" failed: connection to the server lost')
    assert.equal("500 Not asked: not connected", final(invite("nobody")))
  end)

  it("does not suspend for a route that does not exist, and logs an error", function()
    start()
    assert.equal("500 Not asked: refused", final(invite("nobody", { answer = "MISSING" })))
    assert.equal("500 Not asked: refused", final(invite("nobody", { failure = "MISSING" })))
    server:wait_log("nats_request_async: neither onreply_route%[MISSING%] nor route%[MISSING%] exists")
    server:wait_log("nats_request_async: neither failure_route%[MISSING%] nor route%[MISSING%] exists")
  end)

  it("continues in a route[NAME] where there is none for replies or failures", function()
    start({}, { request_route = async_routes .. [[
      route[COMMON] { t_reply("481", "$natsAnswer"); }
      route[COMMON_FAILURE] { t_reply("503", "$natsError"); }
    ]] })
    client:sub("common")
    local phone = invite("common", { answer = "COMMON", ms = 10000 })
    client:pub(assert(client:next(5)).reply, "answer")
    assert.equal("481 answer", final(phone))
    assert.equal("503 no responders", final(invite("nobody", { failure = "COMMON_FAILURE" })))
  end)

  it("sends one request for a SIP request that is retransmitted, and leaves the transaction to it", function()
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
    assert.equal(0, server:count_log("ended before its reply"))
  end)

  it("continues several transactions at once, even if their routes take long", function()
    start({}, { request_route = async_routes:gsub("onreply_route%[ANSWER%] {", '%0 usleep("2000000");') })
    client:sub("slow")
    local phones, questions = {}, {}
    for i = 1, 4 do phones[i] = invite("slow", { ms = 10000 }) end
    for i = 1, 4 do questions[i] = assert(client:next(5)) end
    local began = socket.gettime()
    for _, question in ipairs(questions) do client:pub(question.reply, "answer", nil, { h = "x" }) end
    for _, phone in ipairs(phones) do assert.equal("480 answer x", final(phone)) end
    local took = socket.gettime() - began
    assert.is_true(took >= 2 and took < 7, took) -- one after the other it would be 8 s
  end)

  it("shares the transactions among nats_async_workers", function()
    local tells_pid = [[%0 $var(pid) = $_s($pp); t_reply("480", "$var(pid)"); exit;]]
    start({ nats_async_workers = 2 }, { request_route = async_routes:gsub("onreply_route%[ANSWER%] {", tells_pid) })
    client:sub("slow")
    local phones, questions, resumers = {}, {}, {}
    for _, pid in ipairs(server:pids_of "nats request resumer") do resumers[pid] = 0 end
    assert.equal(2, #server:pids_of "nats request resumer")
    for i = 1, 4 do phones[i] = invite("slow", { ms = 10000 }) end
    for i = 1, 4 do questions[i] = assert(client:next(5)) end
    for _, question in ipairs(questions) do client:pub(question.reply, "answer") end
    for _, phone in ipairs(phones) do
      local pid = tonumber(final(phone):match("^480 (%d+)$"))
      resumers[pid] = resumers[pid] + 1
    end
    for pid, n in pairs(resumers) do assert.equal(2, n, pid) end
  end)

  it("has at most nats_async_requests requests in flight", function()
    start { nats_async_requests = 2 }
    client:sub("silent")
    local first, second = invite("silent", { ms = 1000 }), invite("silent", { ms = 1000 })
    for _ = 1, 2 do assert(client:next(5)) end
    assert.equal("500 Not asked: refused", final(invite("silent", { ms = 1000 })))
    server:wait_log("too many requests in flight %(nats_async_requests=2%)")
    assert.equal("504 timeout", final(first))
    assert.equal("504 timeout", final(second))
  end)

  it("creates no transaction when it is refused, and leaves a retransmitted SIP request alone", function()
    local stateless = async_routes:gsub("  t_newtran%(%);\n", ""):gsub('t_reply%("500"', 'sl_send_reply("500"')
    start({ nats_async_requests = 1, nats_outbox_size = 65536 }, { children = 1, request_route = stateless })
    client:sub("silent")
    local phone = sip.client(server.port)
    local request = sip.build(phone:complete {
      method = "MESSAGE", uri = ("sip:silent@127.0.0.1:%d"):format(server.port),
      headers = { "X-Answer: ANSWER", "X-Failure: FAILURE", "X-Ms: 10000" },
    })
    phone:send(request)
    local question = assert(client:next(5))
    assert.equal("500 Not asked: refused", final(invite("silent", { ms = 1000 })))
    server:wait_log("too many requests in flight %(nats_async_requests=1%)")
    for _ = 1, 2 do phone:send(request) end
    assert.equal("500 Not asked: refused", final(invite("silent", { answer = "MISSING" })))
    assert.equal("1", server:rpc("tm.stats"):match("current: (%d+)"))
    assert.equal(0, server:count_log("didn't release transaction"))
    client:pub(question.reply, "answer", nil, { h = "x" })
    assert.equal("480 answer x", final(phone))
    assert.equal(2, stats.one(server, "nats.stats").requests_refused)
  end)

  it("keeps 200 requests in flight, each with its own reply", function()
    start()
    client:sub("many.*")
    local phones, questions = {}, {}
    for i = 1, 200 do phones[i] = invite("many." .. i, { ms = 10000 }) end
    for i = 1, 200 do questions[i] = assert(client:next(5)) end
    for i = 200, 1, -1 do client:pub(questions[i].reply, questions[i].subject, nil, { h = "x" }) end
    for i, phone in ipairs(phones) do assert.equal(("480 many.%d x"):format(i), final(phone)) end
  end)
end)
