local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local function zoned(zone, url) return ("zone=%s;%s"):format(zone, url) end

local function nobody() return ("amqp://guest:guest@127.0.0.1:%d"):format(ports.free()) end

local function subscribe(queue, more)
  return ([[kazoo_subscribe("{'exchange':'zx', 'type':'topic', 'queue':'%s', 'routing':'in.#' %s}");]]):format(
    queue, more or "")
end

local answer = [[
  kazoo_publish("zx", "out.$(kzE{kz.json,id}).$(kzE{kz.json,AMQP-Broker-Zone})", "{'to' : '$(kzE{kz.json,Server-ID})'}");
  kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})", "{'answer' : '$(kzE{kz.json,id})'}");
]]

describe("With brokers in two zones", function()
  local west, east, at_west, at_east

  setup(function()
    west, east = kazoo.shared_rabbit(), rabbits.start()
    at_west, at_east = amqp.client(west), amqp.client(east)
    for _, client in ipairs { at_west, at_east } do
      client:exchange("zx", "topic")
      client:exchange("targeted", "direct")
    end
  end)

  teardown(function() east:stop() end)

  local function start(options)
    options.params = options.params or {}
    options.params.amqp_primary_zone = "west"
    options.params.amqp_connection = options.params.amqp_connection or { zoned("west", west.url), zoned("east", east.url) }
    options.events = options.events or kazoo.notes { "consumer-event" }
    local server = kazoo.start(options)
    server:await_connected()
    server:wait_log("connected to .*:" .. east.port .. " .* zone east publisher%)")
    server:wait_log("connected to .*:" .. east.port .. " .* zone east consumer%)")
    return server
  end

  it("a message goes to the primary zone, or to the one that its routing key names", function()
    local server = start {}
    local there, here = at_east:tap("zx", "#"), at_west:tap("zx", "#")
    assert.equal(1, server:publish("zx", "k", "{'n' : 1}"))
    assert.equal(1, server:publish("zx", "consumer://east/the.key/x", "{'n' : 2}"))
    assert.equal(1, server:publish("zx", "consumer://west/k", "{'n' : 3}"))
    local message = at_east:get(there)
    assert.same({ "the.key/x", 2 }, { message.routing_key, cjson.decode(message.payload).n })
    assert.equal(1, cjson.decode(at_west:get(here).payload).n)
    message = at_west:get(here)
    assert.same({ "k", 3 }, { message.routing_key, cjson.decode(message.payload).n })
    assert.same({}, at_east:drain(there, 0.1))

    assert.equal(-1, server:publish("zx", "consumer://north/k", "{}"))
    server:wait_log('ERROR.*kazoo_publish: routing key "consumer://north/k": no amqp_connection in zone "north"')
    server:stop()
  end)

  it("federated subscriptions consume in both, and tell where a message came from; replies go back there", function()
    local server = start {
      mod_init = subscribe("z-both", ", 'federate':1") .. subscribe "z-one", events = { ["consumer-event"] = answer },
    }
    server:wait_log('consuming from queue "z%-both" .*:' .. west.port)
    server:wait_log('consuming from queue "z%-both" .*:' .. east.port)
    server:wait_log('consuming from queue "z%-one" .*:' .. west.port)
    assert.equal(0, server:count_log('consuming from queue "z%-one" .*:' .. east.port))
    local heard, answers = at_west:tap("zx", "out.#"), at_east:tap("targeted", "asker")

    at_east:publish("zx", "in.x", '{"id":"e1","Server-ID":"asker"}')
    local message = at_west:get(heard)
    assert.equal("out.e1.east", message.routing_key)
    assert.equal("consumer://east/asker", cjson.decode(message.payload).to)
    assert.equal("e1", cjson.decode(at_east:get(answers).payload).answer)

    at_west:publish("zx", "in.x", '{"id":"w1","Server-ID":"asker"}')
    message = at_west:get(heard)
    assert.equal("out.w1.west", message.routing_key)
    assert.equal("consumer://west/asker", cjson.decode(message.payload).to)
    server:stop()
  end)

  it("federated subscriptions may use another exchange there", function()
    local server = start {
      mod_init = subscribe("z-fed", ", 'federate':1"),
      params = { use_federated_exchange = 1, federated_exchange = "fedx" },
    }
    server:wait_log('consuming from queue "z%-fed" of exchange "fedx" on .*:' .. east.port)
    server:wait_log('consuming from queue "z%-fed" of exchange "zx" on .*:' .. west.port)
    at_east:publish("fedx", "in.x", '{"id":"through fedx"}')
    assert.equal("east", server:event("through fedx").payload["AMQP-Broker-Zone"])
    server:stop()
  end)

  it("a query is sent in the primary zone only", function()
    local server = start {
      routes = {
        ask = [[kazoo_query("zx", "in.x", "{'id' : 'q'}");]],
        ask_east = [[kazoo_query("zx", "consumer://east/in.x", "{'id' : 'q'}");]],
      },
      mod_init = subscribe "z-query",
      events = { ["consumer-event"] = [[
        kazoo_publish("targeted", "$(kzE{kz.json,Server-ID})", "{'Msg-ID' : '$(kzE{kz.json,Msg-ID})'}");]] },
    }
    server:wait_log('consuming from queue "z%-query"')
    assert.equal(1, (server:call "ask"))
    assert.equal(-1, (server:call "ask_east"))
    server:wait_log "ERROR.*kazoo_query: request refused, requests go to zone west only, not to east"
    server:stop()
  end)

  it("each has a failover list of its own, tells its state by events, and does not hold up the other", function()
    local server = start {
      mod_init = subscribe("z-over", ", 'federate':1"),
      params = { amqp_connection = { zoned("east", nobody()), west.url, zoned("east", east.url) } },
      events = kazoo.notes { "consumer-event", "consumer-event-connection-open", "consumer-event-connection-closed" },
    }
    wait.until_(function() return #server:events "consumer-event-connection-open" >= 2 end, 10, "both events")
    east:freeze()
    for n = 1, 50 do assert.equal(1, server:publish("zx", "consumer://east/k", ("{'n' : %d}"):format(n))) end
    at_west:publish("zx", "in.x", '{"id":"while east is frozen"}')
    assert.equal("west", server:event("while east is frozen").payload["AMQP-Broker-Zone"])
    east:thaw()
    east:ctl("close_all_connections", "spec")
    local closed = server:event '"closed"'
    assert.equal("east", closed.payload.zone)
    assert.equal(0, server:count_log("connection to .*:" .. west.port .. " lost"))
    server:stop()
  end)
end)

describe("Kamailio does not start", function()
  local function refusal(params)
    local server, log = kazoo.try_start { params = params }
    assert.is_nil(server)
    return log
  end

  it("when no broker is in the primary zone", function()
    assert.matches('ERROR.*amqp_primary_zone: no amqp_connection in zone "local"',
      refusal { amqp_connection = zoned("west", nobody()) })
    assert.matches('ERROR.*amqp_primary_zone: no amqp_connection in zone "east"',
      refusal { amqp_connection = zoned("west", nobody()), amqp_primary_zone = "east" })
  end)

  it("with a zone that has no name, or one that no routing key can hold", function()
    for _, zone in ipairs { "", "a/b", ("z"):rep(64) } do
      assert.matches('ERROR.*amqp_connection: "zone=[^"]*" is invalid: the zone name must have 1 to 63 bytes',
        refusal { amqp_connection = { nobody(), zoned(zone, nobody()) } })
    end
    assert.matches('ERROR.*amqp_primary_zone: "" must have 1 to 63 bytes and no slash',
      refusal { amqp_connection = nobody(), amqp_primary_zone = "" })
  end)
end)
