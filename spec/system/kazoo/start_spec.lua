local kazoo = require "support.kazoo"
local wait = require "support.wait"

local nobody = "amqp://127.0.0.1:1"

local function with(params)
  params.amqp_connection = params.amqp_connection or nobody
  return params
end

describe("Kamailio does not start", function()
  -- The log of a start that must fail.
  local function refusal_of(options)
    local server, log = kazoo.try_start(options)
    if server then
      server:stop()
      error("it started", 2)
    end
    return log
  end

  it("without node_hostname, and logs how to set it", function()
    assert.matches('ERROR.*node_hostname is not set: modparam%("kazoo", "node_hostname", .*required',
      refusal_of { params = with { node_hostname = false } })
    assert.matches("ERROR.*node_hostname is not set", refusal_of { params = with { node_hostname = "" } })
  end)

  local out_of_range = {
    amqp_consumer_processes = { -1, 0, 513 },
    amqp_consumer_workers = { -1, 0, 513 },
    amqp_consumer_loop_count = { 0, -5 },
    amqp_internal_loop_count = { 0 },
    amqp_consumer_ack_loop_count = { 0 },
    amqp_connect_timeout_sec = { -1 },
    amqp_connect_timeout_micro = { -1 },
    amqp_heartbeats = { -1, 65536 },
    amqp_outbox_size = { 0, 1000 },
    amqp_inbox_size = { 0, 1000 },
    amqps_verify_peer = { 7 },
    amqps_verify_hostname = { -1 },
    use_federated_exchange = { 9 },
    consume_messages_on_reconnect = { -3 },
    single_consumer_on_reconnect = { 2 },
  }
  for name, values in pairs(out_of_range) do
    it("with " .. name .. " out of its range, and names parameter, value and range", function()
      for _, value in ipairs(values) do
        assert.matches(("ERROR.*%s: %s must be between %%d+ and %%d+"):format(name, tostring(value):gsub("%-", "%%-")),
          refusal_of { params = with { [name] = value } })
      end
    end)
  end

  for _, name in ipairs { "amqp_connect_timeout", "amqp_query_timeout" } do
    it("with an " .. name .. " that is over before it begins", function()
      assert.matches(("ERROR.*%s_sec and %s_micro: 0 s and 500 us must be at least 1000 us together"):format(name, name),
        refusal_of { params = with { [name .. "_sec"] = 0, [name .. "_micro"] = 500 } })
    end)
  end

  it("with an amqp_result_avp that cannot be written", function()
    assert.matches('ERROR.*amqp_result_avp: "%$ci" must be a writable pseudo%-variable',
      refusal_of { params = with { amqp_result_avp = "$ci" } })
  end)

  it("with a json_escape_char of two characters", function()
    assert.matches('json_escape_char: "%%%%" must be one character',
      refusal_of { params = with { json_escape_char = "%%" } })
  end)

  it("with an asynchronous function and no tm, which the error names", function()
    for _, name in ipairs { "kazoo_async_query", "kazoo_query_async" } do
      assert.matches('ERROR.*kazoo_async_query: needs the tm module: loadmodule "tm.so"', refusal_of {
        params = with {}, without = "tm", routes = { ask = name .. [[("x", "y", "{}", "", "");]] },
      })
    end
  end)

  describe("with an amqp_connection that", function()
    local bad = {
      ["has another scheme"] = { "http://user:s3cret@host", "must begin with amqp://, amqps:// or kazoo://" },
      ["has no scheme"] = { "user:s3cret@host:5672", "must begin with amqp://" },
      ["has a port that is no number"] = { "amqp://user:s3cret@host:port/x", "must have the form amqp://" },
      ["has a broken escape"] = { "amqp://user:s3cret%zz@host/x", "must have the form amqp://" },
      ["is empty"] = { "", "must begin with amqp://" },
    }
    for what, case in pairs(bad) do
      it(what .. ", and tells which one without the password", function()
        local log = refusal_of { params = { amqp_connection = { nobody, case[1] } }, debug = 3 }
        assert.matches("ERROR.*amqp: address 2 of the list is invalid: .*" .. case[2], log)
        local shown = case[1]:gsub("s3cret[^@]*", "***")
        assert.is_truthy(log:find(('amqp_connection: "%s" is invalid'):format(shown), 1, true))
        assert.is_nil(log:find("s3cret", 1, true))
      end)
    end
  end)

  describe("with a lua_policy", function()
    local function refusal_of_policy(text)
      return refusal_of {
        params = with { lua_policy = "$FOLDER/policy.lua" }, files = { ["policy.lua"] = text },
      }
    end

    it("that does not exist", function()
      assert.matches("ERROR.*lua_policy: .*/nowhere/policy.lua: No such file",
        refusal_of { params = with { lua_policy = "/nowhere/policy.lua" } })
    end)

    it("with a syntax error, and gives file and line", function()
      assert.matches("ERROR.*lua_policy: .*policy.lua:2: unexpected symbol near", refusal_of_policy "return {\n= }")
    end)

    it("that fails when it is loaded, and gives file and line", function()
      assert.matches("ERROR.*lua_policy: .*policy.lua:3: no reason", refusal_of_policy "\n\nerror('no reason')")
    end)

    it("that loops when it is loaded", function()
      assert.matches("ERROR.*lua_policy: .*policy.lua", refusal_of_policy "while true do end")
    end)

    it("that returns something else than a table of functions", function()
      assert.matches("ERROR.*lua_policy: .*returns nothing, not a table", refusal_of_policy "local x = 1")
      assert.matches("ERROR.*lua_policy: .*returns a number, not a table", refusal_of_policy "return 7")
      assert.matches("ERROR.*lua_policy: .*event_key is a string, not a function",
        refusal_of_policy "return { event_key = 'x' }")
      assert.matches("ERROR.*lua_policy: .*unknown entry 'event_keys'",
        refusal_of_policy "return { event_keys = function() end }")
    end)
  end)
end)

describe("Kamailio starts", function()
  it("with every parameter of the stock module's manual, and says of each without an effect that it has none", function()
    local params = with {
      amqp_max_channels = 25, amqp_consumer_processes = 2, amqp_consumer_event_key = "A", amqp_consumer_event_subkey = "B",
      amqp_consumer_loop_count = 3, amqp_internal_loop_count = 1, amqp_consumer_ack_loop_count = 5,
      consume_messages_on_reconnect = 0, single_consumer_on_reconnect = 0, amqp_consumer_ack_timeout_sec = 1,
      amqp_consumer_ack_timeout_micro = 200000, amqp_interprocess_timeout_sec = 1,
      amqp_interprocess_timeout_micro = 200000, amqp_waitframe_timeout_sec = 1, amqp_waitframe_timeout_micro = 200000,
      amqp_query_timeout_sec = 1, amqp_query_timeout_micro = 200000, amqp_query_timeout_avp = "$var(kz_timeout)",
      db_url = { "mysql://kamailio@localhost/one", "mysql://kamailio@localhost/two" },
      presentity_table = "my_presentity_table", pua_mode = 0,
    }
    local server = kazoo.start { params = params }
    assert.equal(1, server:count_log "NOTICE: .*parameter pua_mode has no effect")
    assert.equal(1, server:count_log "NOTICE: .*amqp_max_channels: .*amqp_max_requests limits the requests in flight")
    for _, name in ipairs { "db_url", "presentity_table" } do
      assert.equal(1, server:count_log("WARNING: .*presence is not supported in this version, parameter " .. name .. " "))
    end
    server:stop()
  end)

  it("with fewer requests in flight where there is no address space for all, unless a number is set", function()
    local little = { "prlimit", "--as=8000000000" }
    local server = kazoo.start { params = with {}, prefix = little }
    assert.equal(1, server:count_log "NOTICE: .*amqp_max_requests: 1024 instead of 65536, there is no address space")
    server:stop()
    local none, log = kazoo.try_start { params = with { amqp_max_requests = 20000 }, prefix = little }
    assert.is_nil(none)
    assert.matches("ERROR: .*amqp_max_requests: cannot allocate shared memory for 20000 requests: Cannot allocate", log)
  end)

  it("with the further parameters that deployed configurations set", function()
    kazoo.start({ params = with {
      amqp_consumer_workers = 3, amqp_consumer_processes = 1, amqp_connect_timeout_sec = 2, amqp_connect_timeout_micro = 0,
      amqp_result_avp = "$avp(r)", amqp_timer_process_interval = 1, amqp_heartbeats = 5, amqp_primary_zone = "z",
      amqp_command_hashtable_size = 64, amqps_ca_cert = "x", amqps_cert = "x", amqps_key = "x", amqps_verify_peer = 1,
      amqps_verify_hostname = 1, json_escape_char = "^", app_name = "x", use_federated_exchange = 1,
      federated_exchange = "federation", pua_include_entity = 1, presence_use_full_entity = 0, pua_lock_type = 0,
    } }):stop()
  end)

  it("with as many workers as amqp_consumer_processes says, 4 when nothing does, else amqp_consumer_workers", function()
    local function workers(params)
      local server = kazoo.start { params = with(params) }
      server:wait_log("cannot connect", 10, 2) -- those processes are the last
      local _, count = server:rpc("core.psx"):gsub("kazoo worker", "")
      server:stop()
      return count
    end
    assert.equal(4, workers {})
    assert.equal(7, workers { amqp_consumer_processes = 7 })
    assert.equal(3, workers { amqp_consumer_workers = 3, amqp_consumer_processes = 2 })
  end)

  it("without tm when it uses no asynchronous function", function()
    local server = kazoo.start {
      params = with {}, without = "tm", routes = { ask = [[kazoo_query("x", "y", "{}");]] },
    }
    server:wait_log("cannot connect")
    assert.equal(-1, (server:call("ask")))
    assert.equal(0, server:count_log("needs the tm module"))
    server:stop()
  end)

  it("and its processes end when it is told to stop right after that", function()
    for _ = 1, 10 do
      local server = kazoo.start { params = with {} }
      server.process:signal("TERM")
      if not server.process:wait(2) then
        -- A process of Kamailio's own may hang (support.kamailio); ours would go on trying to connect.
        local tries = server:count_log("cannot connect")
        assert.is_nil(wait.for_(function() return server:count_log("cannot connect") > tries end, 3))
      end
      server:stop()
    end
  end)
end)

describe("At the start the log says", function()
  local password = "pa55word"
  local rabbit

  setup(function()
    rabbit = kazoo.shared_rabbit()
    rabbit:ctl("add_user", "speaker", password)
    rabbit:ctl("set_permissions", "speaker", ".*", ".*", ".*")
    rabbit:ctl("add_vhost", "other")
    rabbit:ctl("set_permissions", "-p", "other", "speaker", ".*", ".*", ".*")
  end)

  local function url(format, ...) return format:format(...):gsub("HOST", rabbit.host .. ":" .. rabbit.port) end

  -- The log of a server with this address once it is connected, after an orderly end.
  local function log_with(address)
    local server = kazoo.start { params = { amqp_connection = address }, debug = 3 }
    server:await_connected()
    server:stop()
    return server:log()
  end

  it("in one line for each connection to what and as whom, without the password", function()
    local log = log_with(url("amqp://speaker:%s@HOST/other", password))
    local line = ("amqp: connected to %s:%d vhost other as user speaker "):format(rabbit.host, rabbit.port)
    local _, count = log:gsub(line:gsub("%p", "%%%0"), "")
    assert.equal(3, count) -- one to publish, one to consume, one for questions
    assert.is_nil(log:find(password, 1, true))
  end)

  for _, form in ipairs {
    "amqp://speaker:%s@HOST", "amqp://speaker:%s@HOST/", "amqp://speaker:%s@HOST/%%2F", "amqp://speaker:%s@HOST/%%2f",
    "kazoo://speaker:%s@HOST", "zone=local;amqp://speaker:%s@HOST",
  } do
    it("vhost / for " .. form:format("password"), function()
      assert.matches("connected to [%d.:]+ vhost / as user speaker", log_with(url(form, password)))
    end)
  end

  it("why the broker refuses us, without the password", function()
    local server = kazoo.start { params = { amqp_connection = url("amqp://speaker:wr0ng@HOST") }, debug = 3 }
    server:wait_log("cannot connect to [%d.:]+ vhost / as user speaker: 403 ACCESS_REFUSED")
    server:stop()
    assert.is_nil(server:log():find("wr0ng", 1, true))
  end)
end)
