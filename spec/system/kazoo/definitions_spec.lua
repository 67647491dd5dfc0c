-- What a subscription can define beyond its exchange and queue: arguments, bindings of exchanges, prefetch.
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"

local subscribe = kazoo.subscribe

describe("A subscription", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    server = kazoo.start { rabbit = rabbit, mod_init = table.concat {
      subscribe [[{'exchange':'dlv-x', 'type':'topic', 'queue':'dlv-args', 'routing':'args.#', 'no_ack':0,
        'auto_delete':0, 'prefetch':7, 'consumer_tag':'the-tag',
        'exchange-def':{'arguments':{'alternate-exchange':'dlv-other'}},
        'arguments':{'x-message-ttl':60000, 'x-max-length':3000000000, 'x-single-active-consumer':true,
          'x-dead-letter-exchange':'dlv-dead', 'x-nested':{'a':-1, 'b':{'c':'d'}}}}]],
      subscribe [[{'exchange':'dlv-q', 'type':'topic', 'queue':'dlv-quorum', 'routing':'q', 'no_ack':0,
        'queue-def':{'durable':1, 'auto_delete':0, 'arguments':{'x-queue-type':'quorum'}}}]],
      subscribe [[{'exchange':'dlv-bound', 'type':'topic', 'queue':'dlv-bq', 'routing':'#',
        'exchange-bindings':{'dlv-source1':{'type':'topic', 'durable':1, 'routing':['one.#', 'two']},
          'dlv-source2':{'type':'fanout', 'routing':'', 'arguments':{'x-some':1}}}}]],
      subscribe [[{'exchange':'dlv-e', 'type':'topic', 'queue':'dlv-exclusive', 'routing':'#', 'exclusive':1}]],
    }, events = kazoo.only_deliveries { ["consumer-event"] = kazoo.note("any") } }
    server:wait_log('consuming from queue "dlv%-exclusive"')
  end)

  teardown(function()
    server:stop()
    client:delete_queue("dlv-args")
    client:delete_queue("dlv-quorum")
  end)

  it("gives a queue its arguments, including 64-bit integers and nested tables", function()
    local arguments = rabbit:list("list_queues", "name", "arguments")["dlv-args"].arguments
    for _, part in ipairs {
      '{"x-message-ttl",60000}', '{"x-max-length",3000000000}', '{"x-single-active-consumer",true}',
      '{"x-dead-letter-exchange","dlv-dead"}', '{"a",-1}', '{"c","d"}',
    } do
      assert(arguments:find(part, 1, true), part .. " in " .. arguments)
    end
  end)

  it("gives an exchange its arguments: an unroutable message goes to the alternate exchange", function()
    client:exchange("dlv-other", "fanout")
    local tap = client:tap("dlv-other", "")
    client:publish("dlv-x", "nobody", '{"id":"stray"}')
    assert.equal('{"id":"stray"}', client:get(tap).payload)
  end)

  it("declares a quorum queue", function()
    assert.equal("quorum", rabbit:list("list_queues", "name", "type")["dlv-quorum"].type)
    client:publish("dlv-q", "q", '{"id":"of the quorum"}')
    server:event("of the quorum")
  end)

  it("sets prefetch and consumer tag", function()
    local row = rabbit:list("list_consumers", "queue_name", "consumer_tag", "prefetch_count")["dlv-args"]
    assert.same({ queue_name = "dlv-args", consumer_tag = "the-tag", prefetch_count = "7" }, row)
  end)

  it("binds its exchange to others and declares those", function()
    local exchanges = rabbit:list("list_exchanges", "name", "type", "durable")
    assert.same({ name = "dlv-source1", type = "topic", durable = "true" }, exchanges["dlv-source1"])
    assert.same({ name = "dlv-source2", type = "fanout", durable = "false" }, exchanges["dlv-source2"])
    client:publish("dlv-source1", "one.more", '{"id":"by source1, one"}')
    client:publish("dlv-source1", "two", '{"id":"by source1, two"}')
    client:publish("dlv-source1", "three", '{"id":"not bound"}')
    client:publish("dlv-source2", "x", '{"id":"by source2"}')
    assert.equal("one.more", server:event("by source1, one").key)
    server:event("by source1, two")
    server:event("by source2")
    assert.equal(0, server:count_log("not bound"))
  end)

  it("has an exclusive queue of its own", function()
    assert.equal("true", rabbit:list("list_queues", "name", "exclusive")["dlv-exclusive"].exclusive)
    local other = kazoo.start { rabbit = rabbit, mod_init = subscribe
      "{'exchange':'dlv-e', 'type':'topic', 'queue':'dlv-exclusive', 'routing':'#', 'exclusive':1}" }
    other:wait_log('subscription to queue "dlv%-exclusive" .* failed.*405 ')
    other:stop()
  end)
end)

describe("kazoo_subscribe refuses", function()
  local ok = "'exchange':'rx', 'type':'topic', 'queue':'rq', 'routing':'a'"
  local wrong = {
    ["a prefetch that is text"] = { "'prefetch':'many'", "prefetch: 'many' must be an integer between 0 and 65535" },
    ["a prefetch of 65536"] = { "'prefetch':65536", "prefetch: 65536 must be" },
    ["arguments that are no object"] = { "'arguments':[1]", "arguments: %[1%] must be an object" },
    ["a fraction among the arguments"] = {
      "'arguments':{'x-a':1, 'x-b':1.5}", "arguments%.x%-b: 1%.5 must be a 64%-bit integer",
    },
    ["an argument beyond 64 bits"] = {
      "'arguments':{'x-b':9223372036854775808}", "arguments%.x%-b: 9223372036854775808 must be",
    },
    ["an array deep in the arguments"] = {
      "'queue-def':{'arguments':{'x-a':{'deep':[1]}}}", "queue%-def%.arguments%.deep: %[1%] must be",
    },
    ["a null among the arguments of the exchange"] = {
      "'exchange-def':{'arguments':{'x-a':null}}", "exchange%-def%.arguments%.x%-a: null must be",
    },
    ["a binding without type"] = {
      "'exchange-bindings':{'src':{'routing':'a'}}", "exchange%-bindings%.src%.type is required",
    },
  }
  local server

  setup(function()
    local calls = {}
    for what, case in pairs(wrong) do
      calls[#calls + 1] = subscribe("{" .. ok .. ", " .. case[1] .. "}")
        .. ('xlog("L_NOTICE", "%s gave $rc\\n");\n'):format(what)
    end
    server = kazoo.start { rabbit = kazoo.shared_rabbit(), mod_init = table.concat(calls) }
    server:await_connected()
  end)

  teardown(function() server:stop() end)

  for what, case in pairs(wrong) do
    it(what .. ", and names field and value", function()
      server:wait_log(what .. " gave %-1")
      server:wait_log("ERROR.*kazoo_subscribe: .*" .. case[2])
    end)
  end
end)
