-- The main loop of the kazoo manual (4.2), seen from the broker: what is rejected goes to a dead-letter queue, in the order
-- in which the consumer came to it.
local cjson = require "cjson"
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local process = require "support.process"
local wait = require "support.wait"

local function subscription(queue, flags)
  return ([[kazoo_subscribe("{'exchange':'loops', 'type':'topic', 'queue':'%s', 'routing':'%s', 'durable':1,
    'auto_delete':0, 'no_ack':0, %s}");
  ]]):format(queue, queue, flags)
end

describe("The main loop", function()
  local rabbit, client, server, dead

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("loops", "topic", "durable")
    client:exchange("loops-dead", "topic")
  end)

  before_each(function() dead = client:tap("loops-dead", "#") end)

  after_each(function()
    server:stop()
    client:delete_queue("loopq")
    client:delete_queue(dead)
  end)

  local function start(params, mod_init)
    local full = { amqp_inbox_size = 65536, amqp_heartbeats = 0 }
    for name, value in pairs(params) do full[name] = value end
    server = kazoo.start {
      rabbit = rabbit, params = full, mod_init = mod_init,
      settings = kazoo.hold_settings,
      events = {
        ["consumer-event"] = kazoo.hold .. [[
          kazoo_reject();
          xlog("L_NOTICE", "rejected by $pp\n");]],
        ["consumer-event-connection"] = "exit;",
      },
    }
  end

  local function consumer() return server:pid_of "kazoo consumer" end

  local function publish(payloads)
    client:publish_all("loops", "loopq", payloads, { persistent = true, confirm = true })
  end

  local function await_messages(ready, unacknowledged)
    local wanted = ("loopq\t%d\t%d"):format(ready, unacknowledged)
    wait.until_(function()
      local list = rabbit:ctl("list_queues", "name", "messages_ready", "messages_unacknowledged")
      return ("\n" .. list):find("\n" .. wanted, 1, true), list
    end, 20, wanted)
  end

  -- The consumer stands still from when so many messages are at the workers until all are rejected by their routes. The
  -- messages in the order of their rejection. That deliveries have their turn between acknowledgements
  -- (amqp_consumer_loop_count) is in spec/unit/bus/consumer_test.c.
  local function order_of_rejections(params, count)
    start(params, subscription("loopq", [['wait_for_consumer_ack':1, 'arguments':{'x-dead-letter-exchange':'loops-dead'}]]))
    server:wait_log('consuming from queue "loopq"')
    local pid, payloads = consumer(), {}
    for i = 1, count do payloads[i] = cjson.encode { n = i } end
    publish(payloads)
    wait.until_(function() return server:rpc("kazoo.subscriptions"):match("delivered: " .. count .. "\n") end, 10,
      count .. " messages at the workers")
    process.freeze(pid)
    await_messages(0, count)
    server:let_go()
    server:wait_log("rejected by", 10, count)
    process.signal(pid, "CONT")
    local messages = client:consume(dead, { count = count })
    assert.equal(count, #messages)
    return messages
  end

  it("passes on amqp_consumer_ack_loop_count acknowledgements of one worker before those of the next", function()
    local messages = order_of_rejections({ amqp_consumer_ack_loop_count = 3, amqp_consumer_processes = 2 }, 18)
    local numbers = {} -- deliveries go to the workers in turn, so even ones are of one and odd ones of the other
    for i, message in ipairs(messages) do numbers[i] = cjson.decode(message.payload).n end
    local by_three = table.concat(numbers, " ")
    local one, two = "1 3 5 2 4 6 7 9 11 8 10 12 13 15 17 14 16 18", "2 4 6 1 3 5 8 10 12 7 9 11 14 16 18 13 15 17"
    assert(by_three == one or by_three == two, by_three)
  end)

  -- Segments with data that the consumer has sent over its connection so far.
  local function segments()
    for line in files.must_run("ss -tniHOp"):gmatch("[^\n]+") do
      if line:find(("pid=%d,"):format(consumer()), 1, true) then return tonumber(line:match("data_segs_out:(%d+)")) end
    end
    error("the consumer has no connection")
  end

  -- What waits in the queue is there when the other queues are declared. It is acknowledged when it is received, once in
  -- each round of the loop.
  local function segments_for_backlog(consume_messages_on_reconnect)
    client:queue("loopq", "durable")
    client:bind("loopq", "loops", "loopq")
    local payloads = {}
    for i = 1, 100 do payloads[i] = cjson.encode { n = i } end
    publish(payloads)
    local others = {}
    for i = 1, 8 do others[i] = subscription("loop-other" .. i, "'queue-def':{'auto_delete':1}") end
    start({ consume_messages_on_reconnect = consume_messages_on_reconnect, amqp_consumer_loop_count = 1 },
      subscription("loopq", "'wait_for_consumer_ack':0") .. table.concat(others))
    server:wait_log 'consuming from queue "loop%-other8"'
    await_messages(0, 0)
    local sent = segments()
    server:stop()
    client:delete_queue("loopq")
    return sent
  end

  -- TCP sends at least ten segments before it puts together what is written one by one.
  it("takes waiting messages at once, or by its count with consume_messages_on_reconnect 0", function()
    local at_once = segments_for_backlog(1)
    local by_count = segments_for_backlog(0)
    assert(by_count - at_once >= 8, ("%d segments by the count, %d at once"):format(by_count, at_once))
  end)
end)
