-- What examples/policy/policy.lua names; spec/system/quickstart_spec.lua runs it inside of Kamailio.
local policy = dofile("examples/policy/policy.lua")
local routes = require "kemibus.routes"

local function names(subject, subscribed)
  return policy.route_names({ bus = "nats", subject = subject, subscription = { subject = subscribed } })
end

describe("examples/policy/policy.lua", function()
  it("names a route for each kind of message, before those of the default", function()
    assert.same({ "nats:phones-registered", "nats:phones.>", "nats:phones-registered-alice", "nats:phones-all" },
      names("phones.registered.alice", "phones.>"))
    assert.same({ "nats:>", "nats:phones", "nats:all" }, names("phones", ">"))
  end)

  it("does not take a message for one of the module's own events", function()
    for name in pairs(routes.NATS_EVENTS) do
      local dotted = name:gsub("-", ".")
      assert.same({ "nats:>", "nats:all" }, names(dotted, ">"))
    end
    assert.same({ "nats:>", "nats:lame-duck-now", "nats:all" }, names("lame.duck.now", ">"))
  end)
end)
