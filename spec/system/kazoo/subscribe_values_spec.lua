local amqp = require "support.amqp"
local kazoo = require "support.kazoo"

local subscribe = kazoo.subscribe

-- Each is what Debian's own module (5.6.3) makes of it, but for the text "true", which is false there.
describe("kazoo_subscribe reads as the stock module does", function()
  local cases, server, rabbit, exchanges, queues, bindings, consumers = {}

  -- x: durable auto_delete of the exchange; q: durable auto_delete exclusive of the queue; keys: of the bindings; ack
  local function case(what, fields, wanted)
    wanted.what, wanted.fields = what, fields
    cases[#cases + 1] = wanted
  end

  local not_set = { "null", "''", "0", "'0'", "false", "'false'", "'text'", "[]", "[1]", "{}", "{'a':1}", "0.5" }
  local set = { "1", "2", "-1", "1.5", "true", "'1'", "'1x'", "'true'", "'TRUE'" }
  for _, value in ipairs(set) do
    case("durable " .. value, "'routing':'k', 'durable':" .. value, { x = "true false", q = "true true false" })
    case("auto_delete " .. value, "'routing':'k', 'auto_delete':" .. value, { x = "false true" })
    case("exclusive " .. value, "'routing':'k', 'exclusive':" .. value, { q = "false true true" })
    case("no_ack " .. value, "'routing':'k', 'no_ack':" .. value, { ack = "false" })
  end
  for i, value in ipairs(not_set) do
    case("durable " .. value, "'routing':'k', 'durable':" .. value, {})
    case("exclusive " .. value, "'routing':'k', 'exclusive':" .. value, {})
    case("auto_delete " .. value, "'routing':'k', 'auto_delete':" .. value,
      { q = i == 1 and "false true false" or "false false false" }) -- null is absent, and that is 1
    case("no_ack " .. value, "'routing':'k', 'no_ack':" .. value, { ack = i == 1 and "false" or "true" })
  end
  case("no routing", "'federate':true", { keys = { "" } })
  for _, value in ipairs { "''", "null", "7", "0", "true", "false", "[]", "{}", "{'a':1}" } do
    case("routing " .. value, "'routing':" .. value, { keys = { "" } })
  end
  case("routing with other items", "'routing':['a','',1,true,null,['b']]", { keys = { "a", "", "1", "true", '["b"]' } })
  for _, value in ipairs { "null", "7", "'x'", "[]" } do
    case("exchange-def " .. value, "'routing':'k', 'exchange-def':" .. value, {})
    case("exchange-bindings " .. value, "'routing':'k', 'exchange-bindings':" .. value, {})
    case("exchange-bindings to " .. value, "'routing':'k', 'exchange-bindings':{'none':" .. value .. "}", {})
    case("queue-def " .. value, "'routing':'k', 'durable':1, 'queue-def':" .. value,
      { x = "true false", q = value == "null" and "true true false" or "false true false" })
  end
  case("exchange-bindings without routing", "'routing':'k', 'exchange-bindings':{'none':{'type':'topic'}}", {})
  case("definitions", [['routing':'k', 'exchange-def':{'durable':'1', 'auto_delete':null, 'passive':[], 'type':null},
    'queue-def':{'durable':'1', 'auto_delete':null, 'exclusive':''}]], { x = "true false", q = "true true false" })
  case("a worker without a key", "'routing':'k', 'consistent-worker':1, 'consistent-worker-key':null", {})
  case("event keys that are no text", "'routing':'k', 'event_key':7, 'event_subkey':['a']", {})
  case("null for all else", "'routing':'k', 'federate':null, 'prefetch':null, 'consumer_tag':null, 'arguments':null", {})
  case("text behind the object, comments", "'routing':'k' /* one */ } {", {})

  setup(function()
    local calls = {}
    for i, c in ipairs(cases) do
      calls[i] = subscribe(("{'exchange':'lenx%d.', 'type':'topic', 'queue':'lenq%d.', %s}"):format(i, i, c.fields))
        .. ('xlog("L_NOTICE", "len %d returned $rc\\n");\n'):format(i)
    end
    rabbit = kazoo.shared_rabbit()
    server = kazoo.start {
      rabbit = rabbit, mod_init = table.concat(calls), params = { amqp_consumer_processes = 1 },
      events = { ["consumer-event"] = kazoo.note("default"), ["consumer-event-7"] = kazoo.note("seven") },
    }
    server:wait_log(("consuming from queue \"lenq%d.\""):format(#cases), 30)
    exchanges = rabbit:list("list_exchanges", "name", "durable", "auto_delete")
    queues = rabbit:list("list_queues", "name", "durable", "auto_delete", "exclusive")
    consumers = rabbit:list("list_consumers", "queue_name", "ack_required")
    bindings = "\n" .. rabbit:ctl("list_bindings", "source_name", "destination_name", "routing_key")
  end)

  teardown(function()
    server:stop()
    local client = amqp.client(rabbit)
    for i in ipairs(cases) do
      client:delete_exchange(("lenx%d."):format(i))
      client:delete_queue(("lenq%d."):format(i))
    end
  end)

  for i, c in ipairs(cases) do
    it(c.what, function()
      server:wait_log(("len %d returned 1"):format(i))
      local x, q = exchanges[("lenx%d."):format(i)], queues[("lenq%d."):format(i)]
      assert.equal(c.x or "false false", ("%s %s"):format(x.durable, x.auto_delete))
      assert.equal(c.q or (c.x == "false true" and "false true false") or "false true false",
        ("%s %s %s"):format(q.durable, q.auto_delete, q.exclusive))
      assert.equal(c.ack or "false", consumers[("lenq%d."):format(i)].ack_required)
      local n = select(2, bindings:gsub(("\nlenx%d%%.\t"):format(i), ""))
      assert.equal(#(c.keys or { "k" }), n)
      for _, key in ipairs(c.keys or { "k" }) do
        assert.is_truthy(bindings:find(("\nlenx%d.\tlenq%d.\t%s\n"):format(i, i, key), 1, true))
      end
      amqp.client(rabbit):publish("", ("lenq%d."):format(i), ('{"id":"to %d."}'):format(i))
      assert.equal(c.what:find("event keys", 1, true) and "seven" or "default", server:event(("to %d."):format(i)).route)
    end)
  end

  it("and warns of a value that is hardly what was meant, by field and value", function()
    server:wait_log("WARNING.*kazoo_subscribe: durable: 'text' is read as false, in ")
    server:wait_log("WARNING.*kazoo_subscribe: routing: 7 is read as the empty routing key, in ")
    server:wait_log("WARNING.*kazoo_subscribe: exchange%-def: 7 is read as an object without fields, in ")
    server:wait_log("WARNING.*kazoo_subscribe: event_subkey: %['a'%] is read as the text of it, in ")
    server:wait_log("WARNING.*kazoo_subscribe: exchange%-bindings%.none: .* is read as no binding: it has no routing, in ")
  end)
end)
