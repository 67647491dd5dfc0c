-- How many requests may be in flight.
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local queries = require "support.queries"

local start_call, answer = queries.start_call, queries.answer

describe("amqp_max_requests", function()
  local broker, client, questions, server

  setup(function()
    broker = kazoo.shared_rabbit()
    client = amqp.client(broker)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "ask")
  end)

  after_each(function() server:stop() end)

  local function start(more)
    server = kazoo.start { rabbit = broker, params = more, routes = queries.routes, children = 4 }
    server:await_connected()
  end

  local function answer_all(calls, asked)
    for _, question in ipairs(asked) do
      answer(client, question, "answered")
    end
    for _, finish in ipairs(calls) do assert.equal(1, (finish())) end
  end

  it("bounds the requests of kazoo_query: one more fails at once and is logged, until another has its reply", function()
    start { amqp_max_requests = 2, amqp_query_timeout_sec = 20 }
    local calls = { start_call(server, "ask", '{"n":1}'), start_call(server, "ask", '{"n":2}') }
    local asked = client:consume(questions, { count = 2 })
    local began = socket.gettime()
    assert.equal(-1, (start_call(server, "ask", '{"n":3}')()))
    assert.is_true(socket.gettime() - began < 10)
    server:wait_log("ERROR.*kazoo_query: request refused, too many requests in flight %(amqp_max_requests=2%)")
    assert.equal(0, server:count_log("lost before the reply"))
    assert.matches("kazoo:queries_refused = 1\n", server:rpc("stats.get_statistics", "kazoo:"))
    answer_all(calls, asked)
    for n = 4, 6 do -- what was refused holds no place either
      answer_all({ start_call(server, "ask", ('{"n":%d}'):format(n)) }, { client:get(questions) })
    end
  end)

  it("is beyond the number of processes when it is not set", function()
    server = kazoo.start {
      rabbit = broker, routes = queries.routes, children = 70,
      params = { amqp_query_timeout_sec = 20, amqp_outbox_size = 65536, amqp_inbox_size = 65536 },
    }
    server:await_connected()
    local calls = {}
    for n = 1, 60 do calls[n] = start_call(server, "ask", ('{"n":%d}'):format(n)) end
    answer_all(calls, client:consume(questions, { count = 60, deadline = 20 }))
  end)
end)
