local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local queries = require "support.queries"
local rabbit = require "support.rabbit"
local sip = require "support.sip"
local wait = require "support.wait"

local answer, answer_text, final = queries.answer, queries.answer_text, queries.final

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
    server = kazoo.start { rabbit = broker, params = all, request_route = queries.async_route }
    server:await_connected()
  end

  local function invite(user, fields) return queries.invite(server, user, fields) end

  it("continues in the success route with $kzR", function()
    start()
    local questions = client:tap("qx", "async.one")
    local phone = invite("async.one")
    answer(client, client:get(questions), "async answer")
    local status, reason = final(phone)
    assert.equal(480, status)
    assert.equal("async answer", reason)
  end)

  for _, flags in ipairs { "", ', ""' } do
    it("does so by the name kazoo_query_async, with " .. (flags == "" and 5 or 6) .. " parameters", function()
      server = kazoo.start {
        rabbit = broker, params = { amqp_query_timeout_sec = 1 },
        request_route = queries.async_route:gsub("kazoo_async_query(%b())", function(list)
          return "kazoo_query_async" .. list:sub(1, -2) .. flags .. ")"
        end),
      }
      server:await_connected()
      local questions = client:tap("qx", "async.alias")
      local phone = invite("async.alias")
      answer(client, client:get(questions), "by the other name")
      local status, reason = final(phone)
      assert.equal(480, status)
      assert.equal("by the other name", reason)
      assert.equal(504, (final(invite("async.none"))))
    end)
  end

  it("has tm reply with 500 where the name of the route is empty", function()
    start { amqp_query_timeout_sec = 1 }
    local questions = client:tap("qx", "async.empty")
    local phone = invite("async.empty", { answer = "" })
    answer(client, client:get(questions), "for nobody")
    local status, reason = final(phone)
    assert.equal(500, status)
    assert.not_equal("Not asked", reason)
    status, reason = final(invite("async.empty", { failure = "" }))
    assert.equal(500, status)
    assert.not_equal("Not asked", reason)
    assert.equal(0, server:count_log("nor route"))
    assert.equal(504, (final(invite("async.empty", { answer = "" })))) -- the other one runs
  end)

  -- No configuration has an exit behind the call.
  it("ends the script when the request is in flight", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 20 },
      request_route = queries.async_route:gsub("exit;\n}", [[
        xlog("L_NOTICE", "went on with $rU\n");
        t_reply("480", "Went on");
      }]], 1):gsub("if %(!(kazoo_async_query%b())%)", "if (%1 != 1)"),
    }
    server:await_connected()
    local questions = client:tap("qx", "async.end")
    local phone = invite("async.end")
    answer(client, client:get(questions), "replied")
    local status, reason = final(phone)
    assert.equal("480 replied", status .. " " .. reason)
    assert.equal(0, server:count_log("went on"))
    assert.equal(500, (final(invite("async.end", { answer = "MISSING" }))))
    assert.equal(1, server:count_log("went on with async.end"))
  end)

  it("continues in a route[NAME] where there is none for replies or failures", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_sec = 1 },
      request_route = queries.async_route .. [[
        route[ANSWER] { t_reply("486", "The wrong route"); }
        route[COMMON] { t_reply("481", "$(kzR{kz.json,text})"); }
        route[COMMON_FAILURE] { if ($kzR == $null) t_reply("503", "No answer, in common"); }
      ]],
    }
    server:await_connected()
    local questions = client:tap("qx", "async.common")
    local wanted = { ANSWER = "480 yes", COMMON = "481 yes" }
    for _, route in ipairs { "ANSWER", "COMMON" } do
      local phone = invite("async.common", { answer = route })
      answer(client, client:get(questions), "yes")
      local status, reason = final(phone)
      assert.equal(wanted[route], status .. " " .. reason)
    end
    local status, reason = final(invite("async.common", { failure = "COMMON_FAILURE" }))
    assert.equal("503 No answer, in common", status .. " " .. reason)
  end)

  it("continues in the error route when no reply comes in time", function()
    start()
    client:tap("qx", "async.unanswered")
    assert.equal(504, (final(invite("async.unanswered"))))
    server:wait_log('kazoo_async_query: request to "async.unanswered" timed out')
  end)

  it("continues in the error route when the reply is not JSON", function()
    start { amqp_query_timeout_sec = 20 }
    local questions = client:tap("qx", "async.bad")
    local phone = invite("async.bad")
    local question = client:get(questions)
    client:publish("", question.reply_to, "not json", { correlation_id = question.correlation_id })
    assert.equal(504, (final(phone)))
    server:wait_log('kazoo_async_query: discarding reply to "async.bad": ')
    assert.matches("unreadable: 1\n", server:rpc("kazoo.queries"))
  end)

  it("does not suspend for a route that does not exist, and logs an error", function()
    start()
    assert.equal(500, (final(invite("async.none", { answer = "MISSING" }))))
    assert.equal(500, (final(invite("async.none", { failure = "MISSING" }))))
    assert.is_truthy(server:log():find("neither failure_route[MISSING] nor route[MISSING] exists", 1, true))
  end)

  it("has at most amqp_max_requests requests in flight, and logs a refusal", function()
    start { amqp_max_requests = 2 }
    local questions = client:tap("qx", "bound.*")
    local first, second = invite("bound.a"), invite("bound.b")
    client:consume(questions, { count = 2 })
    assert.equal(500, (final(invite("bound.c"))))
    assert.is_truthy(server:log():find("too many requests in flight (amqp_max_requests=2)", 1, true))
    assert.equal(504, (final(first)))
    assert.equal(504, (final(second)))
  end)

  it("sends one request for a SIP request that is retransmitted, and leaves the transaction to it", function()
    server = kazoo.start {
      rabbit = broker, children = 1, -- each request is done when the next one is read
      request_route = queries.async_route:gsub("  t_newtran%(%);\n", ""),
    }
    server:await_connected()
    local questions = client:tap("qx", "again.*")
    local phone = sip.client(server.port)
    local request = sip.build(phone:complete {
      method = "MESSAGE", uri = ("sip:again.one@127.0.0.1:%d"):format(server.port),
      headers = { "X-Exchange: qx", "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    for _ = 1, 3 do phone:send(request) end
    local other = invite("again.two")
    local asked = client:consume(questions, { count = 2, deadline = 10 })
    assert.equal("again.one", asked[1].routing_key)
    assert.equal("again.two", asked[2].routing_key)
    for _, question in ipairs(asked) do
      answer(client, question, "answer")
    end
    assert.equal(480, (final(phone)))
    assert.equal(480, (final(other)))
    assert.equal(0, server:count_log("ended before its reply"))
  end)

  it("continues several transactions at once, even if their routes take long", function()
    server = kazoo.start {
      rabbit = broker, params = { amqp_consumer_processes = 4 }, children = 2,
      request_route = queries.async_route:gsub("onreply_route%[ANSWER%] {", '%0 usleep("2000000");'),
    }
    server:await_connected()
    local questions = client:tap("qx", "slow.*")
    local phones = {}
    for i = 1, 4 do phones[i] = invite("slow." .. i) end
    local asked = client:consume(questions, { count = 4, deadline = 10 })
    local began = socket.gettime()
    for _, question in ipairs(asked) do
      answer(client, question, "slow answer")
    end
    for _, phone in ipairs(phones) do assert.equal(480, (final(phone, 10))) end
    local took = socket.gettime() - began
    assert.is_true(took >= 2 and took < 7, took) -- one after the other it would be 8 s
  end)

  -- A call that is cancelled while its question is under way, on a server that remembers it for so many milliseconds: the
  -- phone, and a function that sends the answer.
  local function cancel_a_call(wt_timer, user, options)
    options.rabbit, options.params = broker, { amqp_query_timeout_sec = 20 }
    options.settings = ('modparam("tm", "wt_timer", %d)'):format(wt_timer)
    options.request_route = queries.async_route:gsub("request_route {", [[%0
      if (is_method("ACK")) { t_check_trans(); exit; }
      if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    ]])
    server = kazoo.start(options)
    server:await_connected()
    local questions = client:tap("qx", user)
    local phone = sip.client(server.port)
    local invitation = sip.build(phone:complete {
      method = "INVITE", uri = ("sip:%s@127.0.0.1:%d"):format(user, server.port),
      headers = { "X-Exchange: qx", "X-Answer: ANSWER", "X-Failure: FAILURE" },
    })
    phone:send(invitation)
    local late, reply_key = answer_text(client:get(questions), "too late")
    phone:send((invitation:gsub("INVITE", "CANCEL")))
    wait.until_(function()
      local text = phone:receive(1)
      return text and text:find("^SIP/2.0 487")
    end, 10, "487")
    phone:send((invitation:gsub("INVITE", "ACK")))
    return phone, function() client:publish("targeted", reply_key, late) end
  end

  it("logs only that the transaction is gone when the call was cancelled", function()
    local phone, send_answer = cancel_a_call(100, "cancelled", { debug = 2 })
    wait.until_(function() return server:rpc("tm.stats"):find("current: 0\n", 1, true) end, 10, "no transaction")
    send_answer()
    server:wait_log("INFO.*transaction .* ended before its reply arrived")
    assert.equal(0, server:count_log("ERROR.*ended before its reply"))
    phone:close()
  end)

  it("leaves a cancelled call alone that is still known when its reply comes", function()
    local phone, send_answer = cancel_a_call(20000, "cancelled.early", {})
    send_answer()
    local questions = client:tap("qx", "other")
    local other = invite("other")
    answer(client, client:get(questions), "another call")
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

  it("continues in the error route at once when the broker is lost", function()
    local own = rabbit.start()
    amqp.client(own):exchange("qx", "topic")
    server = kazoo.start {
      rabbit = own, params = { amqp_query_timeout_sec = 20 }, request_route = queries.async_route,
    }
    server:await_connected()
    local questions = amqp.client(own):tap("qx", "lost")
    local phone = invite("lost")
    amqp.client(own):get(questions)
    own:kill9()
    assert.equal(504, (final(phone, 10)))
    own:stop()
  end)

  it("keeps 500 requests in flight, whatever amqp_max_channels", function()
    start { amqp_max_channels = 25, amqp_query_timeout_sec = 60 }
    local questions = client:tap("qx", "many.*")
    local phones, asked = {}, {}
    -- A socket holds some hundred datagrams and drops the rest, which nobody sends again. So the next few requests go
    -- out when the questions of those before are there; all of them wait for their answers meanwhile.
    while #phones < 500 do
      local first = #phones + 1
      for i = first, first + 24 do phones[i] = invite("many." .. i) end
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
