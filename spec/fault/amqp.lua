-- What breaks with AMQP.
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local list = require "fault.list"
local network = require "support.network"
local process = require "support.process"
local publish_load = require "support.publish_load"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local add, line = list.add, list.line

local QUEUE = "faults"

-- ---- what they share

-- A publisher with this failover list. Heartbeats of a second, so that a connection that is silent is given up soon.
local function start_publisher(...)
  local urls = {}
  for i, broker in ipairs { ... } do urls[i] = broker.url end
  local server = kazoo.start {
    children = 4, routes = { load = publish_load.route }, params = { amqp_connection = urls, amqp_heartbeats = 1 },
  }
  server:await_connected()
  publish_load.prefer(server)
  return server
end

-- What Kamailio itself counted, if it tells.
local function confirmed(server)
  local text, ok = server:try_rpc("kazoo.stats")
  return ok and tonumber(text:match("confirmed: (%d+)")) or nil
end

local function sent_again(server)
  local total = 0
  for count in server:log():gmatch("sending (%d+) unconfirmed messages again") do total = total + tonumber(count) end
  return total
end

-- Load, the fault's events, the account. `from` is the broker to take the messages from, once `recover` has run.
local function measure(options, server, events, from, recover)
  local result = publish_load.run { server = server, rate = options.rate, seconds = options.seconds, events = events }
  if recover then recover() end
  local account = publish_load.collect(result, amqp.client(from), QUEUE, list.patience)
  local row = line(result, account, { confirmed = confirmed(server), crash = server:crash() })
  row.note = ("%d connections lost, %d messages sent again"):format(
    server:count_log("connection to .* lost"), sent_again(server))
  return row
end

-- Runs body(rabbit, server) with one broker, which all faults of this kind share, and a publisher.
local shared

local function with_broker(body)
  shared = shared or rabbits.start()
  amqp.client(shared):queue(QUEUE, "durable")
  local server = start_publisher(shared)
  local ok, row = pcall(body, shared, server)
  server:stop()
  if not ok then error(row, 0) end
  return row
end

list.at_end[#list.at_end + 1] = function()
  if shared then shared:stop() end
end

-- ---- one broker

add("killed", "RabbitMQ killed, back after 2 s", function(options)
  return with_broker(function(rabbit, server)
    local at = options.seconds / 3
    return measure(options, server, {
      { at = at, run = function() rabbit:kill9() end },
      { at = at + 2, run = function() rabbit:start_again { wait = false } end },
    }, rabbit, function() rabbit:await_ready() end)
  end)
end)

-- The kernel ends both sockets and sends the segments with RST.
local function reset_connections(rabbit)
  local filter = ("state established '( sport = :%d or dport = :%d )'"):format(rabbit.port, rabbit.port)
  local _, lines = files.must_run("ss -HtnK " .. filter):gsub("\n", "")
  return lines
end

add("reset", "connections reset every second", function(options)
  return with_broker(function(rabbit, server)
    local events, ended = {}, 0
    for at = 1, options.seconds - 1 do
      events[at] = { at = at, run = function() ended = ended + reset_connections(rabbit) end }
    end
    local row = measure(options, server, events, rabbit)
    if ended == 0 then error("ss -K ended no connection: does this kernel have CONFIG_INET_DIAG_DESTROY?", 0) end
    return row
  end)
end)

add("half_open", "half-open, no packet for 6 s", function(options)
  local net = network.start()
  local rabbit = rabbits.start { network = net }
  amqp.client(rabbit):queue(QUEUE, "durable")
  local server = start_publisher(rabbit)
  local at = options.seconds / 4
  local ok, row = pcall(measure, options, server, {
    { at = at, run = function() net:cut() end },
    { at = at + 6, run = function() net:mend() end },
  }, rabbit)
  server:stop()
  rabbit:stop()
  net:stop()
  if not ok then error(row, 0) end
  return row
end)

add("frozen", "RabbitMQ frozen for 6 s", function(options)
  return with_broker(function(rabbit, server)
    local at = options.seconds / 4
    return measure(options, server, {
      { at = at, run = function() rabbit:freeze() end },
      { at = at + 6, run = function() rabbit:thaw() end },
    }, rabbit)
  end)
end)

add("blocked", "blocked by the memory alarm", function(options)
  return with_broker(function(rabbit, server)
    local row = measure(options, server, {
      { at = options.seconds / 4, run = function() rabbit:start_ctl("set_vm_memory_high_watermark", "0.000001") end },
      { at = options.seconds * 3 / 4, run = function() rabbit:start_ctl("set_vm_memory_high_watermark", "0.8") end },
    }, rabbit)
    local blocked = server:count_log("blocks publishing")
    if blocked == 0 then error("RabbitMQ never blocked the publisher", 0) end
    row.note = ("blocked %d times"):format(blocked)
    return row
  end)
end)

-- ---- a cluster

local function start_cluster(size)
  local nodes = { rabbits.start() }
  for i = 2, size do nodes[i] = rabbits.start { join = nodes[1] } end
  return nodes
end

local function stop_cluster(nodes)
  for i = #nodes, 1, -1 do nodes[i]:stop() end
end

local function leader_of(nodes)
  local text = nodes[1]:ctl("list_queues", "--no-table-headers", "name", "leader", "members")
  local name, members = text:match(QUEUE .. "%s+(%S+)%s+(%b[])")
  for i, node in ipairs(nodes) do
    if node.node == name then return i, select(2, members:gsub("@", "")) end
  end
  error("the queue has no leader: " .. text, 0)
end

-- The leader is the first of the publisher's failover list. back_after: nil starts it again only when the load is over.
local function lose_leader(options, size, back_after)
  local nodes = start_cluster(size)
  local ok, row = pcall(function()
    amqp.client(nodes[1]):queue(QUEUE, "durable", "quorum")
    local i, members = leader_of(nodes)
    if members ~= size then error(("the queue is on %d nodes of %d"):format(members, size), 0) end
    local others = {}
    for n, node in ipairs(nodes) do
      if n ~= i then others[#others + 1] = node end
    end
    local leader, server = nodes[i], start_publisher(nodes[i], unpack(others))
    local at = options.seconds / 3
    local events = { { at = at, run = function() leader:kill9() end } }
    if back_after then
      events[2] = { at = at + back_after, run = function() leader:start_again { wait = false } end }
    end
    local measured, result = pcall(measure, options, server, events, others[1], function()
      if back_after then leader:await_ready() end
    end)
    server:stop()
    if not measured then error(result, 0) end
    return result
  end)
  stop_cluster(nodes)
  if not ok then error(row, 0) end
  return row
end

add("quorum2", "quorum queue, 2 nodes: leader killed, back after 2 s", function(options)
  return lose_leader(options, 2, 2)
end)

add("quorum3", "quorum queue, 3 nodes: leader killed for good", function(options) return lose_leader(options, 3) end)

-- ---- a worker

-- One message in 250 takes long enough to be caught while it is handled.
local handle_route = [[
  xlog("L_NOTICE", "ledger|begin|$pp|$(kzE{kz.json,id})|\n");
  $var(late) = $(kzE{kz.json,id}{s.int}) mod 250;
  if ($var(late) == 0) usleep("400000");
  xlog("L_NOTICE", "ledger|done|$pp|$(kzE{kz.json,id})|$(kzE{kz.json,seq})|$(kzE{kz.json,pid})|\n");
]]

local function start_consumer(rabbit)
  local server = kazoo.start {
    rabbit = rabbit, params = { amqp_consumer_workers = 4, amqp_consumer_event_key = "none" },
    mod_init = ([[kazoo_subscribe("{'exchange':'faults', 'type':'direct', 'queue':'%s', 'routing':'%s', 'no_ack':0,
      'wait_for_consumer_ack':1, 'auto_delete':0, 'queue-def':{'durable':1, 'auto_delete':0}}");]]):format(QUEUE, QUEUE),
    events = { ["consumer-event"] = handle_route },
  }
  server:wait_log('consuming from queue "' .. QUEUE)
  return server
end

-- The process that handles a message right now, and the message.
local function busy_worker(server)
  local busy = {}
  for what, pid, id in server:log():gmatch("ledger|(%l+)|(%d+)|(%d+)|") do busy[pid] = what == "begin" and id or nil end
  for pid, id in pairs(busy) do
    if tonumber(id) % 250 == 0 then return tonumber(pid), tonumber(id) end
  end
end

-- Stops a worker in the midst of a message: its process id and the message. Until it stands still it may come to the end.
local function freeze_busy_worker(server)
  return wait.until_(function()
    local pid, id = busy_worker(server)
    if not pid then return nil end
    process.freeze(pid)
    if select(2, busy_worker(server)) == id then return { pid = pid, id = id } end
    process.signal(pid, "CONT")
  end, 10, "a worker that is busy")
end

-- Kills a worker in the midst of a message, which it returns; Kamailio then ends as a whole.
local function kill_busy_worker(server)
  local worker = freeze_busy_worker(server)
  process.signal(worker.pid, "KILL")
  if not server.process:wait(15) then error("Kamailio still runs without its worker", 0) end
  return worker.id
end

add("worker", "worker killed while it handles a message", function(options)
  return with_broker(function(rabbit, server)
    amqp.client(rabbit):exchange("faults", "direct")
    local consumers, killed = { start_consumer(rabbit) }
    local result = publish_load.run {
      server = server, rate = options.rate, seconds = options.seconds,
      events = { {
        at = options.seconds / 3,
        run = function()
          killed = kill_busy_worker(consumers[1])
          consumers[2] = start_consumer(rabbit)
        end,
      } },
    }
    local account = list.done_all(consumers, result)
    local again = consumers[2]:log():find(("ledger|done|%%d+|%d|"):format(killed)) ~= nil
    for _, consumer in ipairs(consumers) do consumer:stop() end
    if not again then error(("message %d, which was being handled, was not handled again"):format(killed), 0) end
    -- Four workers handle the messages side by side, in no order between them.
    return line(result, account, { confirmed = confirmed(server), in_order = true,
      note = ("message %d handled again"):format(killed) })
  end)
end)
