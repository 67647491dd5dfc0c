-- Questions that nobody gets, answers that nobody wants, and answers that there is no room for.
local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local queries = require "support.queries"
local stats = require "support.stats"
local wait = require "support.wait"

local start_call, answer, text_of = queries.start_call, queries.answer, queries.text_of

local routes = {
  ask = queries.routes.ask,
  ask_at = [[ kazoo_query("$hdr(X-Exchange)", "$hdr(X-Key)", $rb); $var(rc) = $rc;
    if ($kzR == $null) { $var(out) = "null"; } else { $var(out) = $kzR; } ]],
  ask_for_id = [[ kazoo_query("qx", "ask", $rb); $var(rc) = $rc; $var(out) = $(kzR{kz.json,Msg-ID}); ]],
}

local function at(exchange, key) return { "X-Exchange: " .. exchange, "X-Key: " .. key } end

local answer_max = 1024 * 1024

-- {"...", "text":"aaa..."} of that many bytes, with the Msg-ID behind it.
local function long_answer(id, bytes)
  local head, tail = '{"text":"', ('","Msg-ID":"%s"}'):format(id)
  return head .. ("a"):rep(bytes - #head - #tail) .. tail
end

local function id_of(question) return cjson.decode(question.payload)["Msg-ID"] end

local function seconds(call)
  local began = socket.gettime()
  call()
  return socket.gettime() - began
end

describe("A request", function()
  local broker, client, server, questions

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 10 }, routes = routes, children = 3,
    }
    server:await_connected()
  end)

  teardown(function() server:stop() end)

  local function counted(name) return stats.one(server, "kazoo.stats")[name] end

  -- One more in the statistic, and in the RPC under its own name.
  local function counts_one(statistic, field, call)
    local before, rpc = counted(statistic), stats.one(server, "kazoo.queries")[field]
    call()
    assert.equal(before + 1, counted(statistic), statistic)
    assert.equal(rpc + 1, stats.one(server, "kazoo.queries")[field], field)
  end

  it("that reaches no queue fails at once with -3 and a null $kzR, and is counted", function()
    counts_one("queries_unroutable", "unroutable", function()
      local rc, out
      local took = seconds(function() rc, out = start_call(server, "ask_at", '{"a":1}', at("qx", "nobody.listens"))() end)
      assert.equal(-3, rc)
      assert.equal("null", out)
      assert.is_true(took < 6, took)
      server:wait_log('kazoo_query: request to "nobody.listens" returned, no queue is bound for it')
    end)
    assert.equal(0, counted "queries_timeout")
    assert.equal(0, counted "returned")
  end)

  it("that is long and reaches no queue fails too", function()
    local body = cjson.encode { text = ("b"):rep(30000) }
    assert.equal(-3, (start_call(server, "ask_at", body, at("qx", "nobody.listens"))()))
  end)

  it("to the default exchange reaches the queue of that name, or fails", function()
    client:queue("q-by-name")
    local finish = start_call(server, "ask_at", '{"a":1}', at("", "q-by-name"))
    answer(client, client:get("q-by-name"), "by name")
    assert.equal("by name", text_of(select(2, finish())))
    client:delete_queue("q-by-name")
    assert.equal(-3, (start_call(server, "ask_at", '{"a":1}', at("", "q-by-name"))()))
  end)

  it("to an exchange that does not exist fails at once; those to another one get their answers, whether they were "
    .. "asked before or after it", function()
    local before = start_call(server, "ask", '{"n":1}')
    local first = client:get(questions)
    counts_one("queries_unroutable", "unroutable", function()
      local took = seconds(function()
        local bad = start_call(server, "ask_at", '{"n":2}', at("no-such-exchange", "ask"))
        local after = start_call(server, "ask", '{"n":3}')
        assert.equal(-3, (bad()))
        answer(client, client:get(questions), "after")
        assert.equal("after", text_of(select(2, after())))
      end)
      assert.is_true(took < 3, took)
    end)
    server:wait_log('amqp: requests to exchange "no%-such%-exchange" rejected by .*: 404 NOT_FOUND')
    answer(client, first, "before")
    assert.equal("before", text_of(select(2, before())))
    assert.equal(0, server:count_log("connection to .* lost"))
  end)

  it("reaches an exchange that was declared after a request to it failed", function()
    assert.equal(-3, (start_call(server, "ask_at", '{"n":1}', at("late-exchange", "ask"))()))
    client:exchange("late-exchange", "topic")
    local late = client:tap("late-exchange", "ask")
    local finish = start_call(server, "ask_at", '{"n":2}', at("late-exchange", "ask"))
    answer(client, client:get(late), "late exchange")
    assert.equal("late exchange", text_of(select(2, finish())))
    client:delete_exchange("late-exchange")
    assert.equal(-3, (start_call(server, "ask_at", '{"n":3}', at("late-exchange", "ask"))()))
  end)

  it("reaches more exchanges than there are channels, good and bad ones in turn", function()
    for n = 1, 20 do
      local exchange = "many-exchanges-" .. n
      client:exchange(exchange, "topic", "auto_delete")
      local queue = client:tap(exchange, "ask")
      local finish = start_call(server, "ask_at", '{"n":1}', at(exchange, "ask"))
      answer(client, client:get(queue), exchange)
      assert.equal(exchange, text_of(select(2, finish())))
      assert.equal(-3, (start_call(server, "ask_at", '{"n":2}', at("none-" .. exchange, "ask"))()))
      client:delete_queue(queue)
    end
    assert.equal(0, server:count_log("connection to .* lost"))
  end)

  it("that the exchange passes on to an alternate exchange has reached a queue", function()
    client:exchange("without-queues", "topic")
    client:exchange("alternate", "fanout")
    local elsewhere = client:tap("alternate", "")
    broker:ctl("set_policy", "ae", "^without-queues$", '{"alternate-exchange":"alternate"}', "--apply-to", "exchanges")
    finally(function()
      broker:ctl("clear_policy", "ae")
      client:delete_exchange("without-queues")
      client:delete_exchange("alternate")
    end)
    wait.until_(function() return broker:ctl("list_exchanges", "name", "policy"):find("without-queues\tae\n", 1, true) end,
      10, "the policy")
    local finish = start_call(server, "ask_at", '{"n":1}', at("without-queues", "ask"))
    answer(client, client:get(elsewhere), "alternate")
    assert.equal("alternate", text_of(select(2, finish())))
  end)

  it("takes a reply of 1 MB, and fails with -4 at once for a longer one, which is logged and counted", function()
    local finish = start_call(server, "ask_for_id", '{"n":1}')
    local question = client:get(questions)
    client:publish("", question.reply_to, long_answer(id_of(question), answer_max))
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal(id_of(question), out)
    counts_one("queries_too_large", "too_large", function()
      finish = start_call(server, "ask_at", '{"n":2}', at("qx", "ask"))
      question = client:get(questions)
      client:publish("", question.reply_to, long_answer(id_of(question), answer_max + 1))
      rc, out = finish()
      assert.equal(-4, rc)
      assert.equal("null", out)
      server:wait_log('ERROR.*kazoo_query: discarding reply to "ask": 1048577 bytes, the limit is '
        .. "1048576")
    end)
    assert.equal(0, counted "queries_lost")
  end)

  it("matches a reply that is too long by its correlation-id", function()
    local bytes = 5 * answer_max
    counts_one("queries_too_large", "too_large", function()
      local finish = start_call(server, "ask", '{"n":1}')
      local question = client:get(questions)
      client:publish("", question.reply_to, long_answer(id_of(question), bytes), {
        correlation_id = question.correlation_id,
      })
      assert.equal(-4, (finish()))
    end)
    server:wait_log(("amqp: discarding reply of %d bytes: the limit is 1048576 bytes"):format(bytes))
  end)

  it("that has ended leaves replies unmatched: a repeated one, a late one, one without a request", function()
    local before = counted "replies_unmatched"
    local finish = start_call(server, "ask", '{"n":1}')
    local question = client:get(questions)
    answer(client, question, "once")
    assert.equal(1, (finish()))
    answer(client, question, "again")
    client:publish("", question.reply_to, '{"Msg-ID":"of nobody"}')
    client:publish("", question.reply_to, long_answer("of nobody", 5 * answer_max))
    stats.await(server, "kazoo.stats", { replies_unmatched = before + 3 })
    assert.equal(before + 3, stats.one(server, "kazoo.queries").unmatched)
    assert.is_truthy(server:log():find("amqp: discarding unmatched reply \"[^\"]+\""))
  end)
end)

describe("With mandatory=0 in amqp_publish_properties a request", function()
  it("that reaches no queue waits until its deadline", function()
    local broker = kazoo.shared_rabbit()
    amqp.client(broker):exchange("qx", "topic")
    local server = kazoo.start {
      rabbit = broker, routes = routes,
      params = { amqp_publish_properties = "mandatory=0", amqp_query_timeout_sec = 0, amqp_query_timeout_micro = 500000 },
    }
    server:await_connected()
    assert.equal(-2, (start_call(server, "ask_at", '{"a":1}', at("qx", "nobody.listens"))()))
    server:stop()
  end)
end)

describe("kazoo_async_query", function()
  local client, server

  setup(function()
    local broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 20 },
      mod_init = [[ kazoo_subscribe("ex", "topic", "e-q", "#"); ]],
      request_route = queries.async_route .. [[
        event_route[kazoo:consumer-event] {
          $var(n) = $(kzE{kz.json,n});
          kazoo_async_query("qx", "events", '{"n":1}', "ANSWER", "FAILURE");
          xlog("L_NOTICE", "async in event $var(n) returned $rc\n");
        }
      ]],
    }
    server:await_connected()
    server:wait_log('consuming from queue "e%-q"')
  end)

  teardown(function() server:stop() end)

  it("continues in the error route at once when the request reaches no queue", function()
    local status
    local took = seconds(function() status = queries.final(queries.invite(server, "async.nobody"), 10) end)
    assert.equal(504, status)
    assert.is_true(took < 3, took)
    server:wait_log('kazoo_async_query: request to "async.nobody" returned, no queue is bound for it')
  end)

  it("loses no request to one exchange because of those to a missing one at the same time", function()
    local asked = client:tap("qx", "burst.*")
    local good, bad = {}, {}
    for n = 1, 40 do
      good[n] = queries.invite(server, "burst." .. n)
      bad[n] = queries.invite(server, "burst." .. n, { exchange = "no-such-exchange" })
    end
    local took = seconds(function()
      for _, phone in ipairs(bad) do assert.equal(504, (queries.final(phone, 10))) end
    end)
    assert.is_true(took < 5, took)
    for _, question in ipairs(client:consume(asked, { count = 40, deadline = 10 })) do
      answer(client, question, question.routing_key)
    end
    for n, phone in ipairs(good) do
      local status, reason = queries.final(phone, 10)
      assert.equal(480, status)
      assert.equal("burst." .. n, reason)
    end
  end)

  it("continues in the error route at once when the reply is too long", function()
    local asked = client:tap("qx", "async.long")
    local phone = queries.invite(server, "async.long")
    local question = client:get(asked)
    client:publish("", question.reply_to, long_answer(id_of(question), 2 * answer_max))
    assert.equal(504, (queries.final(phone, 10)))
    server:wait_log('kazoo_async_query: discarding reply to "async.long": 2097152 bytes')
  end)

  it("fails in an event route each time, at once, with a log line that says why, and sends no request", function()
    local asked = client:tap("qx", "events")
    local before = stats.one(server, "kazoo.stats").queries_refused
    for n = 1, 3 do
      client:publish("ex", "x", ('{"n":%d}'):format(n))
      server:wait_log(("async in event %d returned %%-1"):format(n))
    end
    server:wait_log("ERROR.*kazoo_async_query: cannot be called in event routes and timers")
    assert.equal(before + 3, stats.one(server, "kazoo.stats").queries_refused)
    assert.same({}, client:drain(asked, 0.5))
    assert.equal(0, stats.one(server, "kazoo.queries").under_way)
  end)
end)
