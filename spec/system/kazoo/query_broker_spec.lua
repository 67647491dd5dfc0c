-- What becomes of requests while the broker is lost, frozen, or refuses the exchange or the queue of replies.
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local queries = require "support.queries"
local rabbit = require "support.rabbit"
local stats = require "support.stats"
local wait = require "support.wait"

local start_call, answer, text_of = queries.start_call, queries.answer, queries.text_of

describe("kazoo_query and a broker that", function()
  local broker, server

  before_each(function()
    broker = rabbit.start()
    amqp.client(broker):exchange("qx", "topic")
    server = kazoo.start {
      rabbit = broker, routes = queries.routes,
      params = { amqp_query_timeout_avp = queries.patience, amqp_consumer_processes = 1 }, events = {
        ["consumer-event-connection-requester-open"] = kazoo.note("requester-open"),
        ["consumer-event-connection-requester-closed"] = kazoo.note("requester-closed"),
      },
    }
    server:await_connected()
  end)

  after_each(function()
    server:stop()
    broker:stop()
  end)

  it("is lost meanwhile fails at once, and works again with the broker", function()
    local client = amqp.client(broker)
    local questions = client:tap("qx", "ask")
    local began = socket.gettime()
    local finish = start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 10")
    client:get(questions)
    broker:kill9()
    assert.equal(-1, (finish()))
    assert.is_true(socket.gettime() - began < 5)
    began = socket.gettime()
    assert.equal(-1, (start_call(server, "ask_patiently", '{"n":2}', "X-Patience: 10")()))
    assert.is_true(socket.gettime() - began < 5)
    assert.is_truthy(server:log():find("not connected to a broker", 1, true))

    broker:start_again()
    server:await_connected(2)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
    finish = start_call(server, "ask", '{"n":3}')
    answer(client, client:get(questions), "back")
    assert.equal("back", text_of(select(2, finish())))
  end)

  local function asks_and_is_answered(text)
    local client = amqp.client(broker)
    local questions = client:tap("qx", "ask")
    local finish = start_call(server, "ask", '{"n":1}')
    answer(client, client:get(questions), text)
    assert.equal(text, text_of(select(2, finish())))
  end

  local function is_open()
    stats.await(server, "kazoo.connections", { state = "open" }, { name = "requester" })
  end

  for how, exchange in pairs {
    durable = { declared = { "targeted", "direct", "durable" }, difference = "'durable'.* 'false' but current is 'true'" },
    ["of another type"] = { declared = { "targeted", "topic" }, difference = "'type'.* 'direct' but current is 'topic'" },
  } do
    it(("has an exchange for answers that is %s is asked all the same, with a warning"):format(how), function()
      local client = amqp.client(broker)
      client:delete_exchange("targeted")
      client:exchange(unpack(exchange.declared))
      broker:ctl("close_all_connections", "spec")
      server:wait_log('WARNING.*using exchange "targeted" as it exists on the broker: .*406 .*' .. exchange.difference)
      server:wait_log('consuming from queue "[^"]*%-targeted%-2"')
      is_open()
      asks_and_is_answered("let in")
      assert.equal(1, server:count_log("as it exists on the broker"))
      assert.equal(0, server:count_log("subscription to queue .* failed"))
    end)
  end

  it("refuses its reply queue fails at once and logs why, and works once it is allowed", function()
    local refused = 'declaring queue "[^"]*%-targeted%-2": 403 ACCESS_REFUSED'
    broker:ctl("set_permissions", "guest", "^targeted$", ".*", ".*")
    broker:ctl("close_all_connections", "spec")
    server:wait_log('subscription to queue "[^"]*%-targeted%-2" .* failed, retrying in 2 s: ' .. refused)
    assert.equal(-1, (start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 10")()))
    server:wait_log("kazoo_query: request refused, cannot receive replies: " .. refused)
    local connection = stats.one(server, "kazoo.connections", { name = "requester" })
    assert.equal("connecting", connection.state)
    assert.matches("^" .. refused, connection.last_error)
    assert.equal(1, #server:events("requester-closed"))
    assert.equal(1, #server:events("requester-open"))
    broker:ctl("set_permissions", "guest", ".*", ".*", ".*")
    server:wait_log('consuming from queue "[^"]*%-targeted%-2"')
    is_open()
    wait.until_(function() return #server:events("requester-open") == 2 end, 5, "the event")
    asks_and_is_answered("let in")
  end)

  it("is frozen fails at the deadline, and does not stop SIP", function()
    broker:freeze()
    local began = socket.gettime()
    assert.equal(-2, (start_call(server, "ask_patiently", '{"n":1}', "X-Patience: 500")()))
    assert.is_true(socket.gettime() - began < 5)
    broker:thaw()
  end)
end)
