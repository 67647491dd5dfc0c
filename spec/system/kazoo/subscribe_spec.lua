local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local stats = require "support.stats"
local wait = require "support.wait"

local subscribe = kazoo.subscribe

local hold = [[xlog("L_NOTICE", "route begins\n");]] .. kazoo.hold .. kazoo.note("held")

describe("kazoo_subscribe declares", function()
  local rabbit, server, exchanges, queues, consumers, bindings

  setup(function()
    rabbit = kazoo.shared_rabbit()
    server = kazoo.start { rabbit = rabbit, mod_init = table.concat {
      'kazoo_subscribe("dx4", "direct", "d4", "key4");',
      subscribe "{'exchange':'dx1', 'type':'topic', 'queue':'d1', 'routing':'a.b'}",
      subscribe [[{'exchange':'dxd', 'type':'topic', 'queue':'dd', 'routing':'a.b', 'durable':1, 'auto_delete':0,
        'no_ack':0}]],
      subscribe "{'exchange':'dxa', 'type':'fanout', 'queue':'da', 'routing':'a.b', 'auto_delete':true, 'exclusive':1}",
      subscribe [[{'exchange':'dxf', 'type':'topic', 'queue':'df', 'routing':['one','two.#','*.three'], 'durable':0,
        'exchange-def':{'durable':true, 'auto_delete':false}, 'queue-def':{'auto_delete':0, 'durable':1}}]],
      subscribe "{'exchange':'dxu', 'type':'topic', 'queue':'du', 'routing':'a', 'no such field':[1], 'federate':1}",
      subscribe [[{'exchange':'dxi', 'type':'fanout', 'queue':'di', 'routing':'a', 'exchange-def':{'internal':1},
        'exchange-bindings':{'dxo':{'type':'fanout', 'routing':''}}}]],
      subscribe "{'exchange':'dxs', 'type':'direct', 'queue':'', 'routing':'s'}",
      'xlog("L_NOTICE", "the last one returned $rc\\n");',
    }, events = kazoo.notes { "consumer-event" } }
    server:wait_log('consuming from queue "" of exchange "dxs"')
    exchanges = rabbit:list("list_exchanges", "name", "type", "durable", "auto_delete", "internal")
    queues = rabbit:list("list_queues", "name", "durable", "auto_delete", "exclusive")
    consumers = rabbit:list("list_consumers", "queue_name", "ack_required")
    bindings = rabbit:ctl("list_bindings", "source_name", "destination_name", "routing_key")
  end)

  teardown(function() server:stop() end)

  local function exchange(name)
    local e = exchanges[name]
    return ("%s durable=%s auto_delete=%s"):format(e.type, e.durable, e.auto_delete)
  end

  local function queue(name)
    local q = queues[name]
    return ("durable=%s auto_delete=%s exclusive=%s"):format(q.durable, q.auto_delete, q.exclusive)
  end

  local function is_bound(source, destination, key)
    return ("\n" .. bindings):find(("\n%s\t%s\t%s\n"):format(source, destination, key), 1, true) ~= nil
  end

  it("with four arguments, an exchange that stays and a temporary queue without acknowledgements", function()
    assert.equal("direct durable=false auto_delete=false", exchange("dx4"))
    assert.equal("durable=false auto_delete=true exclusive=false", queue("d4"))
    assert.equal("false", consumers.d4.ack_required)
    assert.is_true(is_bound("dx4", "d4", "key4"))
  end)

  it("the same for JSON with the same fields", function()
    assert.equal("topic durable=false auto_delete=false", exchange("dx1"))
    assert.equal("durable=false auto_delete=true exclusive=false", queue("d1"))
    assert.equal("false", consumers.d1.ack_required)
    assert.is_true(is_bound("dx1", "d1", "a.b"))
  end)

  it("exchange and queue with the flags at the top", function()
    assert.equal("topic durable=true auto_delete=false", exchange("dxd"))
    assert.equal("durable=true auto_delete=false exclusive=false", queue("dd"))
    assert.equal("true", consumers.dd.ack_required)
    assert.equal("fanout durable=false auto_delete=true", exchange("dxa"))
    assert.equal("durable=false auto_delete=true exclusive=true", queue("da"))
  end)

  it("each with its own in exchange-def and queue-def, which count before those", function()
    assert.equal("topic durable=true auto_delete=false", exchange("dxf"))
    assert.equal("durable=true auto_delete=false exclusive=false", queue("df"))
  end)

  it("an internal exchange, which gets what comes from another one and takes nothing itself", function()
    assert.equal("true", exchanges.dxi.internal)
    assert.equal("false", exchanges.dxo.internal)
    assert.equal(1, server:publish("dxi", "a", '{"id":"into an internal exchange"}'))
    server:wait_log('message to exchange "dxi" .* dropped: 403 ')
    amqp.client(rabbit):publish("dxo", "a", '{"id":"by way of another exchange"}')
    server:event("by way of another exchange")
    assert.equal(0, server:count_log("event|consumer%-event|a|.*into an internal exchange")) -- but its refusal is told
  end)

  it("a binding for every routing key of a list", function()
    for _, key in ipairs { "one", "two.#", "*.three" } do assert.is_true(is_bound("dxf", "df", key)) end
  end)

  it("the known fields when there are unknown ones beside them", function()
    assert.is_true(is_bound("dxu", "du", "a"))
  end)

  it("a queue whose name the broker chooses", function()
    assert.is_true(bindings:find("\ndxs\tamq.gen-[^\t]+\ts\n") ~= nil)
    amqp.client(rabbit):publish("dxs", "s", '{"id":"to the chosen queue"}')
    assert.equal("s", server:event("to the chosen queue").key)
  end)

  it("and returns 1", function()
    server:wait_log("the last one returned 1")
  end)
end)

-- As Debian's own module (5.6.3) has it.
describe("kazoo_subscribe with the flags 'durable':1, 'auto_delete':0 at the top and", function()
  local defined = {
    { "no definition", "", exchange = "true false", queue = "true false false" },
    { "exchange-def", "'exchange-def':{'type':'topic'},", exchange = "false false", queue = "true false false" },
    { "queue-def", "'queue-def':{'name':'%s'},", exchange = "true false", queue = "false true false" },
    { "queue-def, and with exclusive", "'exclusive':1, 'queue-def':{},", exchange = "true false",
      queue = "false true false" },
    { "both", "'exchange-def':{'type':'topic'}, 'queue-def':{'name':'%s'},", exchange = "false false",
      queue = "false true false" },
    { "both with flags of their own", "'exchange-def':{'auto_delete':1}, 'queue-def':{'durable':1},",
      exchange = "false true", queue = "true true false" },
  }
  local server, exchanges, queues

  setup(function()
    local rabbit, calls = kazoo.shared_rabbit(), {}
    for i, case in ipairs(defined) do
      local queue = "def-q" .. i
      calls[i] = subscribe(([[{%s 'exchange':'def-x%d', 'type':'topic', 'queue':'%s', 'routing':'a', 'durable':1,
        'auto_delete':0}]]):format(case[2]:format(queue), i, queue))
    end
    server = kazoo.start { rabbit = rabbit, mod_init = table.concat(calls) }
    server:wait_log("consuming from queue", 10, #defined + 1) -- and that of the answers
    exchanges = rabbit:list("list_exchanges", "name", "durable", "auto_delete")
    queues = rabbit:list("list_queues", "name", "durable", "auto_delete", "exclusive")
  end)

  teardown(function()
    server:stop()
    local client = amqp.client(kazoo.shared_rabbit())
    for i in ipairs(defined) do
      client:delete_exchange("def-x" .. i)
      client:delete_queue("def-q" .. i)
    end
  end)

  for i, case in ipairs(defined) do
    it(case[1] .. " gives a definition's object its flags alone, and those at the top to the other", function()
      local x, q = exchanges["def-x" .. i], queues["def-q" .. i]
      assert.equal(case.exchange, ("%s %s"):format(x.durable, x.auto_delete), "exchange: durable auto_delete")
      assert.equal(case.queue, ("%s %s %s"):format(q.durable, q.auto_delete, q.exclusive),
        "queue: durable auto_delete exclusive")
    end)
  end
end)

describe("kazoo_subscribe refuses", function()
  local ok = "'exchange':'rx', 'type':'topic', 'queue':'rq', 'routing':'a'"
  local wrong = {
    ["an exchange name of 256 bytes"] = {
      "{'exchange':'" .. ("x"):rep(256) .. "', 'type':'topic', 'queue':'rq', 'routing':'a'}",
      "exchange: .* must be a string of at most 255 bytes",
    },
    ["a binding of an exchange without a type"] = {
      "{" .. ok .. ", 'exchange-bindings':{'ry':{'routing':'a'}}}", "exchange%-bindings%.ry%.type is required",
    },
    ["a description without exchange"] = { "{'type':'topic', 'queue':'rq', 'routing':'a'}", "exchange is required" },
    ["a description without type"] = { "{'exchange':'rx', 'queue':'rq', 'routing':'a'}", "type is required" },
    ["what is no JSON"] = { "exchange", "not a JSON object" },
    ["an array"] = { "[1]", "not a JSON object" },
  }
  local server

  setup(function()
    local calls = {}
    for what, case in pairs(wrong) do
      calls[#calls + 1] = subscribe(case[1]) .. ('xlog("L_NOTICE", "%s gave $rc\\n");\n'):format(what)
    end
    server = kazoo.start {
      rabbit = kazoo.shared_rabbit(), mod_init = table.concat(calls), events = kazoo.notes { "consumer-event" },
      routes = { late = subscribe("{" .. ok .. "}"), late4 = 'kazoo_subscribe("rx", "topic", "rq", "a");' },
    }
    server:await_connected()
  end)

  teardown(function() server:stop() end)

  for what, case in pairs(wrong) do
    it(what .. ", with -1 and an error that names the field", function()
      server:wait_log(what .. " gave %-1")
      server:wait_log("ERROR.*kazoo_subscribe: .*" .. case[2])
    end)
  end

  it("to work outside of kazoo:mod-init", function()
    for _, route in ipairs { "late", "late4" } do
      local before = server:count_log("may be called only while event_route%[kazoo:mod%-init%] runs")
      assert.equal(-1, (server:call(route)))
      server:wait_log("may be called only while event_route%[kazoo:mod%-init%] runs", 5, before + 1)
    end
  end)

  it("and subscribes to nothing then", function()
    assert.equal(0, server:count_log('consuming from queue "rq"'))
  end)
end)

describe("kazoo_subscribe to an exchange that exists with other settings", function()
  it("logs the broker's objection, serves the other subscriptions, and tries again", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    client:exchange("taken", "fanout")
    local server = kazoo.start {
      rabbit = rabbit, events = kazoo.notes { "consumer-event" },
      mod_init = 'kazoo_subscribe("taken", "topic", "tq", "a"); kazoo_subscribe("free", "topic", "fq", "a");',
    }
    server:wait_log('subscription to queue "tq" of exchange "taken" failed.*declaring exchange "taken": 406 ')
    server:wait_log('consuming from queue "fq"')
    client:publish("free", "a", '{"id":"free"}')
    server:event('"id":"free"')
    client:delete_exchange("taken")
    server:wait_log('consuming from queue "tq"')
    client:publish("taken", "a", '{"id":"no longer taken"}')
    server:event("no longer taken")
    server:stop()
  end)
end)

describe("kazoo_subscribe with a type of exchange that the broker does not know", function()
  it("costs the others one reconnect, logs why, and is tried again after 30 s, then later", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    local server = kazoo.start {
      rabbit = rabbit, events = kazoo.notes { "consumer-event" },
      mod_init = 'kazoo_subscribe("ux", "x-delayed-message", "uq", "a"); kazoo_subscribe("kx", "topic", "kq", "a");',
    }
    local reason = 'declaring exchange "ux": 503 COMMAND_INVALID'
    local failed = 'subscription to queue "uq" of exchange "ux" failed, retrying in %d s: '
    server:wait_log(failed:format(30) .. reason)
    server:wait_log('consuming from queue "kq"')
    client:publish("kx", "a", '{"id":"beside an unknown type"}')
    server:event("beside an unknown type")
    stats.await(server, "kazoo.subscriptions", { state = "active" }, { queue = "kq" })
    local guilty = stats.await(server, "kazoo.subscriptions", { state = "retrying" }, { queue = "uq" })
    assert.matches("^" .. reason, guilty.reason)
    assert.matches("^" .. reason, stats.one(server, "kazoo.connections", { name = "consumer" }).last_error)
    server:wait_log(failed:format(60) .. reason, 45)
    server:wait_log('consuming from queue "kq"', 10, 2)
    assert.equal(2, server:count_log("connection to .* lost: " .. reason))
    assert.equal(2, server:count_log 'failed, retrying in')
    server:stop()
  end)
end)

describe("kazoo_subscribe with passive", function()
  it("uses existing objects whatever their flags, and declares nothing", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    client:exchange("passive-x", "topic", "durable")
    client:queue("passive-q", "durable")
    local server = kazoo.start {
      rabbit = rabbit, events = kazoo.notes { "consumer-event" },
      mod_init = subscribe "{'exchange':'passive-x', 'type':'topic', 'queue':'passive-q', 'routing':'a', 'passive':1}"
        .. subscribe "{'exchange':'passive-none', 'type':'topic', 'queue':'passive-q', 'routing':'a', 'passive':1}",
    }
    server:wait_log('subscription .* of exchange "passive%-none" failed.*404 ')
    client:publish("passive-x", "a", '{"id":"passive"}')
    server:event('"id":"passive"')
    server:stop()
    client:delete_queue("passive-q")
  end)
end)

describe("A message is acknowledged", function()
  local rabbit, client, server

  local function start(flags)
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 },
      settings = kazoo.hold_settings,
      mod_init = subscribe([[{'exchange':'ax', 'type':'direct', 'queue':'aq', 'routing':'a', 'durable':1,
        'auto_delete':0, ]] .. flags .. "}"),
      events = { ["consumer-event"] = hold },
    }
    server:wait_log('consuming from queue "aq"')
  end

  before_each(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function()
    server:stop()
    client:delete_queue("aq")
  end)

  local function unacknowledged()
    return rabbit:list("list_queues", "name", "messages_unacknowledged", "messages").aq
  end

  local function publish_and_await_route()
    client:publish("ax", "a", '{"id":"acknowledged"}', { persistent = true, confirm = true })
    server:wait_log("route begins")
  end

  it("never, when the subscription says no_ack", function()
    start "'no_ack':1, 'wait_for_consumer_ack':1"
    server:wait_log('WARNING.*kazoo_subscribe: wait_for_consumer_ack has no effect .* without "no_ack":0')
    publish_and_await_route()
    assert.equal("0", unacknowledged().messages)
    server:let_go()
    server:event("acknowledged")
  end)

  it("on receipt, when no_ack is 0", function()
    start "'no_ack':0"
    publish_and_await_route()
    assert.equal("0", unacknowledged().messages)
    server:let_go()
    server:event("acknowledged")
  end)

  it("when its route has run, with wait_for_consumer_ack", function()
    start "'no_ack':0, 'wait_for_consumer_ack':1"
    publish_and_await_route()
    assert.equal("1", unacknowledged().messages_unacknowledged)
    server:let_go()
    server:event("acknowledged")
    wait.until_(function() return unacknowledged().messages == "0" end, 10, "the acknowledgement")
  end)

  it("not at all, when Kamailio is killed while the route runs: it is delivered again", function()
    start "'no_ack':0, 'wait_for_consumer_ack':1"
    publish_and_await_route()
    server.process:kill()
    local message = client:get("aq")
    assert.is_true(message.redelivered)
    assert.equal('{"id":"acknowledged"}', message.payload)
  end)
end)
