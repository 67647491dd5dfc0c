local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"
local process = require "support.process"
local queries = require "support.queries"
local sip = require "support.sip"
local wait = require "support.wait"

local answer, final = queries.answer, queries.final

-- A refusal leaves the request as it was: a reply without state is then all that is right, and with one there would be a
-- transaction beside it that nobody ends.
describe("A kazoo_async_query that is refused creates no transaction", function()
  local broker, client, server

  local stateless_route = [[
request_route {
  if (is_method("ACK")) exit;
  if (!kazoo_async_query("qx", "$rU", "{'body':'" + $rb + "'}", "$hdr(X-Answer)", "FAILURE")) {
    sl_send_reply("503", "Cannot ask");
  }
  exit;
}
onreply_route[ANSWER] {
  t_reply("480", "$(kzR{kz.json,text})");
}
failure_route[FAILURE] {
  t_reply("504", "No answer");
}
]]

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
  end)

  after_each(function() server:stop() end)

  local function start(params, more)
    local options = { rabbit = broker, params = params, children = 1, request_route = stateless_route }
    for name, value in pairs(more or {}) do options[name] = value end
    server = kazoo.start(options)
  end

  local function request(user, body, answer_route)
    local phone = sip.client(server.port)
    local text = sip.build(phone:complete {
      method = "INVITE", uri = ("sip:%s@127.0.0.1:%d"):format(user, server.port), body = body or "",
      headers = { "X-Answer: " .. (answer_route or "ANSWER") },
    })
    phone:send(text)
    return phone, text
  end

  local function is_refused(...)
    local status, reason = final((request(...)))
    assert.equal("503 Cannot ask", status .. " " .. reason)
  end

  local function transactions() return tonumber(server:rpc("tm.stats"):match("current: (%d+)")) end

  local function nothing_is_left(under_way)
    assert.equal(0, server:count_log("didn't release transaction"))
    assert.equal(under_way or 0, transactions())
  end

  it("without a broker", function()
    start({ amqp_connection = ("amqp://guest:guest@127.0.0.1:%d"):format(ports.free()) })
    is_refused("none")
    server:wait_log("kazoo_async_query: request refused")
    nothing_is_left()
  end)

  it("for an invalid payload, route or length", function()
    start { amqp_outbox_size = 65536 }
    server:await_connected()
    is_refused("none", "'")
    server:wait_log("kazoo_async_query: payload refused")
    is_refused("none", "", "MISSING")
    server:wait_log("kazoo_async_query: neither onreply_route%[MISSING%] nor route%[MISSING%] exists")
    is_refused("none", ("b"):rep(40000))
    server:wait_log("kazoo_async_query: message of 40%d+ bytes refused: amqp_outbox_size allows")
    nothing_is_left()
    assert.matches("kazoo:queries_refused = 3\n", server:rpc("stats.get_statistics", "kazoo:"))
  end)

  it("when amqp_max_requests are in flight, and leaves a retransmitted SIP request alone", function()
    start { amqp_max_requests = 1, amqp_query_timeout_sec = 20 }
    server:await_connected()
    local questions = client:tap("qx", "refused.*")
    local phone, text = request("refused.first")
    local question = client:get(questions)
    is_refused("refused.second")
    server:wait_log("kazoo_async_query: request refused, too many requests in flight %(amqp_max_requests=1%)")
    for _ = 1, 2 do phone:send(text) end
    is_refused("refused.third")
    nothing_is_left(1)
    answer(client, question, "the first")
    local status, reason = final(phone)
    assert.equal("480 the first", status .. " " .. reason)
    assert.matches("kazoo:queries_refused = 2\n", server:rpc("stats.get_statistics", "kazoo:"))
  end)

  it("when the outbox is full", function()
    start { amqp_outbox_size = 65536, amqp_query_timeout_sec = 20 }
    server:await_connected()
    local questions = client:tap("qx", "full.*")
    local asker = server:pid_of "kazoo requester"
    process.freeze(asker)
    local phones = {}
    for i = 1, 3 do phones[i] = request("full." .. i, ("b"):rep(20000)) end
    wait.until_(function() return transactions() == 3 end, 5, "three transactions")
    is_refused("full.4", ("b"):rep(20000))
    server:wait_log("kazoo_async_query: message refused, the outbox of this process is full")
    nothing_is_left(3)
    process.signal(asker, "CONT")
    for _, question in ipairs(client:consume(questions, { count = 3, deadline = 10 })) do answer(client, question, "x") end
    for _, phone in ipairs(phones) do assert.equal(480, (final(phone))) end
  end)
end)
