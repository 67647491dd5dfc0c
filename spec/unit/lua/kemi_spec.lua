local kemi = require "kemibus.kemi"

describe("kemibus.kemi", function()
  local payload, called

  local function handler(name)
    return function(event)
      called = { name = name, event = event }
      return name .. " result"
    end
  end

  local handlers = {
    ["kazoo:mod-init"] = handler("init"),
    ["kazoo:consumer-event-presence-update"] = handler("update"),
    ["kazoo:consumer-event-kind"] = handler("kind"),
    ["kazoo:consumer-event-connection-open"] = handler("open"),
    ["kazoo:consumer-event-event-package"] = handler("by field"),
    ["kazoo:consumer-event"] = handler("any"),
  }
  local on = kemi.kazoo(handlers, function() return payload end)

  before_each(function() payload, called = nil, nil end)

  it("calls the handler of an event by its own name", function()
    assert.equal("init result", on("kazoo:mod-init"))
    assert.equal("kazoo:mod-init", called.event.route)
  end)

  it("finds the handler by the keys of the payload", function()
    payload = ' {"Event-Category":"presence","Event-Name":"update","n":5}'
    assert.equal("update result", on("kazoo:consumer-event"))
    assert.equal(5, called.event.payload.n)
    assert.equal("presence", called.event.key)
    assert.equal("kazoo:consumer-event-presence-update", called.event.route)
  end)

  it("falls back to the most general handler", function()
    payload = "{}"
    assert.equal("any result", on("kazoo:consumer-event"))
  end)

  it("takes keys of a subscription", function()
    payload = '{"AMQP-Received":1}'
    local with_keys = kemi.kazoo(handlers, function() return payload end, { event_key = "Kind" })
    assert.equal("kind result", with_keys("kazoo:consumer-event"))
  end)

  describe("with other fields for the keys", function()
    local subscription = { event_key = "Kind", default_event_key = "Event-Package" }
    local with_fields = kemi.kazoo(handlers, function() return payload end, subscription)

    it("finds the handler of the module's own events by their own fields", function()
      payload = '{"Event-Category":"connection","Event-Name":"open","host":"h","zone":"local"}'
      assert.equal("open result", with_fields("kazoo:consumer-event"))
      assert.same({ "connection", "open" }, { called.event.key, called.event.subkey })
    end)

    it("finds the handler by the name of the field, as the event routes are found", function()
      payload = '{"Event-Category":"message","Event-Name":"returned"}'
      assert.equal("by field result", with_fields("kazoo:consumer-event"))
    end)

    it("does not take a delivery for one of the module's own events", function()
      payload = '{"Event-Category":"connection","Event-Name":"open","AMQP-Received":1700000000}'
      assert.equal("kind result", with_fields("kazoo:consumer-event"))
    end)
  end)

  for _, text in ipairs({ "", "[]", "5", "null", "{", "\0" }) do
    it(("refuses the payload %q"):format(text), function()
      payload = text
      assert.same({ nil, "the payload is not a JSON object" }, { on("kazoo:consumer-event") })
      assert.is_nil(called)
    end)
  end

  it("says when there is no handler", function()
    payload = "{}"
    local none = kemi.kazoo({}, function() return payload end)
    assert.same({ nil, "no handler for kazoo:consumer-event" }, { none("kazoo:consumer-event") })
    assert.same({ nil, "no handler for kazoo:mod-init" }, { none("kazoo:mod-init") })
  end)

  it("passes on errors of a handler", function()
    payload = "{}"
    local failing = kemi.kazoo({ ["kazoo:consumer-event"] = function() error("boom", 0) end }, function() return payload end)
    assert.has_error(function() failing("kazoo:consumer-event") end, "boom")
  end)
end)
