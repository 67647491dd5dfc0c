-- The examples, run the way a newcomer would.
local files = require "support.files"
local kamailio = require "support.kamailio"
local kazoo = require "support.kazoo"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local amqp = require "support.amqp"
local process = require "support.process"
local wait = require "support.wait"

local command = "examples/quickstart/run"

-- A folder of this run's own, which RabbitMQ's user can enter: another run may be under way on this machine.
local temporary = files.must_run("mktemp -d /tmp/kemibus-spec-XXXXXX"):match("%S+")
files.must_run("chmod 755 " .. temporary)

local function left_behind() return files.run("ls " .. temporary) end

local function run(options, env)
  return files.run(("%s TMPDIR=%s %s %s </dev/null"):format(env or "", temporary, command, options or ""))
end

-- All of `parts` in their order.
local function assert_tells(output, parts)
  local at = 1
  for _, part in ipairs(parts) do
    local _, stop = output:find(part, at, true)
    assert(stop, ("%q is missing, or out of order, in:\n%s"):format(part, output))
    at = stop + 1
  end
end

describe("examples/quickstart/run", function()
  teardown(function() files.must_run("rmdir " .. temporary) end)

  it("shows each step, twice in a row, and leaves nothing behind", function()
    local before = left_behind()
    for _ = 1, 2 do
      local output, ok = run()
      assert.is_true(ok, output)
      assert_tells(output, {
        "REGISTER alice", "200 OK", "exchange amq.topic, routing key registered.alice", '"User": "alice"', '"Msg-ID"',
        "subject phones.registered", "event_route[nats:lookup]", '"Contact": "sip:alice@127.0.0.1:',
        "event_route[kazoo:consumer-event-phone-logout]", "alice is logged out (routing key phone.logout)",
        '"Contact": null', "cleaned up",
      })
      assert.is_nil(output:find("\27", 1, true), "colours without a terminal")
    end
    assert.equal(before, left_behind())
  end)

  it("does the same with the routes in Lua", function()
    local output, ok = run("--kemi")
    assert.is_true(ok, output)
    assert_tells(output, {
      "examples/kemi/kamailio.cfg", "routing key registered.alice", "subject phones.registered",
      '"Contact": "sip:alice@127.0.0.1:', "alice is logged out", '"Contact": null',
    })
  end)

  it("says what failed, with the logs, when a step does", function()
    local before = left_behind()
    local folder = files.new_folder("quickstart")
    files.write(folder .. "/nats-server", "#!/bin/sh\necho the disk is made of cheese\nexit 1\n")
    files.must_run("chmod +x " .. folder .. "/nats-server")
    local output, ok = run("", ("PATH=%s:$PATH"):format(folder))
    assert.is_false(ok)
    assert_tells(output, { "the disk is made of cheese", "The quickstart failed: nats-server ended at its start" })
    assert.equal(before, left_behind())
  end)

  it("refuses options that it does not know", function()
    local output, ok = run("--nonsense")
    assert.is_false(ok)
    assert_tells(output, { "--keep" })
  end)
end)

describe("examples/quickstart/run --keep", function()
  local kept

  -- The command of the text that begins like this; a backslash at a line's end goes on with the next.
  local function told(beginning)
    local text = kept:log():gsub("\\\n%s*", "")
    for line in text:gmatch("[^\n]+") do
      if line:find("^%s+" .. beginning) then return line end
    end
    error("no line begins with " .. beginning .. " in:\n" .. kept:log())
  end

  local function try(...)
    return files.run("timeout 10 bash -c " .. files.quote(table.concat({ ... }, "\n")))
  end

  setup(function()
    kept = process.spawn {
      name = "quickstart", folder = files.new_folder("quickstart"), command = { files.root .. "/" .. command, "--keep" },
    }
    wait.until_(function() return not kept:alive() or kept:log():find("Ctrl-C", 1, true) end, 120, "the quickstart")
    assert.is_true(kept:alive(), kept:log())
  end)

  it("prints commands that work", function()
    local folder = files.new_folder("quickstart")
    files.run(("{ timeout 20 bash -c %s; } >%s/amqp 2>&1 &"):format(files.quote(told("amqp%-consume")), folder))
    files.run(("{ timeout 20 bash -c %s; } >%s/nats 2>&1 &"):format(files.quote(told("exec .*phones")), folder))
    -- A consumer that comes after the first registration sees the next.
    wait.until_(function()
      try(told("sipsak"))
      return (files.read(folder .. "/amqp") or ""):find('"User":"bob"', 1, true)
        and (files.read(folder .. "/nats") or ""):find('"User":"bob"', 1, true)
    end, 15, "what the watching commands print")
    assert_tells(try(told("kamcmd .* ul.dump")), { "AoR: bob" })
    assert_tells(try(told("exec 3<>/dev/tcp/[%d./]+$"), told("printf")), { '"Contact":"sip:bob@127.0.0.1:5099"' })
    try(told("amqp%-publish"))
    wait.until_(function()
      return try(told("exec 3<>/dev/tcp/[%d./]+$"), told("printf")):find('"Contact":null', 1, true)
    end, 10, "bob to be logged out")
  end)

  it("stops all of it when told to", function()
    local folder = kept:log():match("(/tmp/kemibus%-quickstart%-%w+)/")
    assert.is_true(files.exists(folder))
    process.signal(tonumber(kept:log():match("kill (%d+)")), "TERM")
    assert.equal(0, kept:wait(20))
    assert_tells(kept:log(), { "Stopped, and cleaned up" })
    assert.is_false(files.exists(folder))
    assert.equal(0, #kept:members())
  end)
end)

describe("examples/policy/policy.lua", function()
  local rabbit, nats, server

  setup(function()
    rabbit, nats = kazoo.shared_rabbit(), nats_server.start()
    server = assert(kamailio.start { cfg = ([[
loadmodule "kazoo.so"
loadmodule "nats.so"
modparam("kazoo", "node_hostname", "spec.example")
modparam("kazoo", "amqp_connection", "%s")
modparam("kazoo", "lua_policy", "%s/examples/policy/policy.lua")
modparam("nats", "nats_url", "%s")
modparam("nats", "lua_policy", "%s/examples/policy/policy.lua")
modparam("nats", "subject_queue_group", "phones.>:kamailio")
event_route[kazoo:mod-init] {
  kazoo_subscribe("example-policy", "topic", "example-policy", "#");
}
event_route[kazoo:consumer-event-phone-logout] {
  xlog("L_NOTICE", "logout of $(kzE{kz.json,User})\n");
}
event_route[nats:phones-registered] {
  xlog("L_NOTICE", "registered: $natsData\n");
}
]]):format(rabbit.url, files.root, nats.url, files.root) })
    server:wait_log("consuming from queue")
    server:wait_log("nats: connected", 10, 3)
  end)

  teardown(function()
    server:stop()
    nats:stop()
  end)

  it("names AMQP events by its own field and by the usual ones", function()
    local client = amqp.client(rabbit)
    client:publish("example-policy", "k", '{"type":"phone.logout","User":"one"}')
    client:publish("example-policy", "k", '{"Event-Category":"phone","Event-Name":"logout","User":"two"}')
    server:wait_log("logout of one")
    server:wait_log("logout of two")
  end)

  it("gives each kind of message of a wildcard its route", function()
    local client = nats_client.connect { port = nats.port }
    wait.until_(function()
      client:pub("phones.registered.alice", "alice")
      client:flush()
      return server:count_log("registered: alice") > 0
    end, 10, "the route of phones.registered.*")
    client:close()
  end)
end)
