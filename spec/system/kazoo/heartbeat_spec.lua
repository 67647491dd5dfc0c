-- Connections that are dead without anybody saying so.
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local netns = require "support.netns"
local ports = require "support.ports"
local rabbits = require "support.rabbit"

local mod_init = [[kazoo_subscribe("{'exchange':'hx', 'type':'topic', 'queue':'beat', 'routing':'in.#'}");]]

-- Inside of the other network no SIP reaches Kamailio: what comes is sent on.
local echo = { ["consumer-event"] = [[
  kazoo_publish("hx", "out.x", "{'echo' : '$(kzE{kz.json,id})'}");
  xlog("L_NOTICE", "echo $(kzE{kz.json,id})\n");]] }

describe("A broker that is silent", function()
  local rabbit, network, client, server, port, url

  setup(function()
    if not netns.available() then return end
    network = netns.new()
    port = ports.free()
    rabbit = rabbits.start { conf = ("listeners.tcp.cable = %s:%d\nloopback_users = none"):format(network.here, port) }
    url = ("amqp://guest:guest@%s:%d"):format(network.here, port)
    client = amqp.client(rabbit)
  end)

  teardown(function()
    if not network then return end
    rabbit:stop()
    network:remove()
  end)

  local function start(params)
    server = kazoo.start { prefix = network.prefix, params = params, mod_init = mod_init, events = echo }
  end

  local function echoes(id)
    local queue = client:tap("hx", "out.#")
    client:publish("hx", "in.x", ('{"id":"%s"}'):format(id))
    server:wait_log("echo " .. id)
    assert.matches(id, client:get(queue).payload)
  end

  it("because its packets are lost is noticed after two heartbeats, and reconnected to when they arrive again", function()
    if not network then pending "needs network namespaces" end
    start { amqp_connection = url, amqp_heartbeats = 1, amqp_connect_timeout_sec = 1 }
    server:await_connected()
    server:wait_log 'consuming from queue "beat"'
    echoes "before"
    network:cut()
    local started = socket.gettime()
    server:wait_log("connection to .* lost: no heartbeat", 10, 3) -- publisher, consumer, answers
    local took = socket.gettime() - started
    assert.is_true(took > 1 and took < 6, "took " .. took)
    server:wait_log("cannot connect to " .. network.here:gsub("%.", "%%.") .. ":%d+ .*: .*timed out", 10)
    network:mend()
    server:wait_log("connected to .* publisher%)", 20, 2)
    server:wait_log('consuming from queue "beat"', 20, 2)
    echoes "after"
    assert.is_nil(server:crash())
    server:stop()
  end)

  it("at the start is abandoned after the connect timeout, and the next one is tried", function()
    if not network then pending "needs network namespaces" end
    local nobody = network.here:gsub("%d+$", "77") -- an address on the cable that no machine has
    local started = socket.gettime()
    start { amqp_connection = { "amqp://" .. nobody, url }, amqp_connect_timeout_sec = 0,
      amqp_connect_timeout_micro = 300000 }
    server:await_connected()
    local took = socket.gettime() - started
    assert.is_true(took > 0.3 and took < 5, "took " .. took)
    server:wait_log("cannot connect to " .. nobody:gsub("%.", "%%.") .. ":5672 .*: .*timed out")
    server:stop()
  end)

  it("because it is frozen is noticed in the same way, by the heartbeat alone", function()
    server = kazoo.start { rabbit = kazoo.shared_rabbit(), params = { amqp_heartbeats = 1, amqp_connect_timeout_sec = 1 } }
    server:await_connected()
    kazoo.shared_rabbit():freeze()
    server:wait_log("connection to .* lost: no heartbeat", 10, 3)
    kazoo.shared_rabbit():thaw()
    server:wait_log("connected to .* publisher%)", 20, 2)
    server:stop()
  end)

  it("but answers heartbeats stays connected, however long nothing else is sent", function()
    server = kazoo.start { rabbit = kazoo.shared_rabbit(), params = { amqp_heartbeats = 1 } }
    server:await_connected()
    require("support.wait").while_(function() return server:count_log "lost" == 0 end, 4, "connected")
    server:stop()
  end)
end)
