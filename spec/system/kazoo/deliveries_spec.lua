-- Which worker gets what is delivered, what becomes of messages that waited, and subscriptions that stand in for one
-- another not.
local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local process = require "support.process"
local wait = require "support.wait"

local subscribe = kazoo.subscribe

describe("Messages", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function()
    server:stop()
    client:delete_queue("dlv-work")
  end)

  local note_worker = 'xlog("L_NOTICE", "worker|$pp|$kzE\\n");'

  local function start(flags, params, body, more_subscriptions)
    local full = { amqp_consumer_processes = 4 }
    for name, value in pairs(params or {}) do full[name] = value end
    server = kazoo.start {
      rabbit = rabbit, params = full, events = kazoo.only_deliveries { ["consumer-event"] = body or note_worker },
      settings = kazoo.hold_settings,
      mod_init = subscribe([[{'exchange':'dlv-w', 'type':'topic', 'queue':'dlv-work', 'routing':'#', 'durable':1,
        'auto_delete':0, ]] .. flags .. "}") .. (more_subscriptions or ""),
    }
    server:wait_log('consuming from queue "dlv%-work"')
  end

  -- Who handled what: lists of payloads by worker, and how many there are.
  local function handled()
    local by_worker, n = {}, 0
    for worker, payload in server:log():gmatch("worker|(%d+)|([^\n]+)") do
      by_worker[worker] = by_worker[worker] or {}
      table.insert(by_worker[worker], cjson.decode(payload))
      n = n + 1
    end
    return by_worker, n
  end

  local function await_handled(count)
    wait.until_(function()
      local _, n = handled()
      return n >= count, n
    end, 15, count .. " messages handled")
    return (handled())
  end

  local function workers(by_worker)
    local n = 0
    for _ in pairs(by_worker) do n = n + 1 end
    return n
  end

  local function numbered(from, to)
    local payloads = {}
    for i = from, to do payloads[#payloads + 1] = cjson.encode { n = i, caller = i % 5 } end
    return payloads
  end

  local function publish(payloads) client:publish_all("dlv-w", "k", payloads, { persistent = true, confirm = true }) end

  local function in_order(messages)
    for i = 2, #messages do
      if messages[i].n <= messages[i - 1].n then return false end
    end
    return true
  end

  -- The queue with messages in it, and nobody there.
  local function fill(count)
    start "'no_ack':0"
    server:stop()
    publish(numbered(1, count))
  end

  it("with the same value of the consistent-worker-key go to one worker, in order", function()
    start "'consistent-worker-key':'caller', 'consistent-worker':1"
    publish(numbered(1, 200))
    local worker_of = {}
    for worker, messages in pairs(await_handled(200)) do
      assert.is_true(in_order(messages))
      for _, message in ipairs(messages) do
        worker_of[message.caller] = worker_of[message.caller] or worker
        assert.equal(worker_of[message.caller], worker)
      end
    end
  end)

  it("without it go to all workers", function()
    start "'consistent-worker-key':'caller', 'consistent-worker':0"
    publish(numbered(1, 40))
    assert.equal(4, workers(await_handled(40)))
  end)

  it("that waited go to one worker in order, and later ones to all workers", function()
    fill(100)
    start "'no_ack':0"
    local by_worker = await_handled(100)
    assert.equal(1, workers(by_worker))
    assert.is_true(in_order(select(2, next(by_worker))))
    publish(numbered(101, 140))
    assert.equal(4, workers(await_handled(140)))
  end)

  -- How many workers handled messages with numbers from `first` to `last`.
  local function workers_of(first, last)
    local seen = {}
    for worker, messages in pairs(handled()) do
      for _, message in ipairs(messages) do
        if message.n >= first and message.n <= last then seen[worker] = true end
      end
    end
    return workers(seen)
  end

  it("that waited bind only their own queue to one worker, until none of them is left", function()
    fill(1000)
    start("'no_ack':0, 'wait_for_consumer_ack':1, 'prefetch':10", {}, note_worker .. 'usleep("20000");',
      'kazoo_subscribe("dlv-beside", "topic", "dlv-besideq", "#");')
    server:wait_log 'consuming from queue "dlv%-besideq"'
    await_handled(20)
    client:publish_all("dlv-beside", "k", numbered(2001, 2008))
    wait.until_(function() return workers_of(2001, 2008) == 4 end, 5, "all workers for the other subscription")
    rabbit:ctl("purge_queue", "dlv-work")
    local n = 3000
    wait.until_(function()
      n = n + 1
      publish(numbered(n, n))
      return wait.for_(function() return workers_of(3001, n) == 4 end, 0.1)
    end, 8, "all workers after the purge")
    assert.equal(1, workers_of(1, 1000))
  end)

  it("that waited go to all workers with single_consumer_on_reconnect 0", function()
    fill(100)
    start("'no_ack':0", { single_consumer_on_reconnect = 0 })
    assert.equal(4, workers(await_handled(100)))
  end)

  it("that waited while the connection was down go to one worker in order", function()
    start "'no_ack':0, 'wait_for_consumer_ack':1, 'prefetch':1"
    local consumer = server:pid_of("kazoo consumer")
    process.freeze(consumer)
    publish(numbered(1, 100))
    rabbit:ctl("close_all_connections", "spec")
    process.signal(consumer, "CONT")
    -- The first one may have come on the old connection still, to another worker.
    local most = {}
    for _, messages in pairs(await_handled(100)) do
      if #messages > #most then most = messages end
    end
    assert.is_true(#most >= 99)
    assert.is_true(in_order(most))
  end)

  it("larger than the inbox are rejected and dead-lettered, and the others are served", function()
    client:exchange("dlv-large", "fanout")
    local dead = client:tap("dlv-large", "")
    start("'no_ack':0, 'wait_for_consumer_ack':1, 'arguments':{'x-dead-letter-exchange':'dlv-large'}",
      { amqp_inbox_size = 65536 })
    local large = cjson.encode { n = 2, text = ("x"):rep(33 * 1024 * 1024) }
    local headers = { wide = ("h"):rep(90000) }
    publish { cjson.encode { n = 1 }, large, cjson.encode { n = 3 } }
    client:publish("dlv-w", "k", '{"n":4}', { headers = headers })
    publish { cjson.encode { n = 5 } }
    assert.equal(#large, #client:get(dead).payload)
    await_handled(4) -- those with wide headers too, though they are longer than amqp_inbox_size
    server:wait_log("message of %d+ bytes with routing key \"k\": the inbox is limited to")
  end)

  it("wait at the broker while the inboxes are full, and none is lost", function()
    start("'no_ack':0, 'wait_for_consumer_ack':1", { amqp_inbox_size = 65536, amqp_consumer_processes = 1 },
      kazoo.hold .. 'xlog("L_NOTICE", "worker|$pp|{\\"n\\":$(kzE{kz.json,n})}\\n");')
    -- 10 MB for an inbox of 64 kB
    local payloads = {}
    for i = 1, 1000 do payloads[i] = cjson.encode { n = i, text = ("x"):rep(10000) } end
    publish(payloads)
    assert.equal(0, select(2, handled()))
    server:let_go()
    local messages = select(2, next(await_handled(1000)))
    assert.equal(1000, #messages)
    assert.is_true(in_order(messages))
    wait.until_(function()
      return rabbit:list("list_queues", "name", "messages")["dlv-work"].messages == "0"
    end, 10, "an empty queue")
  end)
end)

describe("One subscription", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  local function start(text)
    server = kazoo.start {
      rabbit = rabbit, events = kazoo.only_deliveries { ["consumer-event"] = kazoo.note("any") },
      mod_init = subscribe(text) .. 'kazoo_subscribe("dlv-good", "topic", "dlv-goodq", "a");',
    }
    server:wait_log('consuming from queue "dlv%-goodq"')
  end

  local function others_are_served(id)
    client:publish("dlv-good", "a", ('{"id":"%s"}'):format(id))
    server:event(id)
  end

  it("to a missing passive queue is reported with 404, and succeeds once the queue exists", function()
    start [[{'exchange':'dlv-p', 'type':'topic', 'queue':'dlv-passive', 'routing':'x', 'queue-def':{'passive':1}}]]
    local failed = 'subscription to queue "dlv%%-passive" of exchange "dlv%%-p" failed, retrying in %d s: .*404 '
    server:wait_log(failed:format(2))
    others_are_served "while there is no queue"
    server:wait_log(failed:format(4))
    client:queue("dlv-passive")
    server:wait_log('consuming from queue "dlv%-passive"')
    client:publish("dlv-p", "x", '{"id":"in the queue that was made"}')
    server:event("in the queue that was made")
    client:delete_queue("dlv-passive")
    server:wait_log(failed:format(2), 10, 2) -- it stood
  end)

  it("to a missing passive exchange is reported with 404, and succeeds once the exchange exists", function()
    start [[{'exchange':'dlv-later', 'type':'topic', 'queue':'dlv-laterq', 'routing':'x',
      'exchange-def':{'passive':1}}]]
    server:wait_log('subscription to queue "dlv%-laterq" of exchange "dlv%-later" failed.*404 ')
    others_are_served "while it is missing"
    client:exchange("dlv-later", "topic")
    server:wait_log('consuming from queue "dlv%-laterq"')
    client:publish("dlv-later", "x", '{"id":"after 404"}')
    server:event("after 404")
  end)

  it("with arguments other than its queue's is reported with 406, and succeeds once the queue is gone", function()
    client:queue("dlv-mismatch")
    start [[{'exchange':'dlv-m', 'type':'topic', 'queue':'dlv-mismatch', 'routing':'x', 'auto_delete':0,
      'arguments':{'x-message-ttl':1000}}]]
    server:wait_log('subscription to queue "dlv%-mismatch" of exchange "dlv%-m" failed.*406 .*x%-message%-ttl')
    others_are_served "while it does not match"
    client:delete_queue("dlv-mismatch")
    server:wait_log('consuming from queue "dlv%-mismatch"')
    client:publish("dlv-m", "x", '{"id":"after 406"}')
    server:event("after 406")
    client:delete_queue("dlv-mismatch")
  end)

  it("whose queue is deleted declares it again, and the others continue", function()
    start "{'exchange':'dlv-d', 'type':'topic', 'queue':'dlv-deleted', 'routing':'x', 'auto_delete':0}"
    client:delete_queue("dlv-deleted")
    server:wait_log('subscription to queue "dlv%-deleted" cancelled by the broker, retrying')
    others_are_served "while it is gone"
    server:wait_log('consuming from queue "dlv%-deleted"', 10, 2)
    client:publish("dlv-d", "x", '{"id":"after the deletion"}')
    server:event("after the deletion")
    client:delete_queue("dlv-deleted")
  end)
end)

describe("A worker that always has a message", function()
  it("sees changes of the running server's settings", function()
    local rabbit = kazoo.shared_rabbit()
    local server = kazoo.start {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 },
      settings = 'loadmodule "cfg_rpc.so"\nspec.word = "before" desc "of the spec"',
      mod_init = 'kazoo_subscribe("dlv-busy", "topic", "dlv-busyq", "a");',
      events = kazoo.only_deliveries { ["consumer-event"] = [[
        usleep("10000");
        xlog("L_NOTICE", "$(kzE{kz.json,n}) $sel(cfg_get.spec.word)\n");]] },
    }
    server:wait_log('consuming from queue "dlv%-busyq"')
    local payloads = {}
    for i = 1, 500 do payloads[i] = cjson.encode { n = i } end
    amqp.client(rabbit):publish_all("dlv-busy", "a", payloads)
    server:wait_log("1 before")
    server:rpc("cfg.set_now_string", "spec", "word", "after")
    server:wait_log("%d after")
    assert.equal(0, server:count_log("500 "))
    server:stop()
  end)
end)

describe("An answer", function()
  it("does not wait behind deliveries for which no worker has room", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    local server = kazoo.start {
      rabbit = rabbit, params = { amqp_inbox_size = 65536, amqp_consumer_processes = 1 },
      settings = kazoo.hold_settings,
      mod_init = 'kazoo_subscribe("dlv-full", "topic", "dlv-fullq", "a");',
      events = kazoo.only_deliveries {
        ["consumer-event"] = 'xlog("L_NOTICE", "busy\\n");' .. kazoo.hold,
      },
      routes = { ask = [[kazoo_query("dlv-ask", "q", "{'question':1}", "$var(out)");]] },
    }
    local other = kazoo.start {
      rabbit = rabbit, mod_init = 'kazoo_subscribe("dlv-ask", "direct", "dlv-askq", "q");',
      events = kazoo.only_deliveries {
        ["consumer-event"] = [[kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})",
          "{'Msg-ID':'$(kzE{kz.json,Msg-ID})', 'answer':1}");]],
      },
    }
    server:wait_log('consuming from queue "dlv%-fullq"')
    server:await_connected()
    other:wait_log('consuming from queue "dlv%-askq"')
    other:await_connected()
    local payloads = {}
    for i = 1, 100 do payloads[i] = cjson.encode { text = ("x"):rep(10000) } end
    client:publish_all("dlv-full", "a", payloads)
    server:wait_log("busy")
    assert.equal(1, (server:call("ask")))
    server:let_go()
    other:stop()
    server:stop()
  end)
end)
