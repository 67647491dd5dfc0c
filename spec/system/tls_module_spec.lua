-- Beside Kamailio's own tls module. That has OpenSSL keep all it allocates where all processes share it; ours must have
-- no part in that, in either order of loading, however many processes connect at the same moment.
local amqp = require "support.amqp"
local certificates = require "support.certificates"
local files = require "support.files"
local kazoo = require "support.kazoo"
local nats_keys = require "support.nats_keys"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local rabbits = require "support.rabbit"
local sip = require "support.sip"
local wait = require "support.wait"

local STARTS, LOSSES = 3, 3
local AMQP_CONNECTIONS, NATS_CONNECTIONS = 7, 7 -- of as many processes, at the same moment

local authority, rabbit, nats, client, keys, nkey, queue, sip_cert, sip_key

setup(function()
  authority = certificates.authority "ca"
  keys = nats_keys.make()
  nkey = keys:file("user.nk", keys.user_seed)
  sip_cert, sip_key = authority:issue("sip", { san = "IP:127.0.0.1" })
  local cert, key = authority:issue("server", { san = "IP:127.0.0.1" })
  local amqps = ports.free()
  rabbit = rabbits.start { conf = table.concat({
    "listeners.ssl.local = 127.0.0.1:" .. amqps,
    "ssl_options.certfile = " .. cert,
    "ssl_options.keyfile = " .. key,
  }, "\n") }
  rabbit.amqps = ("amqps://guest:guest@127.0.0.1:%d"):format(amqps)
  nats = nats_server.start {
    conf = ("tls { cert_file: %q, key_file: %q }\n"):format(cert, key)
      .. ("authorization { users: [ { nkey: %s } ] }"):format(keys.user),
  }
  client = amqp.client(rabbit)
end)

teardown(function()
  nats:stop()
  rabbit:stop()
  authority:remove()
end)

-- The tls module with a listener of its own.
local function listener(port)
  return ("disable_tcp=no\nenable_tls=yes\ntcp_children=2\nlisten=tls:127.0.0.1:%d"):format(port),
    'loadmodule "tls.so"\nmodparam("tls", "config", "$FOLDER/tls.cfg")'
end

local function nats_module()
  return table.concat({
    'loadmodule "nats.so"',
    ('modparam("nats", "nats_url", "tls://127.0.0.1:%d")'):format(nats.port),
    ('modparam("nats", "nats_nkey", "%s")'):format(nkey),
    ('modparam("nats", "tls_ca_file", "%s")'):format(authority.file),
    'modparam("nats", "num_publish_workers", 4)',
    'modparam("nats", "subject_queue_group", "in:group")',
    'modparam("nats", "subject_queue_group", "b:group")',
    'modparam("nats", "subject_queue_group", "c:group")',
  }, "\n")
end

-- A route that a request runs over TLS; the reason of its reply: what the functions returned.
local routes = [[
event_route[nats:in] { xlog("L_NOTICE", "nats got $natsData\n"); }
route[over_tls] {
  kazoo_publish("tx", "out", "{'text' : '$rb'}");
  $var(kazoo) = $rc;
  nats_publish("in", "$rb");
  $var(reason) = $proto + " " + $var(kazoo) + " " + $rc;
  sl_send_reply("200", "$var(reason)");
  exit;
}
]]

local function start(order)
  local tls_port = ports.free()
  local globals, load = listener(tls_port)
  local addresses = { rabbit.amqps }
  for _, zone in ipairs { "b", "c" } do addresses[#addresses + 1] = ("zone=%s;%s"):format(zone, rabbit.amqps) end
  local server = kazoo.start {
    before = globals .. "\n" .. (order == "before" and load or ""),
    settings = nats_module() .. "\n" .. (order == "after" and load or "") .. "\n" .. routes,
    params = { amqp_connection = addresses, amqps_ca_cert = authority.file },
    mod_init = [[kazoo_subscribe("{'exchange':'tx', 'type':'topic', 'queue':'tls_module', 'routing':'in', 'federate':1}");]],
    events = { ["consumer-event"] = kazoo.note "in" },
    files = { ["tls.cfg"] = ("[server:default]\nmethod = TLSv1.2+\ncertificate = %s\nprivate_key = %s\n"):format(
      sip_cert, sip_key) },
  }
  server.tls_port = tls_port
  return server
end

local function await_all(server, times)
  server:wait_log("amqp: connected to", 30, AMQP_CONNECTIONS * times)
  server:wait_log("nats: connected to .* with the nkey of .*, with TLS", 30, NATS_CONNECTIONS * times)
end

-- The first line of the answer to a request over TLS.
local function request_over_tls(server, text)
  local request = sip.build { method = "MESSAGE", uri = "sip:over_tls@127.0.0.1", from = "sip:spec@127.0.0.1",
    via = "127.0.0.1:5061", body = text }
  files.write(server.folder .. "/request", (request:gsub("SIP/2.0/UDP", "SIP/2.0/TLS")))
  local script = [[
    coproc tls { exec openssl s_client -quiet -verify_return_error -CAfile "$1" -connect 127.0.0.1:"$2" 2>s_client.log; }
    pid=$tls_PID
    cat request >&"${tls[1]}"
    read -r -t 10 line <&"${tls[0]}"
    echo "$line"
    kill "$pid"]]
  return (files.must_run(("cd %s && bash -c %s tls %s %d"):format(
    files.quote(server.folder), files.quote(script), files.quote(authority.file), server.tls_port)):gsub("%s+$", ""))
end

-- Of what kazoo publishes; there is no exchange before the first server has made it.
local function tapped()
  queue = queue or client:tap("tx", "out")
  return queue
end

local serial = 0

-- Sends until something that was sent has arrived: before the subscription is active, nothing does.
local function until_delivered(what, send, has_arrived)
  local first = serial + 1
  local function any_arrived()
    for n = first, serial do
      if has_arrived("number " .. n) then return true end
    end
  end
  wait.until_(function()
    serial = serial + 1
    send("number " .. serial)
    return wait.for_(any_arrived, 1)
  end, 30, what)
end

-- A request over TLS, and what it publishes over TLS; deliveries.
local function assert_carries(server)
  local published = tapped()
  until_delivered("what NATS delivers", function(text)
    assert.equal("SIP/2.0 200 tls 1 1", request_over_tls(server, text))
    assert.matches(text, client:get(published).payload)
  end, function(text) return server:count_log("nats got " .. text .. "$") > 0 end)
  until_delivered("what RabbitMQ delivers", function(text) client:publish("tx", "in", ('{"text":"%s"}'):format(text)) end,
    function(text) return server:count_log('event|in|in|.*"' .. text .. '"') > 0 end)
end

local function shared_memory(server)
  return tonumber(server:rpc("core.shmmem"):match("real_used: (%d+)"))
end

-- Kamailio has shared memory for each connection of SIP over TLS until it notices the end of it.
local function await_no_sip_connection(server)
  wait.until_(function()
    local open = tonumber(server:rpc("core.tcp_info"):match("opened_connections: (%d+)"))
    return open == 0, open
  end, 15, "the end of SIP over TLS")
end

-- Of every connection, at the brokers' side.
local function lose_all(server, times)
  rabbit:ctl("close_all_connections", "spec")
  nats:kill9()
  nats:start_again()
  await_all(server, times)
end

local function assert_ends_well(server)
  assert.is_true(server:alive())
  assert.equal(0, server:count_log("CRITICAL")) -- as of memory that was freed twice
  local ended = server:stop()
  assert.is_nil(ended.crash)
  assert.is_falsy(ended.killed)
end

for _, order in ipairs { "before", "after" } do
  describe(("Beside Kamailio's tls module, loaded %s ours,"):format(order), function()
    it("many connections with TLS and nkeys are made at the same moment, and SIP over TLS keeps working", function()
      for _ = 1, STARTS do
        local server = start(order)
        await_all(server, 1)
        assert_carries(server)
        assert_ends_well(server)
      end
    end)

    it("connections that are lost and made again cost no shared memory", function()
      local server = start(order)
      await_all(server, 1)
      lose_all(server, 2)
      assert_carries(server)
      await_no_sip_connection(server)
      local before = shared_memory(server)
      for n = 1, LOSSES do lose_all(server, n + 2) end
      wait.until_(function()
        local now = shared_memory(server)
        return now == before, now
      end, 15, ("as much shared memory as before, %d bytes"):format(before))
      assert_carries(server)
      assert_ends_well(server)
    end)
  end)
end
