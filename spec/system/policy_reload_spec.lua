-- A policy that is changed while the server runs: kazoo.policy_reload and nats.policy_reload.
local amqp = require "support.amqp"
local files = require "support.files"
local kazoo = require "support.kazoo"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local stats = require "support.stats"

local routes = { one = [[xlog("L_NOTICE", "route one\n");]], two = [[xlog("L_NOTICE", "route two\n");]] }

-- The module's own events run no route.
local function policy(bus, answer)
  return ([[return { route_names = function(event)
    return event.key and {} or { "%s:%s" }
  end }]]):format(bus, answer)
end

-- So many processes take a new file, and keep what they have when the next does not load. `send` makes a message come.
local function follows_the_file(server, bus, processes, send)
  local function route_runs(route, times)
    send()
    server:wait_log("route " .. route, 10, times)
  end
  route_runs("one", 1)
  files.write(server.folder .. "/policy.lua", policy(bus, "two"))
  route_runs("one", 2)
  assert.matches("policy%.lua is valid", server:rpc(bus .. ".policy_reload"))
  server:wait_log("lua_policy: reloaded", 10, processes)
  route_runs("two", 1)
  files.write(server.folder .. "/policy.lua", "return {\n  route_names = 7 7,\n}")
  assert.matches("the old policy stays active: .*policy%.lua:2:", (server:try_rpc(bus .. ".policy_reload")))
  route_runs("two", 2)
  assert.equal(2, server:count_log("route one"))
end

local function says_that_there_is_none(server, bus)
  assert.matches("lua_policy is not set", (server:try_rpc(bus .. ".policy_reload")))
end

describe("kazoo.policy_reload", function()
  it("loads the new file, and keeps the old policy when that fails", function()
    local client = amqp.client(kazoo.shared_rabbit())
    local server = kazoo.start {
      rabbit = kazoo.shared_rabbit(), files = { ["policy.lua"] = policy("kazoo", "one") }, events = routes,
      params = { amqp_consumer_processes = 2, lua_policy = "$FOLDER/policy.lua" },
      mod_init = [[kazoo_subscribe("{'exchange':'reload', 'type':'fanout', 'queue':'reload', 'routing':'a'}");]],
    }
    server:wait_log('consuming from queue "reload"')
    follows_the_file(server, "kazoo", 2, function() client:publish("reload", "a", "{}") end)
    server:stop()
  end)

  it("reports that there is no policy to load", function()
    local server = kazoo.start { params = { amqp_connection = "amqp://127.0.0.1:" .. ports.free() } }
    says_that_there_is_none(server, "kazoo")
    server:stop()
  end)
end)

describe("nats.policy_reload", function()
  it("loads the new file, and keeps the old policy when that fails", function()
    local broker = nats_server.start()
    local client = nats_client.connect { port = broker.port }
    local server = nats.start {
      server = broker, files = { ["policy.lua"] = policy("nats", "one") }, events = routes,
      params = { num_publish_workers = 1, subject_queue_group = "in:g", lua_policy = "$FOLDER/policy.lua" },
    }
    stats.await(server, "nats.stats", { connections_open = 2 })
    follows_the_file(server, "nats", 1, function()
      client:pub("in", "x")
      client:flush()
    end)
    client:close()
    server:stop()
    broker:stop()
  end)

  it("reports that there is no policy to load", function()
    local server = nats.start { params = { nats_url = "nats://127.0.0.1:" .. ports.free() } }
    says_that_there_is_none(server, "nats")
    server:stop()
  end)
end)
