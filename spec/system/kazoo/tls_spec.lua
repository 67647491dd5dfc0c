local cjson = require "cjson"
local amqp = require "support.amqp"
local certificates = require "support.certificates"
local files = require "support.files"
local kazoo = require "support.kazoo"
local module = require "support.module"
local ports = require "support.ports"
local process = require "support.process"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local mod_init = [[kazoo_subscribe("{'exchange':'tx', 'type':'topic', 'queue':'tls', 'routing':'in.#'}");]]

local length = [[xlog("L_NOTICE", "length of $(kzE{kz.json,id}): $(kzE{kz.json,text}{s.len})\n");]]

describe("amqps", function()
  local authority, rabbit, client, port, cert, key

  setup(function()
    authority = certificates.authority "ca"
    cert, key = authority:issue("client", {})
    local server_cert, server_key = authority:issue("server", { san = "IP:127.0.0.1" })
    port = ports.free()
    rabbit = rabbits.start { plugins = { "rabbitmq_auth_mechanism_ssl" }, conf = table.concat({
      "auth_mechanisms.1 = PLAIN",
      "auth_mechanisms.2 = EXTERNAL",
      "auth_mechanisms.3 = AMQPLAIN",
      "ssl_cert_login_from = common_name",
      "listeners.ssl.local = 127.0.0.1:" .. port,
      "ssl_options.cacertfile = " .. authority.file,
      "ssl_options.certfile = " .. server_cert,
      "ssl_options.keyfile = " .. server_key,
      "ssl_options.verify = verify_peer",
      "ssl_options.fail_if_no_peer_cert = true",
    }, "\n") }
    client = amqp.client(rabbit)
  end)

  teardown(function()
    rabbit:stop()
    authority:remove()
  end)

  local function url(host, at) return ("amqps://guest:guest@%s:%d"):format(host or "127.0.0.1", at or port) end

  local function start(options)
    local params = {
      amqp_connection = url(), amqps_ca_cert = authority.file, amqps_cert = cert, amqps_key = key,
      amqp_connect_timeout_sec = 2,
    }
    for name, value in pairs(options.params or {}) do params[name] = value end
    options.params = params
    options.events = { ["consumer-event"] = length }
    return kazoo.start(options)
  end

  describe("with a client certificate", function()
    local server, queue

    setup(function()
      server = start { mod_init = mod_init }
      server:await_connected()
      server:wait_log('consuming from queue "tls"')
      queue = client:tap("tx", "out.#")
    end)

    teardown(function() server:stop() end)

    it("carries messages both ways, of any size", function()
      for _, size in ipairs { 1, 1000, 100000, 900000 } do
        local text = ("x"):rep(size)
        client:publish("tx", "in.x", ('{"id":"in %d","text":"%s"}'):format(size, text))
        server:wait_log(("length of in %d: %d"):format(size, size))
        if size < 60000 then
          assert.equal(1, server:publish("tx", "out.x", ("{'text' : '%s'}"):format(text)))
          assert.equal(text, cjson.decode(client:get(queue).payload).text)
        end
      end
    end)

    it("keeps what is published while the broker is frozen, and delivers it afterwards", function()
      rabbit:freeze()
      local count, text = 300, ("x"):rep(8000) -- more than sockets and pipes hold
      for n = 1, count do
        assert.equal(1, server:publish("tx", "out.x", ("{'n' : %d, 'text' : '%s'}"):format(n, text)))
      end
      rabbit:thaw()
      local messages = client:consume(queue, { count = count, deadline = 10 })
      for n = 1, count do assert.equal(n, cjson.decode(messages[n].payload).n) end
    end)

    it("connects again after a loss", function()
      local before = server:count_log("connected to .* publisher%)")
      rabbit:ctl("close_all_connections", "spec")
      server:wait_log("connected to .* publisher%)", 10, before + 1)
      server:wait_log('consuming from queue "tls"', 10, 2)
      assert.equal(1, server:publish("tx", "out.x", "{'after' : 'loss'}"))
      assert.equal("loss", cjson.decode(client:get(queue).payload).after)
    end)
  end)

  it("notices a frozen broker by its heartbeat, as without TLS", function()
    local server = start { params = { amqp_heartbeats = 1 } }
    server:await_connected()
    rabbit:freeze()
    server:wait_log("connection to .* lost: no heartbeat", 10, 3) -- publisher, consumer, answers
    rabbit:thaw()
    server:wait_log("connected to .* publisher%)", 20, 2)
    server:stop()
  end)

  -- The line of the log that says why; nothing connects in spite of it.
  local function refusal_of(params, reason)
    local server = start { params = params }
    local line = server:wait_log("ERROR.*amqp: cannot connect to [%w.]+:%d+ vhost / as user guest: .*" .. reason)
    assert.equal(0, server:count_log("amqp: connected to"))
    server:stop()
    return line
  end

  it("without the client certificate that the broker asks for is refused, with the reason", function()
    refusal_of({ amqps_cert = "", amqps_key = "" }, "TLS: the broker requires a certificate: Certificate is required")
  end)

  it("refuses a broker whose certificate is of another authority", function()
    local other = certificates.authority "other"
    refusal_of({ amqps_ca_cert = other.file }, "TLS: broker certificate rejected: unknown authority CN=ca")
    other:remove()
  end)

  it("refuses a broker whose certificate is not of the system's authorities, when none is set", function()
    refusal_of({ amqps_ca_cert = false }, "TLS: broker certificate rejected: unknown authority CN=ca")
  end)

  it("refuses a broker whose certificate is for another host", function()
    refusal_of({ amqp_connection = url "localhost" },
      "TLS: broker certificate rejected: hostname mismatch, not issued for localhost")
  end)

  -- A TLS server that is no AMQP broker: enough for what is found out before.
  local function with_tls_server(server_cert, server_key, run)
    local at = ports.free()
    local tls = process.spawn { name = "s_server", folder = files.new_folder("s_server"), command = {
      "openssl", "s_server", "-accept", "127.0.0.1:" .. at, "-cert", server_cert, "-key", server_key, "-quiet",
    } }
    wait.until_(function()
      return select(2, files.run(("exec 3<>/dev/tcp/127.0.0.1/%d"):format(at):gsub("^", "bash -c '") .. "'"))
    end, 5, "openssl s_server")
    run(at)
    tls:kill()
  end

  it("refuses a broker whose certificate has expired", function()
    local expired, expired_key = authority:issue("expired", { san = "IP:127.0.0.1", days = -1 })
    with_tls_server(expired, expired_key, function(at)
      refusal_of({ amqp_connection = url(nil, at) }, "TLS: broker certificate rejected: certificate has expired")
    end)
  end)

  it("refuses a broker that does not speak TLS", function()
    refusal_of({ amqp_connection = url(nil, rabbit.port) }, "TLS: handshake failed: the broker does not speak TLS")
  end)

  it("abandons a handshake that does not end", function()
    local socket = require("socket").bind("127.0.0.1", 0)
    local _, at = socket:getsockname()
    refusal_of({ amqp_connection = url(nil, at), amqp_connect_timeout_sec = 1 }, "TLS: handshake timed out")
    socket:close()
  end)

  it("skips the host name with amqps_verify_hostname 0 and all checks with amqps_verify_peer 0, and warns", function()
    local server = start { params = { amqp_connection = url "localhost", amqps_verify_hostname = 0 } }
    server:await_connected()
    assert.equal(1, server:count_log("WARN.*amqps_verify_hostname is 0: "))
    server:stop()

    server = start { params = { amqp_connection = url "localhost", amqps_ca_cert = false, amqps_verify_peer = 0 } }
    server:await_connected()
    assert.equal(1, server:count_log("WARN.*amqps_verify_peer is 0: "))
    server:stop()
  end)

  it("does not warn when it verifies, or where there is no TLS", function()
    local server = start { params = { amqp_connection = rabbit.url, amqps_verify_peer = 0 } }
    server:await_connected()
    assert.equal(0, server:count_log("amqps_verify"))
    server:stop()
  end)

  -- An address with these query parameters, without any parameter of TLS.
  local function start_with(query, host, params)
    local words = {}
    for name, value in pairs(query) do words[#words + 1] = name .. "=" .. value end
    local address = url(host) .. "?" .. table.concat(words, "&")
    return start { params = module.merged({ amqp_connection = address, amqps_ca_cert = false, amqps_cert = false,
      amqps_key = false }, params) }
  end

  it("has files of an address of its own", function()
    local server = start_with { cacertfile = authority.file, certfile = cert, keyfile = key }
    server:await_connected()
    server:stop()
  end)

  it("has files of an address of its own instead of those of the parameters", function()
    local other = certificates.authority "other"
    local params = { amqps_ca_cert = other.file, amqps_cert = other:issue("stranger", {}) }
    params.amqps_key = params.amqps_cert:gsub("pem$", "key")
    local server = start_with({ cacertfile = authority.file, certfile = cert, keyfile = key }, nil, params)
    server:await_connected()
    server:stop()
    other:remove()
  end)

  it("has a key with a passphrase, which no log line shows", function()
    local secret = authority:encrypt(key)
    local server = start_with { cacertfile = authority.file, certfile = cert, keyfile = secret, password = "secret" }
    server:await_connected()
    server:stop()
    local started, log = kazoo.try_start { params = {
      amqp_connection = ("%s?certfile=%s&keyfile=%s&password=wr0ng"):format(url(), cert, secret),
    } }
    assert.is_nil(started)
    assert.matches("ERROR.*amqps: TLS: keyfile .*secret: wrong passphrase", log)
    assert.is_nil(log:find("wr0ng", 1, true))
  end)

  it("has its verification set by an address", function()
    local files_of_ours = { certfile = cert, keyfile = key }
    local server = start_with { verify = "verify_none", certfile = cert, keyfile = key }
    server:await_connected()
    assert.equal(1, server:count_log("WARN.*verify=verify_none: broker certificates are not verified"))
    server:stop()

    server = start_with(module.merged(files_of_ours, { verify = "verify_peer" }), nil, { amqps_verify_peer = 0 })
    server:wait_log "TLS: broker certificate rejected: unknown authority CN=ca"
    assert.equal(0, server:count_log "amqps_verify_peer")
    server:stop()

    local known = module.merged(files_of_ours, { cacertfile = authority.file })
    server = start_with(module.merged(known, { server_name_indication = "disable" }), "localhost")
    server:await_connected()
    assert.equal(1, server:count_log("WARN.*server_name_indication=disable: host names are not verified"))
    server:stop()

    server = start_with(module.merged(known, { server_name_indication = "127.0.0.1" }), "localhost")
    server:await_connected()
    server:stop()

    server = start_with(module.merged(known, { server_name_indication = "elsewhere" }), nil, { amqps_verify_hostname = 0 })
    server:wait_log "TLS: broker certificate rejected: hostname mismatch, not issued for elsewhere"
    server:stop()
  end)

  it("logs in by the certificate with auth_mechanism=external, or by the next mechanism that the broker offers", function()
    rabbit:ctl("add_user", "client", "not used")
    rabbit:ctl("set_permissions", "client", ".*", ".*", ".*")
    local address = ("amqps://127.0.0.1:%d?auth_mechanism=external"):format(port)
    local server = start { mod_init = mod_init, params = { amqp_connection = address } }
    server:await_connected()
    assert.equal(3, server:count_log "connected to .* vhost / as the user of its certificate")
    assert.equal(3, rabbit:count("list_connections", { { "user", "client" }, { "auth_mechanism", "EXTERNAL" } }))
    local queue = client:tap("tx", "out.#")
    assert.equal(1, server:publish("tx", "out.x", "{'by' : 'certificate'}"))
    assert.equal("certificate", cjson.decode(client:get(queue).payload).by)
    server:stop()

    local plain = rabbit.url .. "?auth_mechanism=external"
    server = start { params = { amqp_connection = plain } }
    server:wait_log "cannot connect to .*: the broker does not offer the authentication mechanism EXTERNAL, only: %u+ "
    server:stop()

    for _, mechanism in ipairs { "PLAIN", "AMQPLAIN" } do
      server = start { params = { amqp_connection = plain .. "&auth_mechanism=" .. mechanism } }
      server:await_connected()
      assert.equal(3, rabbit:count("list_connections", { { "user", "guest" }, { "auth_mechanism", mechanism } }))
      server:stop()
    end
  end)

  it("stops the start when a file cannot be used, and names it", function()
    local cases = {
      { { amqps_ca_cert = "/nowhere/ca.pem" }, "amqps_ca_cert /nowhere/ca.pem: No such file or directory" },
      { { amqps_ca_cert = key }, "amqps_ca_cert .*client.key: no PEM certificate found" },
      { { amqps_cert = "/nowhere/cert.pem" }, "amqps_cert /nowhere/cert.pem: No such file or directory" },
      { { amqps_key = "/nowhere/key.pem" }, "amqps_key /nowhere/key.pem: No such file or directory" },
      { { amqps_key = select(2, authority:issue("stranger", {})) },
        "amqps_key .*stranger.key: does not match the certificate" },
      { { amqps_key = cert }, "amqps_key .*client.pem: no PEM private key found" },
      { { amqps_key = authority:encrypt(key) }, "amqps_key .*secret: private keys with a passphrase are not supported" },
    }
    for _, case in ipairs(cases) do
      local params = { amqp_connection = url(), amqps_ca_cert = authority.file, amqps_cert = cert, amqps_key = key }
      for name, value in pairs(case[1]) do params[name] = value end
      local server, log = kazoo.try_start { params = params }
      assert.is_nil(server)
      assert.matches("ERROR.*amqps: TLS: " .. case[2], log)
    end
  end)
end)
