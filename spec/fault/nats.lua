-- What breaks with NATS: neither core NATS (nats_publish) nor JetStream (nats_js_publish) loses what was accepted, and
-- JetStream stores none twice.
local files = require "support.files"
local jetstream = require "support.jetstream"
local list = require "fault.list"
local nats = require "support.nats"
local nats_cluster = require "support.nats_cluster"
local nats_server = require "support.nats_server"
local network = require "support.network"
local publish_load = require "support.publish_load"
local stats = require "support.stats"
local wait = require "support.wait"

local SUBJECT, STREAM, DURABLE = "faults", "FAULTS", "ledger"

-- Seconds of load that a subscriber may lose when it is killed: what was on its way to it, on a busy machine.
local ON_ITS_WAY = 0.25

-- Seconds of load that a server has read, and not passed on to its own stream, when it is killed.
local IN_THE_SERVER = 0.005

local core = { prefix = "nats_", call = "nats_publish" }
local js = { prefix = "js_", call = "nats_js_publish" }

-- ---- what they share

local function urls_of(servers)
  local urls = {}
  for i, server in ipairs(servers) do urls[i] = server.url end
  return urls
end

-- A silent server is given up after 3 s.
local impatient = { nats_ping_interval = 1, nats_max_pings_out = 2 }

local function start_publisher(kind, servers, more)
  local params = { nats_url = urls_of(servers), num_publish_workers = 1 }
  for name, value in pairs(more or {}) do params[name] = value end
  local server = nats.start {
    children = 4, routes = { load = publish_load.nats_route(kind.call) }, params = params,
  }
  stats.await(server, "nats.stats", { connections_open = kind == js and 2 or 1 })
  publish_load.prefer(server)
  return server
end

local function stop_all(servers)
  for i = #servers, 1, -1 do servers[i]:stop() end
end

-- Runs body(started) and ends all that it put into that list, last first, whatever happens.
local function with_servers(body)
  local started = {}
  local ok, row = xpcall(function() return body(started) end, debug.traceback)
  stop_all(started)
  if not ok then error(row, 0) end
  return row
end

local function start(started, server)
  started[#started + 1] = server
  return server
end

-- A stream keeps what comes while nobody listens: so a loss is one on the way to the server.
local function make_stream(server, replicas)
  local api = jetstream.connect { host = server.host, port = server.port }
  api:stream(STREAM, { subjects = { SUBJECT }, num_replicas = replicas })
  return api
end

-- When nothing waits in the outbox, and of core NATS, where the server only has read it, nothing new comes for a while.
local function collect(result, server, from, kind)
  stats.await(server, "nats.stats", { outbox_messages = 0 }, nil, list.patience)
  local api = jetstream.connect { host = from.host, port = from.port }
  local function more_than(count)
    return wait.for_(function()
      local now = api:state(STREAM).messages
      return now > count and now
    end, 0.5)
  end
  local count = kind == core and 0
  while count do count = more_than(count) end
  local account = publish_load.account(result)
  for _, payload in ipairs(api:payloads(STREAM)) do account.take(publish_load.nats_message(payload)) end
  api:close()
  return account
end

local function stored(server) return stats.one(server, "nats.stats").stored end

local function sent_again(server)
  local total = 0
  for count in server:log():gmatch("sending (%d+) unconfirmed messages again") do total = total + tonumber(count) end
  return total
end

-- Load, the fault's events, the account. may_lose: seconds of load that core NATS may lose.
local function measure(options, kind, server, from, events, may_lose, recover)
  local result = publish_load.run { server = server, rate = options.rate, seconds = options.seconds, events = events }
  if recover then recover() end
  return list.line(result, collect(result, server, from, kind), {
    confirmed = kind == js and stored(server) or nil, crash = server:crash(), may_repeat = kind == js and 0 or nil,
    may_lose = kind == core and may_lose * options.rate or 0,
    note = ("%d connections lost, %d messages sent again"):format(
      server:count_log("connection to .* lost"), sent_again(server)),
  })
end

-- events_of(broker, options) returns the events, the seconds of load that core NATS may lose, and what to do when the load
-- is over.
local function add_both(name, title, events_of)
  for _, kind in ipairs { core, js } do
    list.add(kind.prefix .. name, ("%s: %s"):format(title, kind.call), function(options)
      return with_servers(function(started)
        local broker = start(started, nats_server.start { jetstream = true })
        make_stream(broker, 1):close()
        local server = start(started, start_publisher(kind, { broker }))
        return measure(options, kind, server, broker, events_of(broker, options))
      end)
    end)
  end
end

-- ---- one server

add_both("killed", "nats-server killed, back after 2 s", function(broker, options)
  local at = options.seconds / 3
  return {
    { at = at, run = function() broker:kill9() end },
    { at = at + 2, run = function() broker:start_again { wait = false } end },
  }, IN_THE_SERVER, function() broker:await_ready() end
end)

-- The kernel ends both sockets of each connection: how many it ended. A publisher whose connections do not live long
-- pauses before the next, and may have none.
local function reset_connections(broker)
  local ended = files.must_run(("ss -HtnK state established '( sport = :%d or dport = :%d )'"):format(
    broker.port, broker.port))
  return select(2, ended:gsub("\n", ""))
end

add_both("reset", "connections reset every second", function(broker, options)
  local events, ended = {}, 0
  for at = 1, options.seconds - 1 do
    events[at] = { at = at, run = function() ended = ended + reset_connections(broker) end }
  end
  return events, 0, function()
    if ended == 0 then error("ss -K ended no connection: does this kernel have CONFIG_INET_DIAG_DESTROY?", 0) end
  end
end)

add_both("frozen", "nats-server frozen for 6 s", function(broker, options)
  local at = options.seconds / 4
  return {
    { at = at, run = function() broker:freeze() end },
    { at = at + 6, run = function() broker:thaw() end },
  }, 0
end)

-- ---- a link that loses all packets

-- Runs body(broker, events, start) with a nats-server at the far end of it.
local function with_half_open(options, body)
  return with_servers(function(started)
    local net = start(started, network.start())
    local broker = start(started, nats_server.start { jetstream = true, network = net })
    make_stream(broker, 1):close()
    local at = options.seconds / 4
    local events = {
      { at = at, run = function() net:cut() end },
      { at = at + 6, run = function() net:mend() end },
    }
    return body(broker, events, function(server) return start(started, server) end)
  end)
end

for _, kind in ipairs { core, js } do
  list.add(kind.prefix .. "half_open", "half-open, no packet for 6 s: " .. kind.call, function(options)
    return with_half_open(options, function(broker, events, keep)
      local server = keep(start_publisher(kind, { broker }, impatient))
      return measure(options, kind, server, broker, events, 0)
    end)
  end)
end

-- ---- a cluster of three

-- events_of(leader, others, options) returns the events and what to do when the load is over; first: "leader" when
-- Kamailio is to be connected to the leader.
local function with_cluster(options, events_of, first)
  return with_servers(function(started)
    local cluster = start(started, nats_cluster.start(3))
    local api = make_stream(cluster.nodes[1], 3)
    local leader, others = cluster:split(api:leader(STREAM))
    api:close()
    local order = first == "leader" and { leader, others[1], others[2] } or { others[1], others[2], leader }
    local server = start(started, start_publisher(js, order))
    local events, recover = events_of(leader, others, options)
    return measure(options, js, server, others[1], events, 0, recover)
  end)
end

local function kill_leader(leader, _, options)
  local at = options.seconds / 3
  return {
    { at = at, run = function() leader:kill9() end },
    { at = at * 2, run = function() leader:start_again { wait = false } end },
  }, function() leader:await_ready() end
end

list.add("js_leader", "3 nodes, the stream's leader killed and back", function(options)
  return with_cluster(options, kill_leader)
end)

list.add("js_leader_ours", "3 nodes, the leader we are connected to killed and back", function(options)
  return with_cluster(options, kill_leader, "leader")
end)

list.add("js_leader_frozen", "3 nodes, the stream's leader frozen for 12 s", function(options)
  return with_cluster(options, function(leader)
    local at = options.seconds / 4
    return {
      { at = at, run = function() leader:freeze() end },
      { at = at + 12, run = function() leader:thaw() end },
    }
  end)
end)

list.add("js_all", "3 nodes killed, all back after 2 s", function(options)
  return with_cluster(options, function(leader, others)
    local nodes, at = { leader, others[1], others[2] }, options.seconds / 3
    local function each(method, argument)
      return function()
        for _, node in ipairs(nodes) do node[method](node, argument) end
      end
    end
    return {
      { at = at, run = each "kill9" }, { at = at + 2, run = each("start_again", { wait = false }) },
    }, each "await_ready"
  end)
end)

-- ---- those that consume

local handled = [[xlog("L_NOTICE", "ledger|done|$pp|$natsData|\n");]]

local function start_consumer(servers, params, more)
  params.nats_url, params.num_publish_workers = urls_of(servers), 1
  for name, value in pairs(more or {}) do params[name] = value end
  local server = nats.start { params = params, events = { [SUBJECT] = handled } }
  wait.until_(function() return stats.one(server, "nats.subscriptions", { state = "active" }) end, 20, "the subscription")
  return server
end

-- Without a word for each message that is not acknowledged, none is missed: the others get it after ack_wait.
local function durable()
  return { nats_js_consumer = ("stream=%s;durable=%s;event=%s;ack_wait=2000"):format(STREAM, DURABLE, SUBJECT) }
end

local function group() return { subject_queue_group = SUBJECT .. ":" .. DURABLE } end

-- Two Kamailios share the messages until one is killed.
local function lose_consumer(options, kind, params)
  return with_servers(function(started)
    local broker = start(started, nats_server.start { jetstream = true })
    make_stream(broker, 1):close()
    local first, second = start(started, start_consumer({ broker }, params())),
      start(started, start_consumer({ broker }, params()))
    local server = start(started, start_publisher(kind, { broker }))
    local result = publish_load.run {
      server = server, rate = options.rate, seconds = options.seconds,
      events = { { at = options.seconds / 2, run = function() second.process:kill() end } },
    }
    local account = list.done_all({ first, second }, result, kind == core and 2 or nil)
    local by_second = second:count_log("ledger|done|")
    if by_second == 0 then error("the one that was killed had handled nothing", 0) end
    return list.line(result, account, {
      confirmed = kind == js and stored(server) or nil, crash = first:crash() or server:crash(), in_order = true,
      may_lose = kind == core and options.rate * ON_ITS_WAY or 0, may_repeat = kind == core and 0 or nil,
      note = ("the one that was killed had handled %d"):format(by_second),
    })
  end)
end

list.add("nats_group", "one of two Kamailios of a queue group killed", function(options)
  return lose_consumer(options, core, group)
end)

list.add("js_durable", "one of two Kamailios of a durable consumer killed", function(options)
  return lose_consumer(options, js, durable)
end)

list.add("js_durable_half_open", "half-open, no packet for 6 s: a durable consumer", function(options)
  return with_half_open(options, function(broker, events, keep)
    local consumer = keep(start_consumer({ broker }, durable(), impatient))
    local server = keep(start_publisher(js, { broker }, impatient))
    local result = publish_load.run { server = server, rate = options.rate, seconds = options.seconds, events = events }
    return list.line(result, list.done_all({ consumer }, result), {
      confirmed = stored(server), crash = consumer:crash() or server:crash(), in_order = true,
      note = ("%d connections of the consumer lost"):format(consumer:count_log("connection to .* lost")),
    })
  end)
end)

list.add("js_durable_leader", "3 nodes, a durable consumer's leader killed and back", function(options)
  return with_servers(function(started)
    local cluster = start(started, nats_cluster.start(3))
    local api = make_stream(cluster.nodes[1], 3)
    local first = start(started, start_consumer(cluster.nodes, durable()))
    local leader, others = cluster:split(api:leader(STREAM, DURABLE))
    api:close()
    first:stop()
    local consumer = start(started, start_consumer(others, durable()))
    local server, at = start(started, start_publisher(js, others)), options.seconds / 3
    local result = publish_load.run {
      server = server, rate = options.rate, seconds = options.seconds, events = {
        { at = at, run = function() leader:kill9() end },
        { at = at * 2, run = function() leader:start_again { wait = false } end },
      },
    }
    return list.line(result, list.done_all({ consumer }, result), {
      confirmed = stored(server), crash = consumer:crash() or server:crash(), in_order = true,
    })
  end)
end)
