-- A policy of the operator's for the nats module.
local files = require "support.files"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local wait = require "support.wait"

describe("lua_policy of nats", function()
  local broker

  setup(function() broker = nats_server.start() end)
  teardown(function() broker:stop() end)

  local function start(policy)
    return nats.try_start {
      server = broker, files = { ["policy.lua"] = policy },
      params = { subject_queue_group = { "in.>:group", "plain:group" }, lua_policy = "$FOLDER/policy.lua" },
      events = {
        plain = [[xlog("L_NOTICE", "default route: $natsData\n");]],
        chosen = [[xlog("L_NOTICE", "chosen route: $natsData\n");]],
        ["in-phone"] = [[xlog("L_NOTICE", "phone route: $natsData\n");]],
      },
    }
  end

  -- Until the subscription is active, what is published is lost. A policy that fails may take long, so no more is published
  -- while that may be under way.
  local function publish_until(server, subject, payload, pattern, times)
    local client = nats_client.connect { port = broker.port }
    wait.until_(function()
      client:pub(subject, payload)
      client:flush()
      return wait.for_(function() return server:count_log(pattern) >= (times or 1) end, 2)
    end, 30, pattern)
    client:close()
  end

  it("replaces route_names", function()
    local server = assert(start [[
      return { route_names = function(event)
        if event.text == "choose" then return { "nats:missing", "nats:chosen" } end
        if event.subject:find("^in") then return { "nats:in-" .. event.subject:match("%.(.*)") } end
      end }
    ]])
    publish_until(server, "plain", "choose", "chosen route: choose")
    publish_until(server, "in.phone", "ring", "phone route: ring")
    publish_until(server, "plain", "as ever", "default route: as ever")
    server:stop()
  end)

  it("that fails on a message is logged with its line, and the default is used", function()
    local server = assert(start [[
      return { route_names = function(event)
        if event.text == "loop" then while true do end end
        if event.text == "deep" then
          local function f() return (("x"):gsub("x", f)) end
          f()
        end
        if event.text == "resume" then
          local function f() return coroutine.wrap(f)() end
          f()
        end
        if event.text == "fail" then error("out of cheese") end
        return { "nats:chosen" }
      end }
    ]])
    publish_until(server, "plain", "fail", "default route: fail")
    local line = server:wait_log("out of cheese")
    assert.truthy(line:find("policy.lua", 1, true), line)
    assert.truthy(line:find("using the default", 1, true), line)
    publish_until(server, "plain", "loop", "default route: loop")
    for n, text in ipairs { "deep", "resume" } do
      publish_until(server, "plain", text, "default route: " .. text)
      publish_until(server, "plain", text, "lua_policy .*policy%.lua: route_names %(line 1%): .*call depth limit", n)
    end
    assert.is_nil(server:crash())
    publish_until(server, "plain", "fine", "chosen route: fine")
    server:stop()
  end)

  for name, case in pairs {
    ["a syntax error"] = { "return {\n  route_names = function(\n}", "policy.lua:3" },
    ["an unknown function"] = { "return { route_name = print }", "unknown entry 'route_name'" },
    ["an error when it is loaded"] = { "\nerror('out of cheese')", "policy.lua:2" },
  } do
    it("with " .. name .. " stops the start", function()
      local server, log = start(case[1])
      assert.is_nil(server)
      assert.truthy(log:find("lua_policy", 1, true), log)
      assert.truthy(log:find(case[2], 1, true), log)
    end)
  end

  it("that does not exist stops the start", function()
    local missing = files.root .. "/no/such/policy.lua"
    local server, log = nats.try_start { server = broker, params = { lua_policy = missing } }
    assert.is_nil(server)
    assert.truthy(log:find(missing, 1, true), log)
  end)
end)

describe("lua_policy and the events of nats itself", function()
  local policy = { ["policy.lua"] = [[
    return { route_names = function(event)
      local s = event.subscription.subject
      log("notice", ("asked of %s, subject %s, text '%s', %s"):format(event.key, event.subject, event.text, s))
      if event.key == "connected" then return { "nats:chosen" } end
      if event.key == "disconnected" then return {} end
    end }]] }
  local events = {
    chosen = [[xlog("L_NOTICE", "chosen route\n");]], connected = [[xlog("L_NOTICE", "default route\n");]],
    disconnected = [[xlog("L_NOTICE", "default route\n");]],
  }

  for where, subscribed in pairs { ["where something is subscribed to"] = "in:group", ["of publishers"] = {} } do
    it("is asked which route they run, " .. where, function()
      local broker = nats_server.start()
      local server = nats.start {
        server = broker, files = policy, events = events,
        params = { num_publish_workers = 1, subject_queue_group = subscribed, lua_policy = "$FOLDER/policy.lua" },
      }
      server:wait_log "chosen route"
      server:wait_log "asked of connected, subject nil, text '', nil"
      broker:kill9()
      server:wait_log "asked of disconnected"
      broker:start_again()
      server:wait_log("chosen route", 20, 2)
      assert.equal(0, server:count_log "default route")
      server:stop()
      broker:stop()
    end)
  end

  it("is never called beside event_callback, and a warning says so", function()
    local server = nats.start {
      files = policy, lua = "function ksr_request_route() end\nfunction on_nats() end",
      params = {
        nats_url = "nats://127.0.0.1:" .. ports.free(), lua_policy = "$FOLDER/policy.lua", event_callback = "on_nats",
      },
    }
    server:wait_log('WARNING: nats.*lua_policy: ".*/policy.lua" is never used: event_callback "on_nats" receives all events')
    server:stop()
  end)
end)
