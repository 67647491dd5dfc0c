local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local process = require "support.process"
local rabbit = require "support.rabbit"
local sip = require "support.sip"
local wait = require "support.wait"

local routes = {
  ask = [[ kazoo_query("qx", "ask", $rb); $var(rc) = $rc; $var(out) = $kzR; ]],
  ask_target = [[ kazoo_query("qx", "ask", $rb, "$var(answer)"); $var(rc) = $rc; $var(out) = $var(answer); ]],
  ask_headers = [[ kazoo_query("qx", "ask", $rb, "$var(answer)", "h1=v1;h2=v2"); $var(rc) = $rc; ]],
  ask_patiently = [[ $avp(patience) = $(hdr(X-Patience){s.int});
    kazoo_query("qx", "ask", $rb); $var(rc) = $rc;
    if ($kzR == $null) { $var(out) = "null"; } else { $var(out) = $kzR; } ]],
  ask_patiently_text = [[ $avp(patience) = $hdr(X-Patience); kazoo_query("qx", "ask", $rb); $var(rc) = $rc; ]],
  ask_result_avp = [[ kazoo_query("qx", "ask", $rb); $var(rc) = $rc; $var(out) = $avp(result); ]],
}

local params = {
  amqp_query_timeout_avp = "$avp(patience)", amqp_result_avp = "$avp(result)", amqp_consumer_processes = 1,
}

-- The route starts with this request and ends when its answer is there: call the function for its result.
local function start_call(server, route, body, header)
  local client = sip.client(server.port)
  client:start {
    method = "MESSAGE", uri = ("sip:%s@127.0.0.1:%d"):format(route, server.port), body = body,
    headers = header and { header },
  }
  return function()
    local reply = assert(client:await_reply(15))
    client:close()
    local rc, out = reply.body:match("^(%-?%d+)\n(.*)$")
    return tonumber(rc), out
  end
end

local function answer_text(question, text)
  local asked = cjson.decode(question.payload)
  return cjson.encode { ["Msg-ID"] = asked["Msg-ID"], text = text }, asked["Server-ID"]
end

local function text_of(out) return cjson.decode(out).text end

describe("kazoo_query", function()
  local broker, client, server, questions, published

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
    published = client:tap("qx", "published")
    server = kazoo.start {
      rabbit = broker, params = params, routes = routes, children = 2,
      mod_init = [[ kazoo_subscribe("slowx", "topic", "slow-events", "#"); ]],
      events = { ["consumer-event"] = [[ xlog("L_NOTICE", "event begins\n"); usleep("1000000"); ]] },
    }
    server:await_connected()
    server:wait_log("consuming queue \"slow%-events")
  end)

  teardown(function() server:stop() end)

  it("returns the answer that carries its Msg-ID, with the fields of the reception", function()
    local finish = start_call(server, "ask", '{"a":1}')
    local question = client:get(questions)
    local answer, reply_key = answer_text(question, "first")
    client:publish("targeted", reply_key, answer)
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("first", text_of(out))
    assert.equal("local", cjson.decode(out)["AMQP-Broker-Zone"])
  end)

  it("puts the answer into a target variable", function()
    local finish = start_call(server, "ask_target", '{"a":1}')
    local answer, reply_key = answer_text(client:get(questions), "target")
    client:publish("targeted", reply_key, answer)
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("target", text_of(out))
  end)

  it("puts the answer into amqp_result_avp", function()
    local finish = start_call(server, "ask_result_avp", '{"a":1}')
    local answer, reply_key = answer_text(client:get(questions), "avp")
    client:publish("targeted", reply_key, answer)
    assert.equal("avp", text_of(select(2, finish())))
  end)

  it("sends headers, reply-to and correlation-id along", function()
    local finish = start_call(server, "ask_headers", '{"a":1}')
    local question = client:get(questions)
    assert.same({ h1 = "v1", h2 = "v2" }, question.headers)
    assert.equal(cjson.decode(question.payload)["Server-ID"], question.reply_to)
    assert.equal(cjson.decode(question.payload)["Msg-ID"], question.correlation_id)
    local answer, reply_key = answer_text(question, "x")
    client:publish("targeted", reply_key, answer)
    assert.equal(1, (finish()))
  end)

  it("keeps a Msg-ID that the script supplied", function()
    local finish = start_call(server, "ask", '{"Msg-ID":"my own id"}')
    local question = client:get(questions)
    assert.equal("my own id", cjson.decode(question.payload)["Msg-ID"])
    local answer, reply_key = answer_text(question, "own")
    client:publish("targeted", reply_key, answer)
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("own", text_of(out))
  end)

  for asked, answered in pairs { ["4711"] = "4711", ["12"] = '"12"', ['"13"'] = "13", ["1.50"] = "1.50" } do
    it(("takes the Msg-ID %s for the answer to %s"):format(answered, asked), function()
      local finish = start_call(server, "ask", ('{"Msg-ID":%s}'):format(asked))
      local reply_key = cjson.decode(client:get(questions).payload)["Server-ID"]
      client:publish("targeted", reply_key, ('{"Msg-ID":%s,"text":"number"}'):format(answered))
      local rc, out = finish()
      assert.equal(1, rc)
      assert.equal("number", text_of(out))
    end)
  end

  it("takes a Msg-ID of 255 bytes and refuses a longer one", function()
    local id = ("i"):rep(255)
    local finish = start_call(server, "ask", ('{"Msg-ID":"%s"}'):format(id))
    local answer, reply_key = answer_text(client:get(questions), "long")
    client:publish("targeted", reply_key, answer)
    assert.equal("long", text_of(select(2, finish())))
    assert.equal(-1, (start_call(server, "ask", ('{"Msg-ID":"%si"}'):format(id))()))
    server:wait_log("kazoo_query: Msg%-ID of 256 bytes must be a text of 1 to 255")
  end)

  it("takes an answer that uses reply-to and correlation-id alone", function()
    local finish = start_call(server, "ask", '{"a":1}')
    local question = client:get(questions)
    client:publish("", question.reply_to, '{"text":"rpc"}', { correlation_id = question.correlation_id })
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("rpc", text_of(out))
  end)

  for what, payload in pairs { empty = "", ["no JSON"] = "not json", ["no object"] = "[1]" } do
    it("fails with -1 and a null $kzR when the answer is " .. what, function()
      local finish = start_call(server, "ask_patiently", '{"a":1}', "X-Patience: 10")
      local question = client:get(questions)
      client:publish("", question.reply_to, payload, { correlation_id = question.correlation_id })
      local rc, out = finish()
      assert.equal(-1, rc)
      assert.equal("null", out)
      server:wait_log('kazoo_query: the answer for "ask" is dropped, .* at byte 0 of %d')
    end)
  end

  it("takes the first of two answers, and the next question gets its own", function()
    local finish = start_call(server, "ask", '{"n":1}')
    local question = client:get(questions)
    local answer, reply_key = answer_text(question, "one")
    client:publish("targeted", reply_key, answer)
    assert.equal("one", text_of(select(2, finish())))
    client:publish("targeted", reply_key, (answer_text(question, "again")))
    finish = start_call(server, "ask", '{"n":2}')
    answer, reply_key = answer_text(client:get(questions), "two")
    client:publish("targeted", reply_key, answer)
    assert.equal("two", text_of(select(2, finish())))
  end)

  it("fails with -2 and a null $kzR at its deadline; a late answer reaches no later question", function()
    local finish = start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 200")
    local question = client:get(questions)
    local rc, out = finish()
    assert.equal(-2, rc)
    assert.equal("null", out)
    client:publish("targeted", select(2, answer_text(question, "")), (answer_text(question, "late")))
    finish = start_call(server, "ask", '{"n":2}')
    local answer, reply_key = answer_text(client:get(questions), "in time")
    client:publish("targeted", reply_key, answer)
    assert.equal("in time", text_of(select(2, finish())))
  end)

  it("reads amqp_query_timeout_avp below 100 as seconds, else as milliseconds", function()
    local function seconds_of(patience)
      local began = socket.gettime()
      local rc = start_call(server, "ask_patiently", '{"n":1}', "X-Patience: " .. patience)()
      assert.equal(-2, rc)
      client:get(questions)
      return socket.gettime() - began
    end
    local short, long = seconds_of(300), seconds_of(1)
    assert.is_true(short >= 0.3 and short < 0.9, "300: " .. short)
    assert.is_true(long >= 1 and long < 2, "1: " .. long)
  end)

  it("waits as long as amqp_query_timeout_sec and amqp_query_timeout_micro say together", function()
    for seconds = 0, 1 do
      local other = kazoo.start {
        rabbit = broker, routes = routes,
        params = { amqp_query_timeout_sec = seconds, amqp_query_timeout_micro = 300000 },
      }
      other:await_connected()
      local began = socket.gettime()
      assert.equal(-2, (start_call(other, "ask", '{"n":1}')()))
      local took = socket.gettime() - began - seconds
      client:get(questions)
      other:stop()
      assert.is_true(took >= 0.3 and took < 0.9, seconds .. ": " .. took)
    end
  end)

  it("reads a number in amqp_query_timeout_avp that is a text, and warns of what is none", function()
    local began = socket.gettime()
    assert.equal(-2, (start_call(server, "ask_patiently_text", '{"n":1}', "X-Patience: 300")()))
    client:get(questions)
    assert.is_true(socket.gettime() - began < 1.5)
    local finish = start_call(server, "ask_patiently_text", '{"n":1}', "X-Patience: soon")
    local answer, reply_key = answer_text(client:get(questions), "x")
    client:publish("targeted", reply_key, answer)
    assert.equal(1, (finish()))
    server:wait_log('amqp_query_timeout_avp: "soon" is no positive number')
  end)

  it("ignores an answer for nobody and answers that are no JSON", function()
    local finish = start_call(server, "ask", '{"n":1}')
    local question = client:get(questions)
    local answer, reply_key = answer_text(question, "good")
    for _, bad in ipairs { '{"Msg-ID":"of nobody"}', "[]", "no json", "", '{"Msg-ID":{}}', "\0\255" } do
      client:publish("targeted", reply_key, bad)
    end
    client:publish("targeted", reply_key, answer)
    assert.equal("good", text_of(select(2, finish())))
  end)

  it("gets its answer while the only worker is busy with an event route", function()
    client:publish("slowx", "x", '{"a":1}')
    server:wait_log("event begins")
    local began = socket.gettime()
    local finish = start_call(server, "ask", '{"n":1}')
    local answer, reply_key = answer_text(client:get(questions), "quick")
    client:publish("targeted", reply_key, answer)
    assert.equal("quick", text_of(select(2, finish())))
    assert.is_true(socket.gettime() - began < 0.9)
  end)

  it("gets its answer while the publisher does nothing, and so behind nothing that is published", function()
    local publisher = tonumber(server:rpc("core.psx"):match("PID: (%d+)%s+DSC: kazoo publisher"))
    process.freeze(publisher)
    assert.equal(1, server:publish("qx", "unheard", '{"text":"before"}'))
    local finish = start_call(server, "ask", '{"n":1}')
    local answer, reply_key = answer_text(client:get(questions), "ahead")
    client:publish("targeted", reply_key, answer)
    local _, out = finish()
    process.signal(publisher, "CONT")
    assert.equal("ahead", text_of(out))
  end)

  it("has a queue for answers that is its own, with a name that no other start of the server has", function()
    local function address(of)
      assert.equal(1, of:publish("qx", "published", "{}"))
      return cjson.decode(client:get(published).payload)["Server-ID"]
    end
    local other = kazoo.start { rabbit = broker }
    other:await_connected()
    local one, two = address(server), address(other)
    local form = "^kamailio@spec%.example%-<%d+>%-([%w_-]+)%-targeted%-1$"
    assert.not_equal(assert(one:match(form)), assert(two:match(form)))
    local queues = broker:ctl("list_queues", "name", "exclusive")
    for _, name in ipairs { one, two } do assert.is_truthy(queues:find(name .. "\ttrue\n", 1, true)) end
    other:stop()
  end)

  it("refuses what is no JSON object without asking", function()
    assert.equal(-1, (start_call(server, "ask", "no json")()))
  end)

  it("answers an application that serves many, one after the other", function()
    local serve = process.spawn {
      name = "amqp_rtt", folder = files.new_folder("amqp_rtt"),
      command = { files.root .. "/build/spec/amqp_rtt", broker.url, "serve" },
    }
    wait.until_(function() return serve:log():find("ready", 1, true) end, 5, "the application")
    local many = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 10 }, -- of 300, one may meet a busy machine
      routes = { many = [[
        $var(good) = 0;
        $var(i) = 0;
        while ($var(i) < 300) {
          if (kazoo_query("callevt", "call.status", '{"n":$var(i)}')) { $var(good) = $var(good) + 1; }
          $var(i) = $var(i) + 1;
        }
        $var(rc) = 1;
        $var(out) = $var(good); ]] },
      settings = "max_while_loops=1000",
    }
    many:await_connected()
    assert.equal("300", (select(2, start_call(many, "many", "")())))
    many:stop()
    serve:kill()
  end)
end)

describe("amqp_max_channels", function()
  local broker, client, questions, server

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
  end)

  after_each(function() server:stop() end)

  local function start(more)
    server = kazoo.start { rabbit = broker, params = more, routes = routes, children = 4 }
    server:await_connected()
  end

  local function answer_all(calls, asked)
    for _, question in ipairs(asked) do
      local answer, reply_key = answer_text(question, "answered")
      client:publish("targeted", reply_key, answer)
    end
    for _, finish in ipairs(calls) do assert.equal(1, (finish())) end
  end

  it("bounds the questions of kazoo_query: one beyond it fails at once and is told, until another has its answer", function()
    start { amqp_max_channels = 2, amqp_query_timeout_sec = 20 }
    local calls = { start_call(server, "ask", '{"n":1}'), start_call(server, "ask", '{"n":2}') }
    local asked = client:consume(questions, { count = 2 })
    local began = socket.gettime()
    assert.equal(-1, (start_call(server, "ask", '{"n":3}')()))
    assert.is_true(socket.gettime() - began < 2)
    server:wait_log("ERROR.*kazoo_query: fails at once, all 2 questions of amqp_max_channels are under way")
    assert.equal(0, server:count_log("was lost before"))
    assert.matches("kazoo:queries_refused = 1\n", server:rpc("stats.get_statistics", "kazoo:"))
    answer_all(calls, asked)
    for n = 4, 6 do -- what was refused holds no place either
      answer_all({ start_call(server, "ask", ('{"n":%d}'):format(n)) }, { client:get(questions) })
    end
  end)

  it("is at least the number of processes when it is not set", function()
    server = kazoo.start {
      rabbit = broker, routes = routes, children = 70,
      params = { amqp_query_timeout_sec = 20, amqp_outbox_size = 65536, amqp_inbox_size = 65536 },
    }
    server:await_connected()
    local calls = {}
    for n = 1, 60 do calls[n] = start_call(server, "ask", ('{"n":%d}'):format(n)) end
    answer_all(calls, client:consume(questions, { count = 60, deadline = 20 }))
  end)
end)

describe("kazoo_query and a broker that", function()
  local broker, server

  before_each(function()
    broker = rabbit.start()
    amqp.client(broker):exchange("qx", "topic")
    server = kazoo.start { rabbit = broker, params = params, routes = routes }
    server:await_connected()
  end)

  after_each(function()
    server:stop()
    broker:stop()
  end)

  it("is lost in between fails at once, and works again with the broker", function()
    local client = amqp.client(broker)
    local questions = client:tap("qx", "ask")
    local began = socket.gettime()
    local finish = start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 10")
    client:get(questions)
    broker:kill9()
    assert.equal(-1, (finish()))
    assert.is_true(socket.gettime() - began < 5)
    began = socket.gettime()
    assert.equal(-1, (start_call(server, "ask", '{"n":2}')()))
    assert.is_true(socket.gettime() - began < 0.5)
    assert.is_truthy(server:log():find("no broker is connected", 1, true))

    broker:start_again()
    server:await_connected(2)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
    finish = start_call(server, "ask", '{"n":3}')
    local answer, reply_key = answer_text(client:get(questions), "back")
    client:publish("targeted", reply_key, answer)
    assert.equal("back", text_of(select(2, finish())))
  end)

  it("does not let its answers in fails at once, and works when it does", function()
    local client = amqp.client(broker)
    client:delete_exchange("targeted")
    client:exchange("targeted", "topic")
    broker:ctl("close_all_connections", "spec")
    server:wait_log('subscription to queue "[^"]*%-targeted%-2" .* failed.*406 ')
    assert.equal(-1, (start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 10")()))
    server:wait_log("fails at once, no broker is connected")
    client:delete_exchange("targeted")
    server:wait_log('consuming queue "[^"]*%-targeted%-2"')
    local questions = client:tap("qx", "ask")
    local finish = start_call(server, "ask", '{"n":2}')
    local answer, reply_key = answer_text(client:get(questions), "let in")
    client:publish("targeted", reply_key, answer)
    assert.equal("let in", text_of(select(2, finish())))
  end)

  it("is frozen fails at the deadline, and does not stop SIP", function()
    broker:freeze()
    local began = socket.gettime()
    assert.equal(-2, (start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 500")()))
    assert.is_true(socket.gettime() - began < 5)
    broker:thaw()
  end)
end)

local async_route = [[
request_route {
  if (is_method("ACK|OPTIONS")) { sl_send_reply("200", "OK"); exit; }
  t_newtran();
  if (!kazoo_async_query("qx", "$rU", '{"call":"$ci"}', "$hdr(X-Answer)", "$hdr(X-Failure)")) {
    t_reply("500", "Not asked");
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

describe("kazoo_async_query", function()
  local broker, client

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
  end)

  local server
  after_each(function() server:stop() end)

  local function start(more)
    local all = { node_hostname = "spec.example", amqp_query_timeout_sec = 1 }
    for name, value in pairs(more or {}) do all[name] = value end
    server = kazoo.start { rabbit = broker, params = all, request_route = async_route }
    server:await_connected()
  end

  local function invite(user, fields)
    local full = {
      uri = ("sip:%s@127.0.0.1:%d"):format(user, server.port),
      headers = { "X-Answer: " .. (fields.answer or "ANSWER"), "X-Failure: " .. (fields.failure or "FAILURE") },
    }
    local phone = sip.client(server.port)
    local complete = phone:complete(full)
    complete.method = "INVITE"
    phone:start(complete)
    return phone
  end

  local function final(phone, deadline)
    local reply = assert(phone:await_reply(deadline or 5))
    phone:close()
    return reply.status, reply.reason
  end

  it("goes on in the success route with $kzR", function()
    start()
    local questions = client:tap("qx", "async.one")
    local phone = invite("async.one", {})
    local answer, reply_key = answer_text(client:get(questions), "async answer")
    client:publish("targeted", reply_key, answer)
    local status, reason = final(phone)
    assert.equal(480, status)
    assert.equal("async answer", reason)
  end)

  for _, flags in ipairs { "", ', ""' } do
    it("does so by the name kazoo_query_async, with " .. (flags == "" and 5 or 6) .. " parameters", function()
      server = kazoo.start {
        rabbit = broker, params = { amqp_query_timeout_sec = 1 },
        request_route = async_route:gsub("kazoo_async_query(%b())", function(list)
          return "kazoo_query_async" .. list:sub(1, -2) .. flags .. ")"
        end),
      }
      server:await_connected()
      local questions = client:tap("qx", "async.alias")
      local phone = invite("async.alias", {})
      local answer, reply_key = answer_text(client:get(questions), "by the other name")
      client:publish("targeted", reply_key, answer)
      local status, reason = final(phone)
      assert.equal(480, status)
      assert.equal("by the other name", reason)
      assert.equal(504, (final(invite("async.none", {}))))
    end)
  end

  it("has tm reply with 500 where the name of the route is empty", function()
    start { amqp_query_timeout_sec = 1 }
    local questions = client:tap("qx", "async.empty")
    local phone = invite("async.empty", { answer = "" })
    local answer, reply_key = answer_text(client:get(questions), "for nobody")
    client:publish("targeted", reply_key, answer)
    local status, reason = final(phone)
    assert.equal(500, status)
    assert.not_equal("Not asked", reason)
    status, reason = final(invite("async.empty", { failure = "" }))
    assert.equal(500, status)
    assert.not_equal("Not asked", reason)
    assert.equal(0, server:count_log("there is no "))
    assert.equal(504, (final(invite("async.empty", { answer = "" })))) -- the other one runs
  end)

  it("goes on in the error route when no answer comes in time", function()
    start()
    assert.equal(504, (final(invite("async.none", {}))))
  end)

  it("goes on in the error route when the answer is no JSON", function()
    start { amqp_query_timeout_sec = 20 }
    local questions = client:tap("qx", "async.bad")
    local phone = invite("async.bad", {})
    local question = client:get(questions)
    client:publish("", question.reply_to, "not json", { correlation_id = question.correlation_id })
    assert.equal(504, (final(phone)))
    server:wait_log('kazoo_async_query: the answer for "async.bad" is dropped, ')
    assert.matches("unreadable: 1\n", server:rpc("kazoo.queries"))
  end)

  it("does not suspend for a route that does not exist, and says so", function()
    start()
    assert.equal(500, (final(invite("async.none", { answer = "MISSING" }))))
    assert.equal(500, (final(invite("async.none", { failure = "MISSING" }))))
    assert.is_truthy(server:log():find("there is no failure_route[MISSING]", 1, true))
  end)

  it("asks no more at once than amqp_max_channels, and is told", function()
    start { amqp_max_channels = 2 }
    local questions = client:tap("qx", "bound.*")
    local first, second = invite("bound.a", {}), invite("bound.b", {})
    client:consume(questions, { count = 2 })
    assert.equal(500, (final(invite("bound.c", {}))))
    assert.is_truthy(server:log():find("all 2 questions of amqp_max_channels are under way", 1, true))
    assert.equal(504, (final(first)))
    assert.equal(504, (final(second)))
  end)

  it("asks once for a request that is sent again, and leaves the transaction to it", function()
    server = kazoo.start {
      rabbit = broker, children = 1, -- each request is done when the next one is read
      request_route = async_route:gsub("  t_newtran%(%);\n", ""),
    }
    server:await_connected()
    local questions = client:tap("qx", "again.*")
    local phone = sip.client(server.port)
    local request = sip.build(phone:complete {
      method = "MESSAGE", uri = ("sip:again.one@127.0.0.1:%d"):format(server.port),
      headers = { "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    for _ = 1, 3 do phone:send(request) end
    local other = invite("again.two", {})
    local asked = client:consume(questions, { count = 2, deadline = 10 })
    assert.equal("again.one", asked[1].routing_key)
    assert.equal("again.two", asked[2].routing_key)
    for _, question in ipairs(asked) do
      local answer, reply_key = answer_text(question, "answer")
      client:publish("targeted", reply_key, answer)
    end
    assert.equal(480, (final(phone)))
    assert.equal(480, (final(other)))
    assert.equal(0, server:count_log("is gone"))
  end)

  it("goes on with several transactions at once, though their routes take long", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_consumer_processes = 4 }, children = 2,
      request_route = async_route:gsub("onreply_route%[ANSWER%] {", '%0 usleep("700000");'),
    }
    server:await_connected()
    local questions = client:tap("qx", "slow.*")
    local phones = {}
    for i = 1, 4 do phones[i] = invite("slow." .. i, {}) end
    local asked = client:consume(questions, { count = 4, deadline = 10 })
    local began = socket.gettime()
    for _, question in ipairs(asked) do
      local answer, reply_key = answer_text(question, "slow answer")
      client:publish("targeted", reply_key, answer)
    end
    for _, phone in ipairs(phones) do assert.equal(480, (final(phone))) end
    local took = socket.gettime() - began
    assert.is_true(took >= 0.7 and took < 1.9, took) -- one after the other it would be 2.8 s
  end)

  it("says no more than that the transaction is gone when the call was cancelled", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 20 }, settings = 'modparam("tm", "wt_timer", 100)', debug = 2,
      request_route = async_route:gsub("request_route {", [[%0
        if (is_method("ACK")) { t_check_trans(); exit; }
        if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
      ]]),
    }
    server:await_connected()
    local questions = client:tap("qx", "cancelled")
    local phone = sip.client(server.port)
    local invitation = sip.build(phone:complete {
      method = "INVITE", uri = ("sip:cancelled@127.0.0.1:%d"):format(server.port),
      headers = { "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    phone:send(invitation)
    local answer, reply_key = answer_text(client:get(questions), "late")
    phone:send((invitation:gsub("INVITE", "CANCEL")))
    wait.until_(function()
      local text = phone:receive(1)
      return text and text:find("^SIP/2.0 487")
    end, 10, "487")
    phone:send((invitation:gsub("INVITE", "ACK")))
    wait.until_(function() return server:rpc("tm.stats"):find("current: 0\n", 1, true) end, 10, "no transaction")
    client:publish("targeted", reply_key, answer)
    server:wait_log("INFO.*the transaction .* is gone before its answer came")
    assert.equal(0, server:count_log("ERROR.*is gone"))
    phone:close()
  end)

  it("leaves a call alone that was cancelled and is still known when its answer comes", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 20 }, settings = 'modparam("tm", "wt_timer", 20000)',
      request_route = async_route:gsub("request_route {", [[%0
        if (is_method("ACK")) { t_check_trans(); exit; }
        if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
      ]]),
    }
    server:await_connected()
    local questions = client:tap("qx", "cancelled.*")
    local phone = sip.client(server.port)
    local invitation = sip.build(phone:complete {
      method = "INVITE", uri = ("sip:cancelled.early@127.0.0.1:%d"):format(server.port),
      headers = { "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    phone:send(invitation)
    local answer, reply_key = answer_text(client:get(questions), "too late")
    phone:send((invitation:gsub("INVITE", "CANCEL")))
    wait.until_(function()
      local text = phone:receive(1)
      return text and text:find("^SIP/2.0 487")
    end, 10, "487")
    phone:send((invitation:gsub("INVITE", "ACK")))
    client:publish("targeted", reply_key, answer)
    local other = invite("cancelled.not", {})
    answer, reply_key = answer_text(client:get(questions), "another call")
    client:publish("targeted", reply_key, answer)
    local status, reason = final(other)
    assert.equal(480, status)
    assert.equal("another call", reason)
    local text = phone:receive(0.5)
    while text do
      assert.is_nil(text:find("^SIP/2.0 480"))
      text = phone:receive(0.5)
    end
    assert.is_nil(server:crash())
    phone:close()
  end)

  it("goes on in the error route at once when the broker is lost", function()
    local own = rabbit.start()
    amqp.client(own):exchange("qx", "topic")
    server = kazoo.start {
      rabbit = own, params = { amqp_query_timeout_sec = 20 }, request_route = async_route,
    }
    server:await_connected()
    local questions = amqp.client(own):tap("qx", "lost")
    local phone = invite("lost", {})
    amqp.client(own):get(questions)
    own:kill9()
    assert.equal(504, (final(phone, 10)))
    own:stop()
  end)

  it("keeps 500 questions under way at once", function()
    start { amqp_max_channels = 600, amqp_query_timeout_sec = 60 }
    local questions = client:tap("qx", "many.*")
    local phones, asked = {}, {}
    -- A socket holds some hundred datagrams and drops the rest, which nobody sends again. So the next few requests go
    -- out when the questions of those before are there; all of them wait for their answers meanwhile.
    while #phones < 500 do
      local first = #phones + 1
      for i = first, first + 24 do phones[i] = invite("many." .. i, {}) end
      for _, question in ipairs(client:consume(questions, { count = 25, deadline = 10 })) do
        asked[#asked + 1] = question
      end
      assert.equal(#phones, #asked)
    end
    local reply_key = cjson.decode(asked[1].payload)["Server-ID"]
    local answers = {}
    for i, question in ipairs(asked) do answers[i] = (answer_text(question, question.routing_key)) end
    client:publish_all("targeted", reply_key, answers)
    local right = 0
    for i, phone in ipairs(phones) do
      local status, reason = final(phone, 10)
      if status == 480 and reason == "many." .. i then right = right + 1 end
    end
    assert.equal(500, right)
  end)
end)
