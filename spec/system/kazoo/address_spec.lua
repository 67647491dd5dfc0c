-- What amqp_connection may hold, against a real broker: https://www.rabbitmq.com/docs/uri-spec and uri-query-parameters.
local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"
local rabbits = require "support.rabbit"
local stats = require "support.stats"

local mod_init = kazoo.subscribe "{'exchange':'ax', 'type':'topic', 'queue':'a-in', 'routing':'in.#'}"

describe("amqp_connection", function()
  local rabbit, port6

  setup(function()
    port6 = ports.free()
    rabbit = rabbits.start { conf = ("listeners.tcp.six = ::1:%d"):format(port6) }
    rabbit:ctl("add_user", "jürgen", "pä55:w/ord")
    rabbit:ctl("add_vhost", "büro/1")
    rabbit:ctl("set_permissions", "-p", "büro/1", "jürgen", ".*", ".*", ".*")
  end)

  teardown(function() rabbit:stop() end)

  local function start(options)
    options.events = kazoo.notes { "consumer-event" }
    return kazoo.start(options)
  end

  local function url(format) return (format:gsub("HOST", rabbit.host .. ":" .. rabbit.port)) end

  for _, form in ipairs {
    "amqp://j%C3%BCrgen:p%C3%A455:w%2Ford@HOST/b%C3%BCro%2F1", "AMQP://j%c3%bcrgen:p%c3%a455%3aw%2ford@HOST/b%c3%bcro%2f1",
    "kazoo://jürgen:pä55:w%2Ford@HOST/büro%2F1?",
  } do
    it("has letters outside of ASCII in user, password and vhost: " .. form, function()
      local server = start { mod_init = mod_init, params = { amqp_connection = url(form) } }
      server:await_connected()
      assert.equal(3, server:count_log("connected to .* vhost büro/1 as user jürgen"))
      assert.equal(0, server:count_log("w/ord"))
      server:wait_log('consuming from queue "a%-in"')
      assert.equal(1, server:publish("ax", "in.x", "{'id' : 'both ways'}"))
      server:event "both ways"
      server:stop()
    end)
  end

  it("has an IPv6 address in brackets", function()
    local server = start { params = { amqp_connection = ("amqp://[::1]:%d"):format(port6) } }
    server:await_connected()
    assert.equal(3, server:count_log(("connected to %%[::1%%]:%d vhost / as user guest"):format(port6)))
    assert.equal(("[::1]:%d"):format(port6), stats.all(server, "kazoo.connections")[1].address)
    server:stop()
  end)

  it("has heartbeat, channel_max and frame_max of its own", function()
    local query = "?heartbeat=3&channel_max=40&frame_max=8192"
    local server = start { mod_init = mod_init, params = { amqp_connection = rabbit.url .. query, amqp_heartbeats = 20 } }
    server:await_connected()
    server:wait_log('consuming from queue "a%-in"')
    assert.equal(3, rabbit:count("list_connections",
      { { "timeout", "3" }, { "channel_max", "40" }, { "frame_max", "8192" } }))
    local client = amqp.client(rabbit)
    local queue, text = client:tap("ax", "out"), ("x"):rep(30000)
    assert.equal(1, server:publish("ax", "out", ("{'text' : '%s'}"):format(text)))
    assert.equal(text, cjson.decode(client:get(queue).payload).text)
    server:stop()
  end)

  it("has a heartbeat of its own that may be none, and other addresses have that of the parameter", function()
    for query, timeout in pairs { ["?heartbeat=0"] = "0", [""] = "7" } do
      local server = start { params = { amqp_connection = rabbit.url .. query, amqp_heartbeats = 7 } }
      server:await_connected()
      assert.equal(3, rabbit:count("list_connections", { { "timeout", timeout } }))
      server:stop()
    end
  end)

  it("has a connection_timeout of its own", function()
    local port = ports.free()
    local silent = assert(socket.bind("127.0.0.1", port))
    finally(function() silent:close() end)
    local server = start { params = {
      amqp_connection = { ("amqp://127.0.0.1:%d?connection_timeout=300"):format(port), rabbit.url },
      amqp_connect_timeout_sec = 60,
    } }
    server:await_connected()
    server:stop()
  end)

  it("with too few channels for all subscriptions has the first ones, and says so of the others", function()
    local more = kazoo.subscribe "{'exchange':'ax', 'type':'topic', 'queue':'a-more', 'routing':'in.#'}"
    local server = start { mod_init = mod_init .. more, params = { amqp_connection = rabbit.url .. "?channel_max=2" } }
    server:wait_log('subscription to queue "a%-more" .* failed, retrying in 2 s: the connection may have 2 channels only')
    server:wait_log('consuming from queue "a%-in"')
    assert.equal(1, server:publish("ax", "in.x", "{'id' : 'two channels'}"))
    server:event "two channels"
    assert.equal(0, server:count_log("connection to .* lost"))
    server:stop()
  end)

  it("says what has no effect, without the password", function()
    local server = start { params = {
      amqp_connection = rabbit.url .. "?depth=2&verify=verify_peer&password=s3cret&fail=1",
    } }
    server:await_connected()
    for _, line in ipairs {
      "depth is not a known parameter and has no effect", "fail is not a known parameter and has no effect",
      "verify has no effect without amqps://", "password has no effect without amqps://",
    } do
      assert.equal(1, server:count_log("WARN.*amqp_connection: .*" .. line))
    end
    assert.equal(0, server:count_log "s3cret")
    assert.equal(0, server:count_log "guest:guest")
    server:stop()
  end)

  it("with a wrong value stops the start, which names parameter and value, and never the password", function()
    local cases = {
      ["?heartbeat=soon"] = 'heartbeat: "soon" must be a number from 0 to 65535',
      ["?connection_timeout=0"] = 'connection_timeout: "0" must be a number from 1 to 3600000',
      ["?verify=yes"] = 'verify: "yes" must be verify_peer or verify_none',
      ["?auth_mechanism=none&password=s3cret"] = 'auth_mechanism: "none" must be plain, external or amqplain',
      ["/a/b"] = ".*: a slash in the name of a vhost is %%2F",
      ["/a%zz"] = ".*: the vhost has a %% that is not one of",
    }
    for rest, reason in pairs(cases) do
      local server, log = kazoo.try_start { params = { amqp_connection = "amqp://u:s3cret@" .. rabbit.host .. rest } }
      assert.is_nil(server)
      assert.matches("ERROR.*amqp: address 1 of the list is invalid: " .. reason, log)
      assert.matches('ERROR.*amqp_connection: "amqp://u:%*%*%*@[^"]+" is invalid', log)
      assert.is_nil(log:find("s3cret", 1, true))
    end
  end)
end)
