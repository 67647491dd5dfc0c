-- TLS to nats-server: what passes, what is refused and why, and that nothing goes out in the clear.
local socket = require "socket"
local certificates = require "support.certificates"
local files = require "support.files"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local stats = require "support.stats"
local wait = require "support.wait"

local MAX = 1048576 -- max_payload of a nats-server by default

local events = { ["in"] = [[nats_publish("back", $natsData);]] }
local routes = {
  large = [[
    $var(p) = "0123456789abcdef"; $var(i) = 0;
    while ($var(i) < 16) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_publish("out", $var(p));]],
  sequence = [[
    $var(i) = 0;
    while ($var(i) < 2000) { nats_publish("out", "$var(i)"); $var(i) = $var(i) + 1; }]],
  -- the time before and after, as seconds.microseconds
  timed = [[
    $var(before) = $TV(Sn);
    nats_publish("out", "$rb");
    $var(out) = $var(before) + " " + $TV(Sn); $var(rc) = 1;]],
}

local authority, cert, key

setup(function()
  authority = certificates.authority "ca"
  cert, key = authority:issue("client", {})
end)

teardown(function() authority:remove() end)

local serial = 0

-- The part of a server's configuration: a certificate for these names, by default 127.0.0.1.
local function tls_conf(options)
  serial = serial + 1
  local server_cert, server_key = authority:issue("server" .. serial, {
    san = options.san or "IP:127.0.0.1", days = options.days,
  })
  return ("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %s, timeout: 3 }"):format(
    server_cert, server_key, authority.file, tostring(options.verify or false))
end

local function address(broker, scheme, host)
  return ("%s://%s:%d"):format(scheme or "tls", host or "127.0.0.1", broker.port)
end

-- With the authority and one connection of each kind, unless params say otherwise; false unsets one.
local function start(params)
  local full = { tls_ca_file = authority.file, num_publish_workers = 1, subject_queue_group = "in:group" }
  for name, value in pairs(params) do full[name] = value or nil end
  return nats.start {
    params = full, events = events, routes = routes, private_memory = 64,
    settings = "max_while_loops = 3000",
  }
end

-- Both connections stand, with TLS.
local function await_tls(server, times, deadline)
  return server:wait_log("nats: connected to [%w.]+:%d+ [%w ]+, with TLS", deadline or 10, times or 2)
end

describe("Over TLS, with a client certificate,", function()
  local broker, server, client

  setup(function()
    -- the client of the spec speaks no TLS
    broker = nats_server.start { conf = tls_conf { verify = true } .. "\nallow_non_tls: true" }
    server = start { nats_url = broker.url, tls = 1, tls_cert_file = cert, tls_key_file = key }
    await_tls(server)
    client = nats_client.connect { port = broker.port }
    client:sub("out")
    client:sub("back")
    wait.until_(function()
      client:pub("in", "are you there?")
      return client:next(0.2)
    end, 10, "the subscription")
    while client:next(0.2) do end
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  it("nats_publish sends payloads of any size", function()
    assert.equal(1, server:publish("out", "x"))
    assert.equal("x", assert(client:next(5)).payload)
    assert.equal(1, server:call("large"))
    local payload = assert(client:next(10), "nothing came").payload
    assert.equal(MAX, #payload)
    assert.is_true(payload == ("0123456789abcdef"):rep(MAX / 16))
  end)

  it("deliveries of any size arrive, and go back as they came", function()
    local bytes = {}
    for i = 1, MAX do bytes[i] = string.char(math.random(0, 255)) end
    local random = table.concat(bytes)
    for _, size in ipairs { 0, 1, 16383, 16384, 16385, 100000, MAX } do
      client:pub("in", random:sub(1, size))
      local payload = assert(client:next(10), "nothing came").payload
      assert.equal(size, #payload)
      assert.is_true(payload == random:sub(1, size))
    end
  end)

  it("many messages keep their order, both ways", function()
    assert.equal(1, server:call("sequence"))
    for i = 0, 1999 do assert.equal(tostring(i), assert(client:next(5)).payload) end
    for i = 1, 5000 do client:pub("in", tostring(i)) end
    for i = 1, 5000 do assert.equal(tostring(i), assert(client:next(5)).payload) end
  end)

  it("a frozen server delays no nats_publish, and gets all of it later", function()
    local count, slow, slowest = 1500, 0, 0
    broker:freeze()
    for n = 1, count do
      local _, out = server:call("timed", { body = n .. (" "):rep(8000) }) -- more than the sockets hold
      local before, after = out:match("([%d.]+) ([%d.]+)")
      local took = tonumber(after) - tonumber(before)
      if took > 0.005 then slow = slow + 1 end
      slowest = math.max(slowest, took)
    end
    broker:thaw()
    -- A busy machine may take the processor away in between; waiting for the server would be seconds.
    assert.is_true(slow <= 15, slow .. " calls took over 5 ms")
    assert.is_true(slowest < 0.5, ("one call took %g s"):format(slowest))
    for n = 1, count do
      assert.equal(n, tonumber(assert(client:next(10), ("%d of %d came"):format(n - 1, count)).payload))
    end
    assert.equal(0, server:count_log("connection to .* lost"))
  end)

  it("the connection is made again after the server was killed", function()
    broker:kill9()
    server:wait_log("connection to .* lost", 10, 2)
    assert.equal(1, server:publish("out", "kept"))
    broker:start_again { wait = false }
    broker:await_ready()
    await_tls(server, 4, 20)
    client:close()
    client = nats_client.connect { port = broker.port }
    client:sub("out")
    client:sub("back")
    wait.until_(function()
      client:pub("in", "after all")
      local message = client:next(0.2)
      return message and message.payload == "after all"
    end, 10, "the subscription")
    assert.equal(1, server:publish("out", "and on"))
    wait.until_(function() return assert(client:next(5)).payload == "and on" end, 10, "what is published")
  end)
end)

it("tls_cert_file may hold the key too", function()
  local broker = nats_server.start { conf = tls_conf { verify = true } }
  local both = authority.folder .. "/both.pem"
  files.write(both, files.read(cert) .. files.read(key))
  local server = start { nats_url = address(broker), tls_cert_file = both }
  await_tls(server)
  assert.equal(1, server:count_log('WARNING.*tls_cert_file: ".*both.pem" contains a secret'))
  server:stop()
  broker:stop()
end)

describe("TLS is used", function()
  local broker

  setup(function() broker = nats_server.start { conf = tls_conf { san = "DNS:nats.example.com,IP:127.0.0.1" } } end)
  teardown(function() broker:stop() end)

  local function assert_connects(params)
    local server = start(params)
    await_tls(server)
    stats.await(server, "nats.stats", { connections_open = 2 })
    server:stop()
  end

  it("with tls://", function() assert_connects { nats_url = address(broker) } end)

  it("with nats:// and tls=1", function() assert_connects { nats_url = address(broker, "nats"), tls = 1 } end)

  it("with nats:// when the server requires it", function() assert_connects { nats_url = address(broker, "nats") } end)

  it("with a password inside of it", function()
    local with_password = nats_server.start { conf = tls_conf {} .. '\nauthorization { user: carl, password: "s3cret" }' }
    local server = start { nats_url = ("tls://carl:s3cret@127.0.0.1:%d"):format(with_password.port) }
    server:wait_log("connected to 127.0.0.1:%d+ as user carl, with TLS", 10, 2)
    assert.equal(0, server:count_log("s3cret"))
    server:stop()
    with_password:stop()
  end)

  it("for the host in tls_expected_hostname", function()
    assert_connects { nats_url = address(broker, nil, "localhost"), tls_expected_hostname = "nats.example.com" }
  end)

  it("for servers that a cluster announces by their addresses, with the host that announced them", function()
    local cluster = "%s\ncluster { name: t, listen: 127.0.0.1:%d, routes: [%s] }"
    local route = ports.free()
    local first = nats_server.start { conf = cluster:format(tls_conf { san = "DNS:localhost" }, route, "") }
    local second = nats_server.start {
      conf = cluster:format(tls_conf { san = "DNS:localhost" }, ports.free(), "nats://127.0.0.1:" .. route),
    }
    wait.until_(function() return first:log():find("Route connection created", 1, true) end, 10, "the cluster")
    local server = start { nats_url = address(first, nil, "localhost") }
    await_tls(server)
    first:kill9()
    server:wait_log(("connected to 127.0.0.1:%d without credentials, with TLS"):format(second.port), 15, 2)
    server:stop()
    second:stop()
  end)
end)

describe("TLS refuses", function()
  -- The line of the log that says why, more than once, for it is tried again; nothing connects in spite of it.
  local function refusal_of(params, reason)
    local server = start(params)
    local line = server:wait_log("ERROR.*nats: cannot connect to [%w.]+:%d+: " .. reason, 15, 4)
    assert.equal(0, server:count_log("nats: connected to"))
    assert.equal(0, stats.one(server, "nats.stats").connections_open)
    server:stop()
    return line
  end

  local broker, strict

  setup(function()
    broker = nats_server.start { conf = tls_conf {} }
    strict = nats_server.start { conf = tls_conf { verify = true } }
  end)

  teardown(function()
    broker:stop()
    strict:stop()
  end)

  it("to do without the client certificate that the server asks for", function()
    refusal_of({ nats_url = address(strict) }, "TLS: the broker requires a certificate: Certificate is bad")
    local log = strict:log()
    assert.truthy(log:find("client didn't provide a certificate", 1, true), log)
  end)

  it("a client certificate of another authority, at the server", function()
    local other = certificates.authority "other"
    local other_cert, other_key = other:issue("client", {})
    refusal_of({ nats_url = address(strict), tls_cert_file = other_cert, tls_key_file = other_key },
      "TLS: the broker rejects our certificate: Certificate is bad")
    other:remove()
  end)

  for name, scheme in pairs { ["tls://"] = "tls", ["nats://, whose server requires TLS"] = "nats" } do
    it("a server whose certificate is of another authority, with " .. name, function()
      local other = certificates.authority "other"
      refusal_of({ nats_url = address(broker, scheme), tls_ca_file = other.file },
        "TLS: broker certificate rejected: unknown authority CN=ca")
      other:remove()
    end)
  end

  it("a server whose certificate is not of the system's authorities, when none is set", function()
    refusal_of({ nats_url = address(broker), tls_ca_file = false },
      "TLS: broker certificate rejected: unknown authority CN=ca")
    refusal_of({ nats_url = address(broker, "nats"), tls_ca_file = false, tls = 1 },
      "TLS: broker certificate rejected: unknown authority CN=ca")
  end)

  it("a server whose certificate is for another host", function()
    refusal_of({ nats_url = address(broker, nil, "localhost") },
      "TLS: broker certificate rejected: hostname mismatch, not issued for localhost")
    refusal_of({ nats_url = address(broker), tls_expected_hostname = "nats.example.com" },
      "TLS: broker certificate rejected: hostname mismatch, not issued for nats.example.com")
  end)

  it("a server whose certificate has expired", function()
    local old = nats_server.start { conf = tls_conf { days = -1 } }
    refusal_of({ nats_url = address(old) }, "TLS: broker certificate rejected: certificate has expired")
    old:stop()
  end)

  it("a server that offers no TLS", function()
    local plain = nats_server.start()
    refusal_of({ nats_url = address(plain) }, "TLS: not offered by the server")
    refusal_of({ nats_url = address(plain, "nats"), tls = 1 }, "TLS: not offered by the server")
    plain:stop()
  end)
end)

-- Somebody in between, who says this as a server and gets what a client says to it before it goes.
local function overhear(info, params, reason)
  local listener = assert(socket.bind("127.0.0.1", 0))
  local _, port = listener:getsockname()
  params.nats_url = params.nats_url:format(port)
  params.nats_token = "t0ken"
  params.subject_queue_group = false
  local server = start(params)
  listener:settimeout(10)
  local peer = assert(listener:accept())
  peer:send(info)
  peer:settimeout(10)
  local data, err, part = peer:receive("*a")
  assert.is_true(data ~= nil or err == "closed", err)
  server:wait_log("ERROR.*nats: cannot connect to 127.0.0.1:%d+: " .. reason)
  peer:close()
  listener:close()
  server:stop()
  return data or part
end

describe("Without TLS", function()
  for name, params in pairs { ["tls://"] = { nats_url = "tls://127.0.0.1:%d" },
    ["tls=1"] = { nats_url = "nats://127.0.0.1:%d", tls = 1 } } do
    it("nothing is said to a server that offers no TLS, with " .. name, function()
      assert.equal("", overhear('INFO {"server_id":"x","max_payload":1048576}\r\n', params, "TLS: not offered"))
    end)
  end

  it("nothing that follows the server's offer is trusted", function()
    local said = overhear('INFO {"tls_required":true}\r\nINFO {"connect_urls":["127.0.0.1:1"]}\r\n',
      { nats_url = "tls://127.0.0.1:%d" }, "TLS: the server continues without encryption")
    assert.equal("", said)
  end)

  it("a server that continues without the TLS that it offers gets a TLS greeting and nothing else", function()
    local said = overhear('INFO {"tls_required":true}\r\n', { nats_url = "tls://127.0.0.1:%d" },
      "TLS: handshake timed out")
    assert.equal("\22\3", said:sub(1, 2))
    assert.is_nil(said:find("CONNECT", 1, true))
    assert.is_nil(said:find("t0ken", 1, true))
  end)
end)

describe("The parameters of TLS", function()
  local broker

  setup(function() broker = nats_server.start { conf = tls_conf {} } end)
  teardown(function() broker:stop() end)

  it("switch off the host name or all verification, with a warning", function()
    local server = start { nats_url = address(broker, nil, "localhost"), tls_verify_hostname = 0 }
    await_tls(server)
    assert.equal(1, server:count_log("WARN.*tls_verify_hostname is 0: "))
    server:stop()

    server = start { nats_url = address(broker, nil, "localhost"), tls_ca_file = false, tls_verify_peer = 0 }
    await_tls(server)
    assert.equal(1, server:count_log("WARN.*tls_verify_peer is 0: "))
    server:stop()
  end)

  it("give no warning when all is verified", function()
    local server = start { nats_url = address(broker) }
    await_tls(server)
    assert.equal(0, server:count_log("tls_verify"))
    server:stop()
  end)

  local function line_of(params, pattern)
    local full = { nats_url = address(broker), tls_ca_file = authority.file, tls_cert_file = cert, tls_key_file = key }
    for name, value in pairs(params) do full[name] = value end
    local server, log = nats.try_start { params = full, settings = params.settings }
    if server then server:stop() end
    assert.is_nil(server, "it started")
    assert.matches(pattern, log)
  end

  it("stop the start when a file cannot be used, and the line names it", function()
    line_of({ tls_ca_file = "/nowhere/ca.pem" }, "ERROR.*nats: TLS: tls_ca_file /nowhere/ca.pem: ")
    line_of({ tls_cert_file = "/nowhere/cert.pem" }, "ERROR.*nats: TLS: tls_cert_file /nowhere/cert.pem: ")
    line_of({ tls_key_file = "/nowhere/key.pem" }, "ERROR.*nats: TLS: tls_key_file /nowhere/key.pem: ")
    line_of({ tls_key_file = select(2, authority:issue("stranger", {})) },
      "ERROR.*nats: TLS: tls_key_file .*stranger.key: does not match the certificate")
    line_of({ tls_key_file = authority:encrypt(key) }, "ERROR.*nats: TLS: tls_key_file .*secret: private keys with")
    line_of({ tls_cert_file = "" }, "ERROR.*tls_key_file is set but tls_cert_file is not")
  end)

  for name, value in pairs { tls = 2, tls_verify_peer = -1, tls_verify_hostname = 7 } do
    it(("stop the start when %s is %d"):format(name, value), function()
      line_of({ [name] = value }, ("ERROR.*%s: %d must be between 0 and 1"):format(name, value):gsub("%-", "%%-"))
    end)
  end
end)
