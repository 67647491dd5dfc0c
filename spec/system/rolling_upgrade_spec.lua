-- A fleet of which a part runs Debian's kazoo.so and a part ours, on the same exchanges and queues: during an upgrade, and
-- for as long as one likes.
--
-- Debian 12's module crashes in kazoo_query, so its servers call kazoo_async_query alone.
local cjson = require "cjson"
local amqp = require "support.amqp"
local classic = require "support.classic"
local kazoo = require "support.kazoo"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local names = { stock = "Debian's module", ours = "our module" }

local function assert_no_clash(broker, server)
  for _, log in ipairs { broker:log(), server:log() } do
    assert.is_nil(log:upper():match("[^\n]*PRECONDITION.FAILED[^\n]*"))
  end
end

for _, order in ipairs { { "stock", "ours" }, { "ours", "stock" } } do
  local title = ("A server with %s beside one with %s, which was there first,"):format(names[order[2]], names[order[1]])

  describe(title, function()
    local broker, sites

    setup(function()
      broker, sites = rabbits.start(), {}
      for i, which in ipairs(order) do
        sites[i] = classic.start { rabbit = broker, modules = which, hostname = which .. ".example" }
      end
    end)

    teardown(function()
      for _, site in ipairs(sites) do
        local ended = site:stop()
        assert.is_nil(ended.crash)
      end
      broker:stop()
    end)

    local function each_way(check)
      check(sites[1], sites[2])
      check(sites[2], sites[1])
    end

    it("declares what the other has declared", function()
      for _, site in ipairs(sites) do assert_no_clash(broker, site.server) end
    end)

    it("and the other hear each other's heartbeats", function()
      each_way(function(site, other)
        wait.until_(function()
          local value, ok = site.server:try_rpc("htable.get", "nodes", "kamailio@" .. other.hostname)
          return ok and value:find("value: ", 1, true), value
        end, 10, "the heartbeat of " .. other.hostname)
      end)
    end)

    it("learns of a media server by the same heartbeat", function()
      local media = sites[1]:phone("media")
      sites[1]:heartbeat("freeswitch@one", { fs1 = media })
      for _, site in ipairs(sites) do site.server:wait_log("media|added sip:127.0.0.1:" .. media.port) end
    end)

    it("sends requests for phones of the other, and the other replies", function()
      each_way(function(site, other)
        local user = "of-" .. other.hostname:match("%l+")
        local phone = site:phone("phone") -- which hears this server, since the call comes from it
        other:register(user, { contact = ("sip:%s@127.0.0.1:%d"):format(user, phone.port) })
        local media = site:phone("media")
        site:heartbeat("freeswitch@" .. site.hostname, { fs1 = media })
        site.server:wait_log("media|added sip:127.0.0.1:" .. media.port)
        classic.call_user(media, user)
        local invite = assert(phone:receive(5))
        assert.matches("^INVITE ", invite)
        phone:send(classic.reply_to(invite, "480 Asleep", "sip:phone@127.0.0.1:" .. phone.port))
        assert.equal(480, site:reply(media, "call"))
      end)
    end)

    it("forgets a phone that has registered at the other", function()
      each_way(function(site, other)
        local user = "moves-to-" .. other.hostname:match("%l+")
        site:register(user)
        other:register(user)
        site.server:wait_log(("moved|%s@example.com to %s"):format(user:gsub("%-", "%%-"), other.hostname))
      end)
    end)

    it("forgets a registration by the same event as the other", function()
      for _, site in ipairs(sites) do site:register("flushed-" .. site.hostname:match("%l+")) end
      for _, site in ipairs(sites) do
        local user = "flushed-" .. site.hostname:match("%l+")
        site.client:publish("registrar", "registration.flush.x", cjson.encode {
          ["Event-Category"] = "directory", ["Event-Name"] = "reg_flush", Realm = "example.com", Username = user,
        })
        site.server:wait_log(("flush|%s@example.com is gone"):format(user:gsub("%-", "%%-")))
      end
    end)
  end)
end

-- -- queues that both consume from --

local definitions = {
  plain = "'exchange':'r-topic', 'type':'topic', 'queue':'r-plain', 'routing':'plain.*'",
  keys = "'exchange':'r-topic', 'type':'topic', 'queue':'r-keys', 'routing':['keys.a', 'keys.b'], 'auto_delete':0",
  direct = "'exchange':'r-direct', 'type':'direct', 'queue':'r-direct', 'routing':'direct.x', 'auto_delete':false",
  fanout = "'exchange':'r-fanout', 'type':'fanout', 'queue':'r-fanout', 'exclusive':false",
  acked = "'exchange':'r-topic', 'type':'topic', 'queue':'r-acked', 'routing':'acked.*', 'auto_delete':0, 'no_ack':0, "
    .. "'wait_for_consumer_ack':1",
  received = "'exchange':'r-topic', 'type':'topic', 'queue':'r-received', 'routing':'received.*', 'no_ack':0",
  kept = "'exchange':'r-kept', 'type':'topic', 'queue':'r-kept', 'routing':'kept.*', 'no_ack':0, 'wait_for_consumer_ack':1, "
    .. "'exchange-def':{'type':'topic', 'durable':1}, 'queue-def':{'durable':1, 'auto_delete':0}",
}

local places = {
  plain = { "r-topic", "plain.x" }, keys = { "r-topic", "keys.b" }, direct = { "r-direct", "direct.x" },
  fanout = { "r-fanout", "" }, acked = { "r-topic", "acked.x" }, received = { "r-topic", "received.x" },
  kept = { "r-kept", "kept.x" },
}

local function mod_init()
  local calls = {}
  for _, definition in pairs(definitions) do calls[#calls + 1] = kazoo.subscribe("{ " .. definition .. " }") end
  return table.concat(calls)
end

local routes = {
  query = [[
    kazoo_query("r-topic", "plain.x", "{'Event-Category':'spec', 'Event-Name':'req'}", "$var(out)");
  ]],
}

local function start(broker, which)
  return kazoo.start {
    rabbit = broker, modules = which, mod_init = mod_init(), settings = 'modparam("kazoo", "pua_mode", 0)',
    params = { node_hostname = which .. ".example" }, routes = which == "ours" and routes or {},
    events = {
      ["consumer-event"] = kazoo.note("consumer-event"), ["consumer-event-connection"] = "exit;",
      ["consumer-event-spec-req"] = ([[
        kazoo_publish("targeted", $(kzE{kz.json,Server-ID}), '{"Msg-ID":"$(kzE{kz.json,Msg-ID})", "from":"%s"}');
      ]]):format(which),
    },
  }
end

local function await_consumers(broker, count)
  wait.until_(function()
    local queues = broker:list("list_queues", "name", "consumers")
    for _, definition in pairs(definitions) do
      local name = definition:match("'queue':'([^']*)'")
      local found = queues[name] and tonumber(queues[name].consumers) or 0
      if found ~= count then return nil, ("%s has %d consumers"):format(name, found) end
    end
    return true
  end, 20, count .. " consumers of each queue")
end

-- How often each id came, of all events of this server, added to a table.
local function count_ids(server, counts)
  local found = 0
  for _, event in ipairs(server:events()) do
    local id = event.payload and event.payload.id
    if id then
      counts[id] = (counts[id] or 0) + 1
      found = found + 1
    end
  end
  return found
end

for _, order in ipairs { { "stock", "ours" }, { "ours", "stock" } } do
  describe(("The queues of a server with %s and of a later one with %s"):format(names[order[1]], names[order[2]]), function()
    local broker, servers

    setup(function()
      broker, servers = rabbits.start(), {}
      for i, which in ipairs(order) do
        servers[i] = start(broker, which)
        servers[which] = servers[i]
        await_consumers(broker, i)
      end
      servers.ours:await_connected()
    end)

    teardown(function()
      for _, server in ipairs(servers) do assert.is_nil(server:stop().crash) end
      broker:stop()
    end)

    it("are the same", function()
      for _, server in ipairs(servers) do assert_no_clash(broker, server) end
    end)

    for name, place in pairs(places) do
      it(("bring each message once, to one of the two: %s"):format(name), function()
        local expected, counts = {}, {}
        for i = 1, 20 do
          for _, which in ipairs(order) do
            local id = ("%s-%s-%d"):format(name, which, i)
            servers[which]:publish(place[1], place[2], cjson.encode { id = id })
            expected[id] = 1
          end
        end
        wait.until_(function()
          counts = {}
          local total = 0
          for _, server in ipairs(servers) do
            local of_server = {}
            count_ids(server, of_server)
            for id, count in pairs(of_server) do
              if expected[id] then
                counts[id] = (counts[id] or 0) + count
                total = total + count
              end
            end
          end
          return total >= 40, total
        end, 15, "40 messages")
        assert.same(expected, counts)
        for _, server in ipairs(servers) do
          local of_server = {}
          assert(count_ids(server, of_server) > 0, "one has all messages")
        end
      end)
    end

    it("bring requests of ours to Debian's module, and its replies back", function()
      local from = {}
      for _ = 1, 6 do
        local rc, out = servers.ours:call("query")
        assert.equal(1, rc)
        from[cjson.decode(out).from] = true
      end
      assert.same({ stock = true, ours = true }, from)
    end)
  end)
end

describe("A server that is upgraded, and taken back,", function()
  it("finds its queues and what waits in them", function()
    local broker = rabbits.start()
    local client = amqp.client(broker)
    for i, which in ipairs { "stock", "ours", "stock", "ours" } do
      local server = start(broker, which)
      await_consumers(broker, 1)
      if i > 1 then server:event(("waits %d"):format(i)) end
      assert_no_clash(broker, server)
      local ended = server:stop()
      assert.is_nil(ended.crash)
      wait.until_(function()
        return broker:list("list_queues", "name", "consumers")["r-kept"].consumers == "0"
      end, 10, "the end of its consumer")
      client:publish("r-kept", "kept.x", ('{"id":"waits %d"}'):format(i + 1), { persistent = true })
    end
    broker:stop()
  end)
end)
