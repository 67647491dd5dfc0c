local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local process = require "support.process"
local queries = require "support.queries"
local stats = require "support.stats"
local wait = require "support.wait"

local start_call, answer, answer_text = queries.start_call, queries.answer, queries.answer_text
local text_of = queries.text_of

local routes = {
  ask = queries.routes.ask,
  ask_target = [[ kazoo_query("qx", "ask", $rb, "$var(answer)"); $var(rc) = $rc; $var(out) = $var(answer); ]],
  ask_headers = [[ kazoo_query("qx", "ask", $rb, "$var(answer)", "h1=v1;h2=v2"); $var(rc) = $rc; ]],
  ask_patiently = queries.routes.ask_patiently,
  ask_patiently_text = [[ $avp(patience) = $hdr(X-Patience); kazoo_query("qx", "ask", $rb); $var(rc) = $rc; ]],
  ask_result_avp = [[ kazoo_query("qx", "ask", $rb); $var(rc) = $rc; $var(out) = $avp(result); ]],
  -- a question that is answered, and one that cannot be asked where $rb is long or no JSON
  ask_and_ask_wrongly = [[
    kazoo_query("qx", "ask", "{'a':1}", "$var(answer)");
    xlog("L_NOTICE", "first: $rc $kzR $var(answer) $avp(result)\n");
    kazoo_query("qx", "ask", "{'a':'$rb'}", "$var(answer)");
    $var(rc) = $rc;
    $var(out) = $_s($kzR $var(answer) $avp(result)); ]],
  ask_and_forward = [[ kazoo_query("qx", "ask", "{'a':1}"); kazoo_query("qx", "ask", $kzR); $var(rc) = $rc; ]],
  ask_for_socket = [[ kazoo_query("qx", "ask", "{'a':1}", "$fs"); $var(rc) = $rc; $var(out) = $_s($kzR $avp(result)); ]],
}

local params = {
  amqp_query_timeout_avp = queries.patience, amqp_result_avp = "$avp(result)", amqp_consumer_processes = 1,
}

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
      events = { ["consumer-event-slow"] = [[
        xlog("L_NOTICE", "event begins\n");
        usleep("2000000");
        xlog("L_NOTICE", "event ends\n");
      ]] },
    }
    server:await_connected()
    server:wait_log("consuming from queue \"slow%-events")
  end)

  teardown(function() server:stop() end)

  it("returns the reply that carries its Msg-ID, with the fields added on receipt", function()
    local finish = start_call(server, "ask", '{"a":1}')
    local question = client:get(questions)
    answer(client, question, "first")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("first", text_of(out))
    assert.equal("local", cjson.decode(out)["AMQP-Broker-Zone"])
  end)

  it("puts the reply into a target variable", function()
    local finish = start_call(server, "ask_target", '{"a":1}')
    answer(client, client:get(questions), "target")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("target", text_of(out))
  end)

  it("puts the reply into amqp_result_avp", function()
    local finish = start_call(server, "ask_result_avp", '{"a":1}')
    answer(client, client:get(questions), "avp")
    assert.equal("avp", text_of(select(2, finish())))
  end)

  it("sends headers, reply-to and correlation-id along", function()
    local finish = start_call(server, "ask_headers", '{"a":1}')
    local question = client:get(questions)
    assert.same({ h1 = "v1", h2 = "v2" }, question.headers)
    assert.equal(cjson.decode(question.payload)["Server-ID"], question.reply_to)
    assert.equal(cjson.decode(question.payload)["Msg-ID"], question.correlation_id)
    answer(client, question, "x")
    assert.equal(1, (finish()))
  end)

  it("keeps a Msg-ID that the script supplied", function()
    local finish = start_call(server, "ask", '{"Msg-ID":"my own id"}')
    local question = client:get(questions)
    assert.equal("my own id", cjson.decode(question.payload)["Msg-ID"])
    answer(client, question, "own")
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
    answer(client, client:get(questions), "long")
    assert.equal("long", text_of(select(2, finish())))
    assert.equal(-1, (start_call(server, "ask", ('{"Msg-ID":"%si"}'):format(id))()))
    server:wait_log("kazoo_query: Msg%-ID of 256 bytes refused: must be a string of 1 to 255 bytes")
  end)

  it("takes a reply that uses only reply-to and correlation-id", function()
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
      server:wait_log('kazoo_query: discarding reply to "ask": .* at byte 0 of %d')
    end)
  end

  it("takes the first of two replies, and the next request gets its own", function()
    local finish = start_call(server, "ask", '{"n":1}')
    local question = client:get(questions)
    answer(client, question, "one")
    assert.equal("one", text_of(select(2, finish())))
    answer(client, question, "again")
    finish = start_call(server, "ask", '{"n":2}')
    answer(client, client:get(questions), "two")
    assert.equal("two", text_of(select(2, finish())))
  end)

  it("fails with -2 and a null $kzR at its deadline; a late reply reaches no later request", function()
    local finish = start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 200")
    local question = client:get(questions)
    local rc, out = finish()
    assert.equal(-2, rc)
    assert.equal("null", out)
    answer(client, question, "late")
    finish = start_call(server, "ask", '{"n":2}')
    answer(client, client:get(questions), "in time")
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
    assert.is_true(short >= 0.3 and short < 8, "300: " .. short)
    assert.is_true(long >= 1 and long < 8, "1: " .. long)
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
      assert.is_true(took >= 0.3 and took < 5, seconds .. ": " .. took)
    end
  end)

  it("reads a number given as text in amqp_query_timeout_avp, and warns of any other text", function()
    local began = socket.gettime() -- without that number, it would be the 2 s of amqp_query_timeout_sec
    assert.equal(-2, (start_call(server, "ask_patiently_text", '{"n":1}', "X-Patience: 3")()))
    client:get(questions)
    assert.is_true(socket.gettime() - began >= 3)
    local finish = start_call(server, "ask_patiently_text", '{"n":1}', "X-Patience: soon")
    answer(client, client:get(questions), "x")
    assert.equal(1, (finish()))
    server:wait_log('amqp_query_timeout_avp: ignoring "soon": not a positive number')
  end)

  it("waits for the default time while the $var of amqp_query_timeout_avp is not set, and logs nothing", function()
    local other = kazoo.start {
      rabbit = broker, params = { amqp_query_timeout_avp = "$var(kz_timeout)" },
      routes = {
        ask = routes.ask,
        ask_negatively = [[ $var(kz_timeout) = -1; kazoo_query("qx", "ask", $rb); $var(rc) = $rc; ]],
      },
    }
    other:await_connected()
    local function ask(route)
      local finish = start_call(other, route, '{"n":1}')
      answer(client, client:get(questions), "x")
      assert.equal(1, (finish()))
    end
    ask "ask"
    ask "ask_negatively"
    other:wait_log('amqp_query_timeout_avp: ignoring "%-1": not a positive number')
    assert.equal(1, other:count_log "amqp_query_timeout_avp:")
    other:stop()
  end)

  it("discards unmatched replies and replies that are not JSON", function()
    local finish = start_call(server, "ask", '{"n":1}')
    local question = client:get(questions)
    local good, reply_key = answer_text(question, "good")
    for _, bad in ipairs { '{"Msg-ID":"of nobody"}', "[]", "no json", "", '{"Msg-ID":{}}', "\0\255" } do
      client:publish("targeted", reply_key, bad)
    end
    client:publish("targeted", reply_key, good)
    assert.equal("good", text_of(select(2, finish())))
  end)

  it("gets its reply while the only worker is busy with an event route", function()
    client:publish("slowx", "x", '{"Event-Category":"slow"}')
    server:wait_log("event begins")
    local finish = start_call(server, "ask", '{"n":1}')
    answer(client, client:get(questions), "quick")
    assert.equal("quick", text_of(select(2, finish())))
    assert.equal(0, server:count_log("event ends"))
  end)

  it("gets its reply while the publisher does nothing, so it never waits behind published messages", function()
    local publisher = server:pid_of "kazoo publisher"
    process.freeze(publisher)
    assert.equal(1, server:publish("qx", "unheard", '{"text":"before"}'))
    local finish = start_call(server, "ask", '{"n":1}')
    answer(client, client:get(questions), "ahead")
    local _, out = finish()
    process.signal(publisher, "CONT")
    assert.equal("ahead", text_of(out))
  end)

  it("has its own reply queue, whose name is new for each start of the server", function()
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

  for what, body in pairs { ["is longer than pv_buffer_size"] = ("b"):rep(9000), ["is no JSON"] = "'" } do
    it("leaves the reply before in its target alone when its payload " .. what, function()
      local finish = start_call(server, "ask_and_ask_wrongly", body)
      answer(client, client:get(questions), "answer of " .. what)
      local rc, out = finish()
      assert.matches("first: 1 {.*answer of .* {.*answer of .* {.*answer of ", server:wait_log("first: 1 .*" .. what))
      assert.equal(-1, rc)
      assert.matches("^<null> {.*answer of .*} <null>$", out)
    end)
  end

  it("logs that a parameter is longer than pv_buffer_size, and counts the request", function()
    local before = stats.one(server, "kazoo.stats")
    local finish = start_call(server, "ask_and_ask_wrongly", ("b"):rep(9000))
    answer(client, client:get(questions), "x")
    assert.equal(-1, (finish()))
    server:wait_log("ERROR.*kazoo_query: parameter json_payload is too long: strings with variables are limited to "
      .. "8191 bytes %(pv_buffer_size%)")
    assert.equal(0, server:count_log("has no value"))
    local now = stats.one(server, "kazoo.stats")
    assert.equal(before.queries_refused + 1, now.queries_refused)
    assert.equal(before.refused_invalid + 1, now.refused_invalid)
  end)

  it("can take the previous reply for its payload", function()
    local finish = start_call(server, "ask_and_forward", "")
    answer(client, client:get(questions), "on its way")
    local second = client:get(questions)
    assert.equal("on its way", cjson.decode(second.payload).text)
    answer(client, second, "x")
    assert.equal(1, (finish()))
  end)

  it("fails with a null $kzR when a variable does not take the reply", function()
    local finish = start_call(server, "ask_for_socket", "")
    answer(client, client:get(questions), "no socket")
    local rc, out = finish()
    assert.equal(-1, rc)
    assert.equal("<null> <null>", out)
  end)

  it("refuses a payload that is not a JSON object, and sends no request", function()
    assert.equal(-1, (start_call(server, "ask", "no json")()))
  end)

  it("gets its reply from an application that serves many, one after the other", function()
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
