-- Who Kamailio is to nats-server: tokens, nkeys, creds files. The right ones work, wrong ones are refused with the
-- server's reason, and no secret shows anywhere.
local files = require "support.files"
local nats = require "support.nats"
local nats_keys = require "support.nats_keys"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local stats = require "support.stats"
local wait = require "support.wait"

-- What is published on "echo" comes back through the server.
local events = { echo = [[xlog("L_NOTICE", "echo of $natsData\n");]] }

local function start(broker, params, more)
  local full = { num_publish_workers = 1, subject_queue_group = "echo:group" }
  for name, value in pairs(params) do full[name] = value end
  local options = { server = broker, params = full, events = events, debug = 3 }
  for name, value in pairs(more or {}) do options[name] = value end
  return nats.start(options)
end

local serial = 0

-- Until the subscription has reached the server, nothing comes back.
local function assert_carries(server)
  wait.until_(function()
    serial = serial + 1
    assert.equal(1, server:publish("echo", "number " .. serial))
    return wait.for_(function() return server:count_log("echo of number " .. serial) > 0 end, 0.5)
  end, 10, "an echo")
end

local function assert_secret(server, ...)
  local shown = { server:log() }
  for _, pid in ipairs(server:pids()) do shown[#shown + 1] = files.read(("/proc/%d/cmdline"):format(pid)) end
  for _, command in ipairs {
    "nats.stats", "nats.connections", "nats.subscriptions", "core.psx", "core.info", "core.modules", "pkg.stats",
  } do shown[#shown + 1] = server:rpc(command) end
  for _, secret in ipairs { ... } do
    for _, text in ipairs(shown) do
      local at = text:find(secret, 1, true)
      assert.is_nil(at, at and "a secret shows: " .. text:sub(math.max(1, at - 100), at + 20))
    end
  end
end

local function quoted(text) return (text:gsub("%p", "%%%0")) end

describe("Credentials of nats:", function()
  local keys, jwt_server

  setup(function()
    keys = nats_keys.make()
    jwt_server = nats_server.start { conf = keys:operator_conf() }
  end)

  teardown(function() jwt_server:stop() end)

  describe("nats_token", function()
    local broker
    setup(function() broker = nats_server.start { conf = 'authorization { token: "t0ken\\"s" }' } end)
    teardown(function() broker:stop() end)

    it("logs in", function()
      local server = start(broker, { nats_token = [[t0ken\"s]] })
      server:wait_log("connected to 127.0.0.1:%d+ with a token", 10, 2)
      assert_carries(server)
      assert_secret(server, "t0ken")
      server:stop()
    end)

    it("that is wrong is refused, with the server's reason, again and again", function()
      local server = start(broker, { nats_token = "wr0ng" })
      server:wait_log("ERROR.*cannot connect to 127.0.0.1:%d+: Authorization Violation", 10, 6)
      assert.equal("Authorization Violation", stats.one(server, "nats.connections").last_error)
      assert.equal(0, server:count_log("connected to 127"))
      assert_secret(server, "wr0ng")
      server:stop()
    end)

    it("gives way to the credentials of an address", function()
      local server = start(broker, {
        nats_token = "wr0ng", nats_url = ([[nats://t0ken\"s@127.0.0.1:%d]]):format(broker.port),
      })
      server:wait_log("connected to 127.0.0.1:%d+ with a token", 10, 2)
      assert_carries(server)
      assert_secret(server, "t0ken", "wr0ng")
      server:stop()
    end)
  end)

  describe("nats_nkey", function()
    local broker
    setup(function()
      broker = nats_server.start { conf = ("authorization { users: [ { nkey: %s } ] }"):format(keys.user) }
    end)
    teardown(function() broker:stop() end)

    it("logs in", function()
      local file = keys:file("user.nk", keys.user_seed .. "\n")
      local server = start(broker, { nats_nkey = file })
      server:wait_log("connected to 127.0.0.1:%d+ with the nkey of " .. quoted(file), 10, 2)
      assert_carries(server)
      assert_secret(server, keys.user_seed)
      assert.equal(0, server:count_log("contains a secret"))
      server:stop()
    end)

    it("that the server does not know is refused, until the file holds another", function()
      local file = keys:file("changing.nk", keys.stranger_seed)
      local server = start(broker, { nats_nkey = file })
      server:wait_log("ERROR.*cannot connect to 127.0.0.1:%d+: Authorization Violation", 10, 4)
      files.write(file, keys.user_seed)
      server:wait_log("connected to 127.0.0.1:%d+ with the nkey of", 15, 2)
      assert_carries(server)
      assert_secret(server, keys.user_seed, keys.stranger_seed)
      server:stop()
    end)

    it("is known to be readable by everybody", function()
      local file = keys:file("open.nk", keys.user_seed)
      files.must_run("chmod 644 " .. files.quote(file))
      local server = start(broker, { nats_nkey = file })
      assert.equal(1, server:count_log("WARNING.*nats_nkey: \"" .. quoted(file) .. '" contains a secret'))
      server:stop()
    end)
  end)

  describe("nats_creds", function()
    it("logs in", function()
      local file = keys:creds("user.creds", keys.user_jwt, keys.user_seed)
      local server = start(jwt_server, { nats_creds = file })
      server:wait_log("connected to 127.0.0.1:%d+ with the credentials of " .. quoted(file), 10, 2)
      assert_carries(server)
      assert_secret(server, keys.user_seed, keys.user_jwt)
      server:stop()
    end)

    it("logs in again when the server comes back, with what the file holds then", function()
      local broker = nats_server.start { conf = keys:operator_conf() }
      local file = keys:creds("back.creds", keys.user_jwt, keys.user_seed)
      local server = start(broker, { nats_creds = file })
      server:wait_log("connected to 127.0.0.1:%d+ with the cred", 10, 2)
      broker:kill9()
      server:wait_log("connection to .* lost", 10, 2)
      files.write(file, "nothing")
      broker:start_again()
      server:wait_log('cannot connect to .*: nats_creds "' .. quoted(file) .. '": no NATS USER JWT found', 15, 2)
      keys:creds("back.creds", keys.user_jwt, keys.user_seed)
      server:wait_log("connected to 127.0.0.1:%d+ with the cred", 20, 4)
      assert_carries(server)
      assert_secret(server, keys.user_seed, keys.user_jwt)
      server:stop()
      broker:stop()
    end)

    for name, jwt in pairs { ["that have expired"] = "expired_jwt", ["of an account that the server does not know"] =
      "unknown_account_jwt" } do
      it(name .. " are refused, with the server's reason, again and again", function()
        local server = start(jwt_server, { nats_creds = keys:creds(jwt .. ".creds", keys[jwt], keys.user_seed) })
        server:wait_log("ERROR.*cannot connect to 127.0.0.1:%d+: Authorization Violation", 10, 4)
        assert.equal(0, server:count_log("connected to 127"))
        assert_secret(server, keys.user_seed, keys[jwt])
        server:stop()
      end)
    end

    it("that expire end the connection, with the server's reason, until the file holds new ones", function()
      local brief = nats_keys.make() -- expires 6 s from now
      local broker = nats_server.start { conf = brief:operator_conf() }
      local server = start(broker, { nats_creds = brief:creds("brief.creds", brief.brief_jwt, brief.user_seed) })
      server:wait_log("connected to 127.0.0.1:%d+ with the cred", 5, 2)
      server:wait_log("ERROR.*connection to 127.0.0.1:%d+ lost: User Authentication Expired", 15, 2)
      server:wait_log("ERROR.*cannot connect to 127.0.0.1:%d+: Authorization Violation", 10, 2)
      brief:creds("brief.creds", brief.user_jwt, brief.user_seed)
      server:wait_log("connected to 127.0.0.1:%d+ with the cred", 15, 4)
      assert_carries(server)
      server:stop()
      broker:stop()
    end)

    it("with another user's seed are refused", function()
      local server = start(jwt_server, { nats_creds = keys:creds("mixed.creds", keys.user_jwt, keys.stranger_seed) })
      server:wait_log("ERROR.*cannot connect to 127.0.0.1:%d+: Authorization Violation", 10, 2)
      assert_secret(server, keys.user_jwt, keys.stranger_seed)
      server:stop()
    end)
  end)

  it("are those of the parameters for servers that a cluster announces, too", function()
    local cluster = 'authorization { token: "t0ken" }\ncluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }'
    local route = ports.free()
    local first = nats_server.start { conf = cluster:format(route, "") }
    local second = nats_server.start { conf = cluster:format(ports.free(), "nats://127.0.0.1:" .. route) }
    wait.until_(function() return first:log():find("Route connection created", 1, true) end, 10, "the cluster")
    local server = start(first, { nats_token = "t0ken" })
    server:wait_log("connected to 127.0.0.1:" .. first.port .. " with a token", 10, 2)
    first:kill9()
    server:wait_log("connected to 127.0.0.1:" .. second.port .. " with a token", 15, 2)
    assert_carries(server)
    server:stop()
    second:stop()
  end)

  describe("that cannot be used stop the start, and the line names", function()
    local function line_of(params)
      params.nats_url = "nats://127.0.0.1:" .. jwt_server.port
      local server, log = nats.try_start { params = params, debug = 3 }
      if server then server:stop() end
      assert.is_nil(server, "it started")
      for _, secret in ipairs { "t0ken", keys.user_seed, keys.user_jwt } do assert.is_nil(log:find(secret, 1, true)) end
      return assert(log:match("ERROR: nats [^\n]*nats_[^\n]*"), log)
    end

    it("a file that does not exist", function()
      assert.matches('nats_creds "/nowhere/user.creds": No such file', line_of { nats_creds = "/nowhere/user.creds" })
      assert.matches('nats_nkey "/nowhere/user.nk": No such file', line_of { nats_nkey = "/nowhere/user.nk" })
    end)

    it("a file that holds something else", function()
      local nothing = keys:file("nothing", "t0ken\n")
      assert.matches("nats_creds .*: no NATS USER JWT found", line_of { nats_creds = nothing })
      assert.matches("nats_nkey .*: no nkey seed", line_of { nats_nkey = nothing })
      local no_seed = keys:creds("no-seed.creds", keys.user_jwt, "none")
      assert.matches("nats_creds .*: no USER NKEY SEED found", line_of { nats_creds = no_seed })
    end)

    it("a seed that was mistyped", function()
      local wrong = keys.user_seed:sub(20, 20) == "A" and "B" or "A" -- of the last one some bits are unused
      local file = keys:file("typo.nk", keys.user_seed:sub(1, 19) .. wrong .. keys.user_seed:sub(21))
      assert.matches("nats_nkey .*: the seed has a wrong checksum", line_of { nats_nkey = file })
    end)

    it("the parameters, when there is more than one kind", function()
      local creds = keys:creds("one.creds", keys.user_jwt, keys.user_seed)
      local nkey = keys:file("one.nk", keys.user_seed)
      for _, params in ipairs {
        { nats_token = "t0ken", nats_creds = creds }, { nats_token = "t0ken", nats_nkey = nkey },
        { nats_creds = creds, nats_nkey = nkey },
      } do assert.matches("nats_token, nats_creds and nats_nkey exclude each other", line_of(params)) end
    end)
  end)
end)
