-- The events of the module's own: a connection opens, ends, or will end.
local files = require "support.files"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local process = require "support.process"
local wait = require "support.wait"

describe("event_route[nats:connected] and [nats:disconnected]", function()
  it("run when a subscriber's connection opens and ends", function()
    local broker = nats_server.start()
    local server = nats.start {
      server = broker, params = { subject_queue_group = "a:b" },
      events = {
        connected = [[xlog("L_NOTICE", "it is up\n");]], disconnected = [[xlog("L_NOTICE", "it is down\n");]],
      },
    }
    server:wait_log("it is up")
    assert.equal(0, server:count_log("it is down"))
    broker:kill9()
    server:wait_log("it is down")
    broker:start_again()
    server:wait_log("it is up", 20, 2)
    assert.equal(1, server:count_log("it is down"))
    server:stop()
    broker:stop()
  end)
end)

-- Debian's own module runs nats:connected in its publishers, and only where there are subscribers too.
describe("event_route[nats:connected] and [nats:disconnected] of a server that only publishes", function()
  local up_and_down = {
    connected = [[xlog("L_NOTICE", "up in $pp\n"); nats_publish("up", "$pp");]],
    disconnected = [[xlog("L_NOTICE", "down in $pp\n");]],
  }

  it("run in each publisher", function()
    local broker = nats_server.start()
    local server = nats.start { server = broker, params = { num_publish_workers = 2 }, events = up_and_down }
    server:wait_log("up in", 10, 2)
    local publishers = server:pids_of "nats publisher %d"
    assert.equal(2, #publishers)
    for _, pid in ipairs(publishers) do assert.equal(1, server:count_log("up in " .. pid)) end
    broker:kill9()
    server:wait_log("down in", 10, 2)
    for _, pid in ipairs(publishers) do process.freeze(pid) end -- else they may be back before the subscriber
    broker:start_again()
    local client = nats_client.connect { port = broker.port }
    client:sub("up")
    for _, pid in ipairs(publishers) do process.signal(pid, "CONT") end
    server:wait_log("up in", 20, 4)
    assert(client:next(10), "what a route of a publisher publishes does not come")
    assert.equal(2, server:count_log("down in"))
    client:close()
    server:stop()
    broker:stop()
  end)

  it("report a server that is about to close, also with event_callback", function()
    local broker = nats_server.start { conf = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "3s"' }
    local server = nats.start {
      server = broker, params = { num_publish_workers = 1, event_callback = "on_nats" }, lua = [[
        function ksr_request_route() KSR.sl.sl_send_reply(200, "OK") end
        function on_nats(event) KSR.notice("callback of " .. event .. "\n") end
      ]],
    }
    server:wait_log("callback of nats:connected")
    files.must_run("nats-server --signal ldm=" .. broker.process.pid)
    server:wait_log("callback of nats:lame%-duck")
    server:wait_log("callback of nats:disconnected", 15)
    server:stop()
    broker:stop()
  end)

  it("do not keep published messages from being sent when Kamailio stops", function()
    local broker = nats_server.start()
    local server = nats.start {
      server = broker, params = { num_publish_workers = 1 }, events = up_and_down, settings = "max_while_loops = 3000",
      routes = { many = [[
        $var(i) = 0;
        while ($var(i) < 2000) { nats_publish("last", "$var(i)"); $var(i) = $var(i) + 1; }]] },
    }
    server:wait_log("up in")
    local client = nats_client.connect { port = broker.port }
    client:sub("last")
    broker:freeze()
    assert.equal(1, server:call("many"))
    server.process:signal("TERM")
    broker:thaw()
    for i = 0, 1999 do assert.equal(tostring(i), assert(client:next(5), i .. " did not come").payload) end
    server:stop()
    client:close()
    broker:stop()
  end)
end)

describe("A message whose subject is spelled like one of the module's own events", function()
  it("does not run the route of that event", function()
    local broker = nats_server.start()
    local function told(name) return ('xlog("L_NOTICE", "%s: $natsSubject\\n");'):format(name) end
    local server = nats.start {
      server = broker, params = { num_publish_workers = 1, subject_queue_group = ">:group" }, events = {
        connected = told "connected", disconnected = told "disconnected", ["lame-duck"] = told "lame-duck", all = told "all",
      },
    }
    server:wait_log "connected: <null>"
    local client = nats_client.connect { port = broker.port }
    for _, subject in ipairs { "connected", "disconnected", "lame.duck", "lame-duck" } do
      wait.until_(function()
        client:pub(subject, "x")
        client:flush()
        return server:count_log(("all: %s$"):format((subject:gsub("%-", "%%-")))) > 0
      end, 10, "the route for all that comes, on " .. subject)
    end
    assert.equal(1, server:count_log("connected: "))
    assert.equal(0, server:count_log("lame%-duck: "))
    client:close()
    server:stop()
    broker:stop()
  end)
end)
