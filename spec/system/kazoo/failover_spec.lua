local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"
local rabbits = require "support.rabbit"
local stats = require "support.stats"
local wait = require "support.wait"

local function subscribe(queue, routing, flags)
  return ([[kazoo_subscribe("{'exchange':'fx', 'type':'topic', 'queue':'%s', 'routing':'%s' %s}");]]):format(
    queue, routing or "in.#", flags or "")
end

local acknowledged = ", 'queue-def':{'durable':1, 'auto_delete':0}, 'no_ack':0, 'wait_for_consumer_ack':1"

local function start(options)
  options.events = options.events or kazoo.notes { "consumer-event" }
  return kazoo.start(options)
end

-- A message in each direction over this broker.
local function traffic_flows(server, broker, what)
  local client = amqp.client(broker)
  client:publish("fx", "in.x", ('{"id":"in %s"}'):format(what))
  server:event("in " .. what)
  local queue = client:tap("fx", "out." .. what)
  assert.equal(1, server:publish("fx", "out." .. what, ("{'id' : 'out %s'}"):format(what)))
  assert.equal("out " .. what, cjson.decode(client:get(queue).payload).id)
  client:delete_queue(queue)
end

describe("With two brokers", function()
  it("the second one is used while the first is down", function()
    local second = kazoo.shared_rabbit()
    local nobody = ("127.0.0.1:%d"):format(ports.free())
    local server = start {
      mod_init = subscribe "f-second", params = { amqp_connection = { "amqp://guest:guest@" .. nobody, second.url } },
    }
    server:wait_log("cannot connect to " .. nobody:gsub("%.", "%%.") .. " vhost / as user guest: ")
    server:wait_log('consuming from queue "f%-second"')
    traffic_flows(server, second, "second")
    server:stop()
  end)
end)

-- Waits until publisher, consumer and requester are connected to this broker.
local function await_all_at(server, broker, deadline)
  local there = ("%s:%d"):format(broker.host, broker.port)
  wait.until_(function()
    local at = {}
    for _, c in ipairs(stats.all(server, "kazoo.connections")) do
      at[#at + 1] = c.state == "open" and c.address == there and c.name or nil
    end
    return #at == 3, table.concat(at, " ")
  end, deadline, "three connections to " .. there)
end

local function closed_port() return "amqp://127.0.0.1:" .. ports.free() end

-- Accepts connections and says nothing on them.
local function silent_port()
  local port = ports.free()
  local listener = assert(socket.bind("127.0.0.1", port))
  finally(function() listener:close() end)
  return "amqp://127.0.0.1:" .. port
end

describe("In a list whose first brokers are", function()
  for _, case in ipairs {
    { what = "two that are down", closed_port, closed_port },
    { what = "three that are down", closed_port, closed_port, closed_port },
    { what = "two that say nothing", silent_port, silent_port },
    { what = "one that is down and two that say nothing", silent_port, closed_port, silent_port },
  } do
    it(case.what .. ", all connections get to the last one", function()
      local last = kazoo.shared_rabbit()
      local urls = {}
      for i, port in ipairs(case) do urls[i] = port() end
      urls[#urls + 1] = last.url
      local server = start {
        mod_init = subscribe "f-last", params = { amqp_connection = urls, amqp_connect_timeout_sec = 1 },
      }
      await_all_at(server, last, 10)
      server:wait_log('consuming from queue "f%-last"')
      traffic_flows(server, last, "after " .. case.what)
      server:stop()
    end)
  end
end)

describe("A broker that accepts a connection and sends nothing", function()
  it("is left for the next one after amqp_connect_timeout_sec", function()
    local port = ports.free()
    local silent = assert(socket.bind("127.0.0.1", port))
    local second = kazoo.shared_rabbit()
    local server = start {
      mod_init = subscribe "f-silent", params = {
        amqp_connection = { "amqp://127.0.0.1:" .. port, second.url }, amqp_connect_timeout_sec = 1,
      },
    }
    server:wait_log("cannot connect to 127.0.0.1:" .. port)
    server:wait_log('consuming from queue "f%-silent"')
    traffic_flows(server, second, "beside a silent one")
    server:stop()
    silent:close()
  end)
end)

describe("A broker", function()
  local one, client

  setup(function()
    one = rabbits.start()
    client = amqp.client(one)
    client:queue("f-kept", "durable")
  end)

  teardown(function() one:stop() end)

  it("that freezes is left for the next one after two heartbeats, and what it had not confirmed is sent there", function()
    local second = kazoo.shared_rabbit()
    amqp.client(second):queue("f-kept", "durable")
    local server = start {
      mod_init = subscribe "f-frozen", params = { amqp_connection = { one.url, second.url }, amqp_heartbeats = 1 },
    }
    server:wait_log('consuming from queue "f%-frozen" .*:' .. one.port)
    server:await_connected()
    one:freeze()
    finally(function() one:thaw() end)
    assert.equal(1, server:publish("", "f-kept", "{'id' : 'not confirmed'}"))
    server:wait_log('consuming from queue "f%-frozen" .*:' .. second.port)
    server:wait_log("connection to .*:" .. one.port .. " lost: no heartbeat", 10, 3)
    assert.equal("not confirmed", cjson.decode(amqp.client(second):get("f-kept").payload).id)
    traffic_flows(server, second, "beside a frozen one")
    server:stop()
    amqp.client(second):delete_queue("f-kept")
  end)

  it("that dies is replaced by the next, with exchange, queue and bindings declared there", function()
    local second = kazoo.shared_rabbit()
    local server = start {
      mod_init = subscribe "f-takeover", params = { amqp_connection = { one.url, second.url } },
      events = kazoo.notes { "consumer-event", "consumer-event-connection-closed" },
    }
    server:wait_log('consuming from queue "f%-takeover" .*:' .. one.port)
    traffic_flows(server, one, "before")
    one:kill9()
    server:event '"closed"'
    server:wait_log('consuming from queue "f%-takeover" .*:' .. second.port)
    server:wait_log("connected to .*:" .. second.port .. " .* publisher%)")
    traffic_flows(server, second, "after")
    server:stop()
  end)

  -- From before: it is down.
  for _, case in ipairs {
    { what = "a broker further on", before = {}, between = { closed_port } },
    { what = "the last of four", before = { closed_port }, between = { closed_port } },
    { what = "one behind brokers that say nothing", before = {}, between = { silent_port, closed_port } },
  } do
    it("that dies is replaced by " .. case.what .. " when those in between are down", function()
      one:start_again()
      local last, urls = kazoo.shared_rabbit(), {}
      for _, port in ipairs(case.before) do urls[#urls + 1] = port() end
      urls[#urls + 1] = one.url
      for _, port in ipairs(case.between) do urls[#urls + 1] = port() end
      urls[#urls + 1] = last.url
      local server = start {
        mod_init = subscribe "f-further", params = { amqp_connection = urls, amqp_connect_timeout_sec = 1 },
      }
      await_all_at(server, one, 10)
      traffic_flows(server, one, "before")
      one:kill9()
      await_all_at(server, last, 15)
      server:wait_log('consuming from queue "f%-further" .*:' .. last.port)
      traffic_flows(server, last, "after")
      server:stop()
    end)
  end

  -- Closes the connection of one process alone.
  local function close_connection(broker, role)
    for line in broker:ctl("list_connections", "pid", "client_properties"):gmatch("[^\n]+") do
      local pid = line:match("^(%S+)%s.*connection_name[^}]* " .. role .. "\"")
      if pid then return broker:ctl("close_connection", pid, "spec") end
    end
    error("no connection of the " .. role)
  end

  -- From before: it is down.
  it("that closes one connection gets it back, and the connections stay together", function()
    one:start_again()
    local second = kazoo.shared_rabbit()
    local server = start { mod_init = subscribe "f-alone", params = { amqp_connection = { one.url, second.url } } }
    server:await_connected()
    for times, role in ipairs { "consumer", "publisher", "requester" } do
      close_connection(one, role)
      server:wait_log("connected to .*:" .. one.port .. " .* " .. role .. "%)", 10, 2)
      assert.equal(times, server:count_log("connection to .* lost"))
    end
    assert.equal(0, server:count_log("connected to .*:" .. second.port))
    traffic_flows(server, one, "alone")
    server:stop()
  end)

  it("that refuses one process is left by all of them", function()
    local second = kazoo.shared_rabbit()
    local server = start { mod_init = subscribe "f-together", params = { amqp_connection = { one.url, second.url } } }
    server:await_connected()
    one:ctl("set_user_limits", "guest", '{"max-connections":0}')
    finally(function()
      one:ctl("clear_user_limits", "guest", "all")
      one:kill9() -- as the next expects it
    end)
    close_connection(one, "consumer")
    for _, role in ipairs { "consumer", "publisher", "requester" } do
      server:wait_log("connected to .*:" .. second.port .. " .* " .. role .. "%)", 20)
    end
    assert.equal(2, server:count_log(one.port .. " moved to 127.0.0.1:" .. second.port))
    traffic_flows(server, second, "together")
    server:stop()
  end)

  local function numbers_kept(count)
    local seen, distinct = {}, 0
    wait.until_(function()
      for _, message in ipairs(client:drain("f-kept", 0.3)) do
        local n = cjson.decode(message.payload).n
        if n and not seen[n] then
          distinct = distinct + 1
          assert.equal(distinct, n, "the order")
          seen[n] = true
        end
      end
      return distinct == count, distinct
    end, 10, count .. " messages")
  end

  -- It is down now.
  it("that is down does not keep Kamailio from starting, and later gets what was published meanwhile", function()
    local server = start { rabbit = one, mod_init = subscribe "f-late" }
    server:wait_log("cannot connect")
    for n = 1, 20 do assert.equal(1, server:publish("", "f-kept", ("{'n' : %d}"):format(n))) end
    assert.is_true(server:count_log("cannot connect") < 50)
    one:start_again()
    server:wait_log('consuming from queue "f%-late"')
    numbers_kept(20)
    traffic_flows(server, one, "late")
    server:stop()
  end)

  -- Where the message of a queue is, for when it is not where it should be.
  local function whereabouts(server)
    return table.concat({
      "queues (name, messages, ready, unacknowledged):",
      one:ctl("list_queues", "name", "messages", "messages_ready", "messages_unacknowledged"),
      "consumers:", one:ctl("list_consumers", "queue_name", "consumer_tag", "channel_pid", "ack_required"),
      "kazoo.subscriptions:", server:rpc("kazoo.subscriptions"),
      "kazoo.connections:", server:rpc("kazoo.connections"),
    }, "\n")
  end

  -- Runs a step of a spec; its error says where the messages are.
  local function telling_where(server, step)
    local ok, err = pcall(step)
    if not ok then error(("%s\n%s"):format(err, whereabouts(server)), 0) end
  end

  it("that crashes and comes back is served again, with all declared again, and delivers again what it had no "
    .. "acknowledgement for", function()
    local server = start {
      rabbit = one, mod_init = subscribe "f-again" .. subscribe("f-acked", "held", acknowledged),
      settings = kazoo.hold_settings,
      events = {
        ["consumer-event-held"] = [[xlog("L_NOTICE", "route begins\n");]] .. kazoo.hold .. kazoo.note("held"),
        ["consumer-event"] = kazoo.note("consumer-event"),
      },
    }
    server:wait_log('consuming from queue "f%-acked"')
    one:keep_declared()
    client:publish("fx", "held", '{"Event-Category":"held"}', { persistent = true, confirm = true })
    server:wait_log("route begins")
    one:kill9()
    one:start_again()
    server:wait_log('consuming from queue "f%-acked"', 20, 2)
    server:wait_log("connected to .* publisher%)", 20, 2)
    server:let_go()
    telling_where(server, function()
      server:wait_log("event|held|", 10, 2)
      traffic_flows(server, one, "again")
      wait.until_(function() return one:ctl("list_queues", "name", "messages"):find("f-acked\t0\n", 1, true) end, 10,
        "the acknowledgement of the second delivery")
    end)
    assert.equal(2, server:count_log("event|held|"))
    assert.is_nil(server:crash())
    server:stop()
    client:delete_queue("f-acked")
  end)

  it("that comes back without an exchange gets its messages once the exchange exists again", function()
    local server = start { rabbit = one, events = kazoo.notes { "consumer-event-message-refused" } }
    local function counts() return stats.one(server, "kazoo.stats") end
    server:await_connected()
    client:exchange("f-late", "topic")
    assert.equal(1, server:publish("f-late", "k", "{'n' : 0}"))
    wait.until_(function() return counts().confirmed == 1 end, 5, "the confirm of the first message")
    one:kill9()
    for n = 1, 50 do
      assert.equal(1, server:publish("f-late", "k", ("{'n' : %d}"):format(n)))
      assert.equal(1, server:publish("f-never", "k", ("{'n' : %d}"):format(n)))
    end
    one:start_again()
    server:wait_log("holding messages until their exchange exists: 404 NOT_FOUND %- no exchange 'f%-late'", 30)
    amqp.client(one):exchange("f-late", "topic")
    wait.until_(function() return counts().outbox_bytes == 0 end, 10, "an empty outbox")
    assert.equal(51, counts().confirmed)
    assert.equal(50, counts().publish_rejected) -- the exchange that never took any does not hold up the others
    server:stop()
  end)

  it("that closes all connections is reconnected to at once, and every accepted message arrives", function()
    local server = start { rabbit = one, mod_init = subscribe "f-closed" }
    server:await_connected()
    for n = 1, 150 do
      if n % 50 == 25 then one:ctl("close_all_connections", "spec") end
      assert.equal(1, server:publish("", "f-kept", ("{'n' : %d}"):format(n)))
    end
    numbers_kept(150)
    server:stop()
  end)

  it("that loses the queue gets it declared again", function()
    local server = start { rabbit = one, mod_init = subscribe "f-deleted" }
    server:wait_log('consuming from queue "f%-deleted"')
    client:delete_queue("f-deleted")
    server:wait_log('subscription to queue "f%-deleted" cancelled by the broker, retrying')
    server:wait_log('consuming from queue "f%-deleted"', 10, 2)
    traffic_flows(server, one, "declared again")
    server:stop()
  end)
end)
