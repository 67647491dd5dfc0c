-- Settings of durable consumers that are wrong, or have no event route.
local nats = require "support.nats"
local ports = require "support.ports"

describe("nats_js_consumer at the start", function()
  it("is warned of when there is no event route for it", function()
    local server = nats.start {
      params = {
        nats_url = "nats://127.0.0.1:" .. ports.free(),
        nats_js_consumer = { "stream=S;durable=d;event=calls", "stream=T;durable=d", "stream=U;durable=d;filter=u.*" },
      },
      events = { T = "drop;" },
    }
    assert.equal(1, server:count_log 'no event route found for "')
    server:wait_log('WARNING: nats.*nats_js_consumer: no event route found for "calls", tried: nats:calls$')
    server:stop()
  end)

  for text, said in pairs {
    ["durable=d"] = "must name a stream and a durable consumer", ["stream=a.b;durable=d"] = "must not contain dots",
    ["stream=S;durable=d;ack_wait=x"] = "ack_wait=x", ["stream=S;durable=d;colour=red"] = 'unknown field "colour"',
    ["stream=S;durable=d;deliver=some"] = "deliver=some", ["nonsense"] = '"nonsense" is not of the form',
    ["stream=S;durable=d;filter=a..b"] = "empty",
    ["stream=S;durable=d;deliver=last_per_subject"] = "deliver=last_per_subject needs a filter",
  } do
    it("refuses " .. text, function()
      local server, log = nats.try_start { params = { nats_js_consumer = text } }
      if server then server:stop() end
      assert.is_nil(server)
      assert.truthy(log:find(said, 1, true), log)
    end)
  end
end)
