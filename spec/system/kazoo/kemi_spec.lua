local cjson = require "cjson"
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local sip = require "support.sip"

local kemi = [[
function ksr_request_route()
  local rc = KSR.kazoo.kazoo_publish("kemi", "out", "{'from' : '" .. KSR.pv.get("$rU") .. "'}")
  KSR.sl.sl_send_reply(rc == 1 and 200 or 500, "rc " .. tostring(rc))
end

function ksr_kazoo_event(name)
  KSR.notice("callback " .. name .. " " .. tostring(KSR.pv.get("$kzRK")) .. " " .. tostring(KSR.pv.get("$kzE")) .. "\n")
  if name == "kazoo:mod-init" then
    local rc = KSR.kazoo.kazoo_subscribe("{'exchange':'kemi', 'type':'topic', 'queue':'QUEUE', 'routing':'in'}")
    KSR.notice("kazoo_subscribe returned " .. tostring(rc) .. "\n")
  end
  return 1
end

function ksr_kazoo_broken(name) error("broken on purpose") end
]]

describe("A KEMI script", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function() server:stop() end)

  local function start(callback)
    server = kazoo.start { rabbit = rabbit, lua = (kazoo.with_own_queue(kemi)), params = { event_callback = callback } }
  end

  it("subscribes when it is called with kazoo:mod-init", function()
    start "ksr_kazoo_event"
    server:wait_log("callback kazoo:mod%-init")
    server:wait_log("kazoo_subscribe returned 1")
    server:wait_log('consuming from queue "own')
    assert.equal(1, server:count_log("callback kazoo:mod%-init"))
  end)

  it("is called with kazoo:consumer-event for each message, and reads $kzE and $kzRK", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "own')
    client:publish("kemi", "in", '{"id":"kemi 1","Server-ID":"asker"}')
    local line = server:wait_log('callback kazoo:consumer%-event in {"id":"kemi 1"')
    assert.matches('"AMQP%-Broker%-Zone":"local"', line)
    assert.matches('"Server%-ID":"consumer://local/asker"', line)
  end)

  it("is called with kazoo:consumer-event-raw for a body that is no JSON object", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "own')
    client:publish("kemi", "in", "no JSON")
    server:wait_log("callback kazoo:consumer%-event%-raw in no JSON")
  end)

  it("is called for the module's own events", function()
    start "ksr_kazoo_event"
    server:wait_log('callback kazoo:consumer%-event .*"Event%-Category":"connection"')
  end)

  it("publishes", function()
    start "ksr_kazoo_event"
    server:wait_log('consuming from queue "own')
    local queue = client:tap("kemi", "out")
    assert.equal(200, server.sip:message("x", { uri = "sip:lua@127.0.0.1" }).status)
    assert.equal("lua", cjson.decode(client:get(queue).payload).from)
  end)

  it("whose callback fails logs app_lua's error with the line, and loses only that event", function()
    start "ksr_kazoo_broken"
    server:wait_log("kemi.lua:15: broken on purpose", 10, 2)
    assert.equal(200, server.sip:message("x", { uri = "sip:lua@127.0.0.1" }).status)
    assert.is_nil(server:crash())
  end)
end)

describe("A KEMI script that sends requests", function()
  local script = [[
    function ksr_request_route()
      local how, key = KSR.pv.get("$rU"), KSR.pv.get("$rd")
      if how == "now" then
        local rc = KSR.kazoo.kazoo_query("qx", key, "{}")
        KSR.sl.sl_send_reply(200, rc .. " " .. tostring(KSR.pv.get("$kzR")))
      elseif how == "headers" then
        KSR.sl.sl_send_reply(200, tostring(KSR.kazoo.kazoo_query_headers("qx", key, "{}", "h=v")))
      else
        local rc = KSR.kazoo.kazoo_async_query("qx", key, "{}", "on_answer", "on_failure")
        if rc < 0 then KSR.sl.sl_send_reply(500, "not asked") end
      end
    end
    function on_answer() KSR.tm.t_reply(480, "answered") end
    function on_failure() KSR.tm.t_reply(504, "failed") end
  ]]
  local rabbit, client, server, questions

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("qx", "topic")
    questions = client:tap("qx", "key.*")
    server = kazoo.start { rabbit = rabbit, lua = script, params = { amqp_query_timeout_sec = 2 } }
    server:wait_log('consuming from queue "kamailio@')
  end)

  teardown(function() server:stop() end)

  local function start(how)
    local phone = sip.client(server.port)
    phone:start { method = "MESSAGE", uri = ("sip:%s@key.1:%d"):format(how, server.port), body = "x" }
    return phone
  end

  local function answer()
    local question = cjson.decode(client:get(questions).payload)
    client:publish("targeted", question["Server-ID"], cjson.encode { ["Msg-ID"] = question["Msg-ID"], it = "is" })
  end

  it("gets the reply", function()
    local phone = start "now"
    answer()
    local reply = assert(phone:await_reply(5))
    assert.matches('^1 .*"it":"is"', reply.reason)
    phone:close()
  end)

  it("sends requests with headers", function()
    local phone = start "headers"
    answer()
    assert.equal("1", assert(phone:await_reply(5)).reason)
    phone:close()
  end)

  it("suspends its transaction until a reply, or its absence, runs a function", function()
    local phone = start "later"
    answer()
    assert.equal(480, assert(phone:await_reply(5)).status)
    phone:close()
    phone = start "never"
    assert.equal(504, assert(phone:await_reply(8)).status)
    phone:close()
  end)
end)

describe("A native configuration with event_callback", function()
  it("logs that there is no KEMI script", function()
    local server = kazoo.start { rabbit = kazoo.shared_rabbit(), params = { event_callback = "ksr_kazoo_event" } }
    server:wait_log('event_callback "ksr_kazoo_event" is set, but the configuration has no KEMI script')
    server:stop()
  end)
end)
