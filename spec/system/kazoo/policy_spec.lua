local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local ports = require "support.ports"

local mod_init = [[kazoo_subscribe("{'exchange':'px', 'type':'topic', 'queue':'QUEUE', 'routing':'#'}");]]
local servers = 0

describe("A Lua policy", function()
  local rabbit, client, server

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
  end)

  after_each(function()
    if server then
      assert.is_nil(server:crash())
      server:stop()
    end
    server = nil
  end)

  local function start(policy, options)
    local full = {
      rabbit = rabbit, events = kazoo.notes {
        "consumer-event-mine", "consumer-event-mine-sub", "consumer-event-theirs", "consumer-event", "elsewhere",
      },
    }
    for name, value in pairs(options or {}) do full[name] = value end
    servers = servers + 1
    full.mod_init = mod_init:gsub("QUEUE", "policy-" .. servers)
    full.params = { lua_policy = "$FOLDER/policy.lua", amqp_consumer_processes = 1 }
    full.files = { ["policy.lua"] = policy }
    for name, text in pairs(options and options.files or {}) do full.files[name] = text end
    server = kazoo.start(full)
    server:wait_log('consuming from queue "policy')
  end

  local serial = 0

  -- The route that ran for this JSON (an object without its end), sent with this routing key.
  local function route_of(json, key)
    serial = serial + 1
    local id = ('"id":"policy %d."'):format(serial)
    client:publish("px", key or "some.key", json .. (json == "{" and "" or ",") .. id .. "}")
    return server:event(id).route
  end

  it("sets what a message is about", function()
    start [[return { event_key = function(payload) return payload.mine and "mine", payload.mine end }]]
    assert.equal("consumer-event-mine-sub", route_of '{"mine":"sub"')
    assert.equal("consumer-event-mine", route_of '{"mine":"other"')
    assert.equal("consumer-event", route_of '{"Event-Category":"theirs"')
  end)

  it("names the routes, of any kind, or leaves that to the default", function()
    start [[return { route_names = function(event)
      if event.routing_key == "go.elsewhere" then return { "kazoo:nowhere", "kazoo:elsewhere" } end
      if event.routing_key == "go.nowhere" then return {} end
    end }]]
    assert.equal("elsewhere", route_of("{", "go.elsewhere"))
    client:publish("px", "go.nowhere", '{"id":"ran nowhere"}')
    assert.equal("consumer-event-theirs", route_of '{"Event-Category":"Theirs"')
    assert.equal(0, server:count_log("no event route found for message"))
    for _, event in ipairs(server:events()) do assert.is_nil(event.text:find("ran nowhere", 1, true)) end
  end)

  it("that names only missing routes is logged with their names, once for many messages", function()
    start [[return { route_names = function(event)
      if event.routing_key == "go.nowhere" then return { "kazoo:nowhere", "kazoo:no-place" } end
    end }]]
    for _ = 1, 20 do client:publish("px", "go.nowhere", "{}") end
    route_of "{"
    server:wait_log('WARNING: .*kazoo: no event route found for message with routing key "go.nowhere", tried: '
      .. "kazoo:nowhere, kazoo:no%-place %(1 so far")
    assert.equal(1, server:count_log("no event route found for message"))
  end)

  it("sees the message as docs/policies.md says", function()
    start [[return { route_names = function(e)
      if e.exchange ~= "px" then return end
      log("notice", table.concat({ "seen", e.bus, e.payload.a[2], e.key, e.subkey, e.key_name, e.subkey_name, e.exchange,
        e.routing_key, e.subscription.exchange, tostring(e.redelivered), #e.text > 10 and "text" or "" }, "|"))
    end }]]
    route_of('{"a":[1,2],"Event-Category":"K","Event-Name":"S"', "r.k")
    server:wait_log("seen|kazoo|2|K|S|Event%-Category|Event%-Name|px|r%.k|px|false|text")
  end)

  it("keeps state between messages", function()
    start [[
      local n = 0
      return { event_key = function(payload)
        n = n + 1
        return n > 1 and "mine" or nil
      end }]]
    assert.equal("consumer-event", route_of "{")
    assert.equal("consumer-event-mine", route_of "{")
  end)

  it("uses cjson, kemibus and files beside it", function()
    start([[
      local helper = require "helper"
      local routes = require "kemibus.routes"
      return { event_key = function(payload, subscription)
        assert(require("cjson").decode("[1]")[1] == 1)
        return helper.key, (routes.event_key(payload, subscription))
      end }]], { files = { ["helper.lua"] = 'return { key = "mine" }' } })
    assert.equal("consumer-event-mine-sub", route_of '{"Event-Category":"sub"')
  end)

  local failures = {
    ["errors"] = { [[return { event_key = function(payload)

      return payload.missing.field
    end }]], "event_key %(line 1%): policy%.lua:3: attempt to index field 'missing'" },
    ["errors while it names routes"] = { [[return { route_names = function() error("no names today") end }]],
      "route_names %(line 1%): policy%.lua:1: no names today" },
    ["throws something that is no text"] = { [[return { event_key = function() error({}) end }]],
      "event_key %(line 1%): " },
    ["loops for ever"] = { [[return { event_key = function() while true do end end }]], "event_key %(line 1%): " },
    ["loops for ever in compiled code"] = { [[return { event_key = function()
      local n = 0
      for i = 1, 1e15 do n = n + bit.band(i, 7) end
      return tostring(n)
    end }]], "event_key %(line 1%): " },
    ["loops for ever inside pcall"] = { [[return { event_key = function()
      while true do pcall(function() while true do end end) end
    end }]], "event_key %(line 1%): " },
    ["eats memory"] = { [[return { event_key = function()
      local all = {}
      while true do all[#all + 1] = ("x"):rep(1e6) .. #all end
    end }]], "event_key %(line 1%): " },
    ["recurses without end"] = { [[local function f() return 1 + f() end
      return { event_key = f }]], "event_key %(line 1%): stack overflow" },
    ["returns what is no key"] = { [[return { event_key = function() return {} end }]],
      "event_key %(line 1%): returned a table: a key is a string or nil" },
    ["returns what is no list"] = { [[return { route_names = function() return "kazoo:elsewhere" end }]],
      "route_names %(line 1%): returned a string: a list of route names is needed" },
    ["returns a list with something else inside"] = { [[return { route_names = function() return { "x", 7 } end }]],
      "route_names %(line 1%): returned a list whose item 2 is a number" },
    ["breaks the payload and errors"] = { [[return { event_key = function(payload)
      for k in pairs(payload) do payload[k] = nil end
      error("broken")
    end }]], "event_key %(line 1%): policy%.lua:3: broken" },
  }
  for what, case in pairs(failures) do
    it(what .. ": it is logged with file and line, and the default is used", function()
      start(case[1])
      for _ = 1, 2 do assert.equal("consumer-event-theirs", route_of '{"Event-Category":"theirs"') end
      server:wait_log("ERROR.*lua_policy .*policy%.lua: " .. case[2])
    end)
  end

  it("that fails often is logged once a second, with a count", function()
    start [[return { event_key = function() error("again") end }]]
    for _ = 1, 50 do client:publish_all("px", "k", { "{}", "{}", "{}", "{}" }) end
    route_of "{"
    local lines = server:count_log("lua_policy .*again")
    assert.is_true(lines >= 1 and lines < 20, lines .. " lines")
    assert.matches("%(%d+ so far%)", server:wait_log("lua_policy .*again"))
  end)

  it("cannot touch what lies outside", function()
    local forbidden = {
      "io", "debug", "package", "os.execute", "os.exit", "os.remove", "dofile", "loadfile", "require 'ffi'", "string.dump",
      "collectgarbage", "getfenv", "jit",
    }
    local probes = {}
    for i, name in ipairs(forbidden) do
      probes[i] = ("{ %q, function() return %s end }"):format(name, name)
    end
    start(([[return { event_key = function()
      local found = {}
      for _, probe in ipairs({ %s }) do
        local ok, value = pcall(probe[2])
        if ok and value ~= nil then found[#found + 1] = probe[1] end
      end
      return #found == 0 and "mine" or table.concat(found, "-")
    end }]]):format(table.concat(probes, ", ")))
    assert.equal("consumer-event-mine", route_of "{")
  end)

  describe("beside app_lua", function()
    local script = [[
      local cjson = require "cjson"
      function check()
        KSR.pv.sets("$var(out)", _VERSION .. " " .. tostring(jit) .. " " .. cjson.encode(cjson.decode('[1,"x"]')))
      end]]
    local load = 'loadmodule "app_lua.so"\nmodparam("app_lua", "load", "$FOLDER/script.lua")'
    -- bit is of LuaJIT only.
    local policy = [[
      local cjson = require "cjson"
      return { event_key = function(payload)
        return bit.bor(1, 2) == 3 and cjson.encode({ cjson.null }) == "[null]" and "mine"
      end }]]
    for order, place in pairs { before = "before", after = "settings" } do
      it("loaded " .. order .. " kazoo, each has its own Lua and its own cjson", function()
        start(policy, {
          [place] = load, files = { ["script.lua"] = script },
          routes = { check = 'lua_run("check"); $var(rc) = 1;' },
        })
        assert.equal('Lua 5.1 nil [1,"x"]', select(2, server:call("check")))
        assert.equal("consumer-event-mine", route_of "{")
        assert.equal('Lua 5.1 nil [1,"x"]', select(2, server:call("check")))
      end)

      it("loaded " .. order .. " kazoo, a policy that fails is caught", function()
        start("return { event_key = function(p) return p.x.y end }", {
          [place] = load, files = { ["script.lua"] = script },
        })
        assert.equal("consumer-event-theirs", route_of '{"Event-Category":"theirs"')
        server:wait_log("policy%.lua:1: attempt to index field 'x'")
      end)
    end
  end)
end)

describe("A Lua policy beside event_callback", function()
  it("is never called, and a warning says so", function()
    local server = kazoo.start {
      lua = "function ksr_request_route() end function on_kazoo() end",
      files = { ["policy.lua"] = "return {}" },
      params = {
        amqp_connection = "amqp://127.0.0.1:" .. ports.free(), lua_policy = "$FOLDER/policy.lua",
        event_callback = "on_kazoo",
      },
    }
    server:wait_log('WARNING: kazoo.*lua_policy: ".*/policy.lua" is never used: event_callback "on_kazoo" receives')
    server:stop()
  end)
end)

describe("A KEMI script in Lua", function()
  local kemi = [[
    local cjson = require "cjson"
    function ksr_request_route()
      KSR.sl.sl_send_reply(200, _VERSION .. " " .. tostring(jit) .. " " .. cjson.encode({ 1 }))
    end
    function ksr_kazoo_event(name)
      if name == "kazoo:mod-init" then
        KSR.kazoo.kazoo_subscribe("{'exchange':'px', 'type':'topic', 'queue':'policy-kemi', 'routing':'#'}")
      else
        KSR.notice("kemi saw " .. tostring(cjson.decode(KSR.pv.get("$kzE")).id) .. "\n")
      end
    end]]
  for order, after in pairs { before = false, after = true } do
    it("loaded " .. order .. " kazoo decodes events with its own cjson", function()
      local rabbit = kazoo.shared_rabbit()
      local server = kazoo.start {
        rabbit = rabbit, lua = kemi, lua_after = after, params = { event_callback = "ksr_kazoo_event" },
      }
      server:wait_log('consuming from queue "policy%-kemi"')
      amqp.client(rabbit):publish("px", "k", '{"id":"its own"}')
      server:wait_log("kemi saw its own")
      assert.equal("Lua 5.1 nil [1]", server.sip:message("x").reason)
      assert.is_nil(server:crash())
      server:stop()
    end)
  end
end)
