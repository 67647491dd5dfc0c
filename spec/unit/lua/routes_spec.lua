local unpack = unpack or table.unpack -- luacheck: ignore 143
local cjson = require "cjson"
local routes = require "kemibus.routes"

local base = "kazoo:consumer-event"

local function keys(payload, subscription)
  return { routes.event_key(payload, subscription or {}) }
end

describe("kemibus.routes", function()
  describe("key_names", function()
    it("falls back from the subscription to the module's parameters to the manual", function()
      assert.same({ "Event-Category", "Event-Name" }, { routes.key_names({}) })
      assert.same({ "A", "B" }, { routes.key_names({ default_event_key = "A", default_event_subkey = "B" }) })
      local own = { event_key = "C", default_event_key = "A", default_event_subkey = "B" }
      assert.same({ "C", "B" }, { routes.key_names(own) })
      assert.same({ "Event-Category", "D" }, { routes.key_names({ event_key = "", event_subkey = "D" }) })
    end)
  end)

  it("have one name for a raw message of AMQP", function()
    assert.same({ base .. "-raw" }, routes.route_names({ bus = "kazoo", raw = true }))
  end)

  describe("event_key", function()
    it("reads the two fields", function()
      assert.same({ "presence", "update" }, keys({ ["Event-Category"] = "presence", ["Event-Name"] = "update" }))
    end)

    for _, case in ipairs({
      { "a number", 5, "5" },
      { "a large number", 2 ^ 40, "1099511627776" },
      { "a larger number", 1733000000123456, "1733000000123456" },
      { "an infinite number", 1e999, nil },
      { "a fraction", 0.5, "0.5" },
      { "true", true, "true" },
      { "false", false, "false" },
      { "null", cjson.null, nil },
      { "an object", { a = 1 }, nil },
      { "an array", { "a" }, nil },
      { "the empty string", "", nil },
      { "a NUL byte", "\0", "\0" },
      { "600 characters", ("x"):rep(600), ("x"):rep(600) },
    }) do
      local what, value, wanted = case[1], case[2], case[3]
      it("takes " .. what .. " for " .. (wanted and "text" or "nothing"), function()
        local key, subkey = routes.event_key({ ["Event-Category"] = value, ["Event-Name"] = "n" }, {})
        assert.equal(wanted, key)
        assert.equal("n", subkey)
      end)
    end

    it("takes the subscription's own names for values that are missing", function()
      local subscription = { event_key = "Kind", event_subkey = "Part" }
      assert.same({ "k", "p" }, keys({ Kind = "k", Part = "p", ["Event-Name"] = "no" }, subscription))
      assert.same({ "Kind", "Part" }, keys({}, subscription))
      assert.same({ "Kind", "Part" }, keys({ Kind = {}, Part = cjson.null }, subscription))
    end)

    it("does not take the module's default names for values", function()
      assert.same({}, keys({}, { default_event_key = "A", default_event_subkey = "B" }))
    end)
  end)

  describe("route_names for kazoo", function()
    local function names(key, subkey)
      return routes.route_names({ bus = "kazoo", key = key, subkey = subkey, key_name = "Event_Kind", subkey_name = "Name" })
    end

    it("orders names from the most specific to the most general", function()
      assert.same({
        base .. "-presence-mwi-update", base .. "-presence", base .. "-event-kind-name", base .. "-event-kind", base,
      }, names("Presence", "MWI_Update"))
    end)

    it("leaves out what the payload lacks", function()
      local rest = { base .. "-event-kind-name", base .. "-event-kind", base }
      assert.same({ base .. "-a", unpack(rest) }, names("a", nil))
      assert.same(rest, names(nil, nil))
      assert.same(rest, names(nil, "b"))
    end)

    it("takes any bytes", function()
      assert.equal(base .. "-%s\0\255-" .. ("a"):rep(600), names("%S\0\255", ("A"):rep(600))[1])
    end)
  end)

  describe("route_names for nats", function()
    it("names the subject as it was subscribed", function()
      assert.same({ "nats:calls" }, routes.route_names({ bus = "nats", subscription = { subject = "calls" } }))
    end)

    it("adds a name that kamailio.cfg can spell", function()
      local function names(subject) return routes.route_names({ bus = "nats", subscription = { subject = subject } }) end
      assert.same({ "nats:calls.*", "nats:calls-any" }, names("calls.*"))
      assert.same({ "nats:a.b_c.>", "nats:a-b_c-all" }, names("a.b_c.>"))
      assert.same({ "nats:$SYS.x", "nats:_SYS-x" }, names("$SYS.x"))
    end)

    it("puts the subject that a message came by under a wildcard before the subscription's", function()
      local function names(subject, subscribed)
        return routes.route_names({ bus = "nats", subject = subject, subscription = { subject = subscribed } })
      end
      assert.same({ "nats:calls.*", "nats:calls-new", "nats:calls-any" }, names("calls.new", "calls.*"))
      assert.same({ "nats:>", "nats:a-b", "nats:all" }, names("a.b", ">"))
      assert.same({ "nats:calls" }, names("calls", "calls"))
    end)

    it("names the module's own events", function()
      for name in pairs(routes.NATS_EVENTS) do
        assert.same({ "nats:" .. name }, routes.route_names({ bus = "nats", key = name, subscription = {} }))
      end
    end)

    it("does not take a message for one of the module's own events, whatever its subject", function()
      local function names(subject, subscribed)
        return routes.route_names({ bus = "nats", subject = subject, subscription = { subject = subscribed } })
      end
      for name in pairs(routes.NATS_EVENTS) do
        local dotted = name:gsub("-", ".")
        assert.same({ "nats:>", "nats:all" }, names(name, ">"))
        assert.same({ "nats:>", "nats:all" }, names(dotted, ">"))
        assert.same({ "nats:" .. dotted }, names(dotted, dotted))
      end
    end)
  end)

  it("refuses an unknown bus", function()
    assert.error_matches(function() routes.route_names({}) end, 'event.bus is nil: must be "kazoo" or "nats"')
  end)
end)
