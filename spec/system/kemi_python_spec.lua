-- event_callback with a script in Python, whose engine has results of its own (src/kamailio/glue/python_error.h).
local jetstream = require "support.jetstream"
local kazoo = require "support.kazoo"
local nats = require "support.nats"
local nats_server = require "support.nats_server"
local stats = require "support.stats"
local wait = require "support.wait"

local script = [[
import KSR as KSR

class kamailio:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        return 1

    def on_nats(self, msg, event):
        data = KSR.pv.get("$natsData")
        KSR.notice("heard %s: %s\n" % (event, data))
        if data == "refuses":
            return -1
        if data == "raises":
            raise ValueError("on purpose")
        if data == "answers":
            return 1

    def on_kazoo(self, msg, event):
        KSR.notice("heard %s\n" % event)

def mod_init():
    return kamailio()
]]

local function with_python(options)
  options.files = { ["script.py"] = script }
  options.before = 'loadmodule "app_python3.so"\nmodparam("app_python3", "load", "$FOLDER/script.py")\ncfgengine "python"\n'
  return options
end

describe("event_callback in Python", function()
  local broker, api

  setup(function()
    broker = nats_server.start { jetstream = true }
    api = jetstream.connect { port = broker.port }
  end)

  teardown(function()
    api:close()
    broker:stop()
  end)

  -- A server that consumes a stream of that name and calls this function.
  local function start(stream, callback)
    local subject = stream:lower()
    api:stream(stream, { subjects = { subject } })
    local server = nats.start(with_python {
      server = broker, params = { nats_js_consumer = ("stream=%s;durable=d"):format(stream), event_callback = callback },
    })
    stats.await(server, "nats.subscriptions", { state = "active" }, { stream = stream })
    return server, function(data) api.client:pub(subject, data) end
  end

  it("handles a message whatever it returns, including nothing and a negative number", function()
    local server, publish = start("PYTHON", "on_nats")
    local all = { "nothing", "nothing", "answers", "refuses", "raises", "nothing", "answers" }
    for _, data in ipairs(all) do publish(data) end
    local counted = stats.await(server, "nats.stats", { acked = #all })
    assert.equal(0, counted.naked)
    assert.equal(#all, server:count_log "heard nats:PYTHON: ")
    assert.equal(1, server:count_log "Unhandled exception in the Python code") -- the one that is raised
    assert.equal(0, server:count_log 'event_callback "on_nats" failed')
    server:stop()
  end)

  it("gives a message back when the function does not exist", function()
    local server, publish = start("MISSING", "on_nuts")
    for _ = 1, 3 do publish "x" end
    server:wait_log('event_callback "on_nuts" failed for nats:MISSING', 10, 3)
    assert.equal(0, stats.await(server, "nats.stats", { naked = 3 }).acked)
    server:stop()
  end)

  it("is called for each event of kazoo, too", function()
    local server = kazoo.start(with_python { rabbit = kazoo.shared_rabbit(), params = { event_callback = "on_kazoo" } })
    wait.until_(function() return server:count_log "heard kazoo:consumer%-event" >= 2 end, 10, "two events")
    assert.equal(1, server:count_log "heard kazoo:mod%-init")
    assert.equal(0, server:count_log "Unhandled exception")
    assert.equal(0, server:count_log "event_callback")
    server:stop()
  end)
end)
