-- How long the processes of the kazoo module sleep, and whose turn it is.
local cjson = require "cjson"
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local process = require "support.process"
local wait = require "support.wait"

local subscribe = kazoo.subscribe

describe("The main loop", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  -- How often a process has gone to sleep.
  local function sleeps(pid)
    return tonumber(files.read(("/proc/%d/status"):format(pid)):match("\nvoluntary_ctxt_switches:%s*(%d+)"))
  end

  -- By default it does so ten times a second.
  local function wakes_up_often(name)
    local pid = server:pid_of(name)
    local before = sleeps(pid)
    wait.until_(function() return sleeps(pid) - before > 200, sleeps(pid) - before end, 8, "200 wake-ups of " .. name)
  end

  local function wakes_up_rarely(name)
    local pid = server:pid_of(name)
    local before = sleeps(pid)
    wait.while_(function() return sleeps(pid) - before < 10, sleeps(pid) - before end, 2, "fewer than 10 wake-ups")
  end

  it("looks at the broker after amqp_waitframe_timeout, and for work to send after amqp_interprocess_timeout", function()
    server = kazoo.start { rabbit = rabbit, params = {
      amqp_waitframe_timeout_micro = 10000, amqp_interprocess_timeout_micro = 10000,
    } }
    server:await_connected()
    wakes_up_often("kazoo consumer")
    wakes_up_often("kazoo publisher")
  end)

  it("sleeps as long as they say", function()
    server = kazoo.start { rabbit = rabbit, params = {
      amqp_waitframe_timeout_sec = 60, amqp_interprocess_timeout_sec = 60, amqp_heartbeats = 0,
    } }
    server:await_connected()
    wakes_up_rarely("kazoo consumer")
    wakes_up_rarely("kazoo publisher")
  end)

  it("looks again after amqp_consumer_ack_timeout while a worker owes an acknowledgement", function()
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_waitframe_timeout_sec = 60, amqp_consumer_ack_timeout_micro = 10000 },
      settings = kazoo.hold_settings,
      mod_init = subscribe [[{'exchange':'dlv-t', 'type':'topic', 'queue':'dlv-timer', 'routing':'x', 'no_ack':0,
        'wait_for_consumer_ack':1}]],
      events = kazoo.only_deliveries { ["consumer-event"] = 'xlog("L_NOTICE", "owed\\n");' .. kazoo.hold },
    }
    server:wait_log('consuming from queue "dlv%-timer"')
    client:publish("dlv-t", "x", "{}")
    server:wait_log("owed")
    wakes_up_often("kazoo consumer")
    server:let_go()
  end)

  it("sends amqp_internal_loop_count messages of one process before those of the next", function()
    local publish_six = '$var(i) = 0; while ($var(i) < 6) { kazoo_publish("dlv-turns", "k", "{\'from\':\'%s\'}");'
      .. ' $var(i) = $var(i) + 1; }'
    client:exchange("dlv-turns", "topic")
    local tap = client:tap("dlv-turns", "#")
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_internal_loop_count = 2 },
      mod_init = 'kazoo_subscribe("dlv-start", "topic", "dlv-startq", "a");',
      routes = { six = publish_six:format("s") .. "$var(rc) = 1;" },
      events = kazoo.only_deliveries { ["consumer-event"] = publish_six:format("w") .. kazoo.note("published") },
    }
    server:wait_log('consuming from queue "dlv%-startq"')
    server:await_connected()
    local publisher = server:pid_of("kazoo publisher")
    process.freeze(publisher)
    server:call("six")
    client:publish("dlv-start", "a", '{"id":"go"}')
    server:event('"id":"go"')
    process.signal(publisher, "CONT")
    local order = {}
    for _, message in ipairs(client:consume(tap, { count = 12 })) do
      order[#order + 1] = cjson.decode(message.payload).from
    end
    assert.is_truthy(table.concat(order):match("^sswwsswwssww$") or table.concat(order):match("^wwsswwsswwss$"))
  end)
end)
