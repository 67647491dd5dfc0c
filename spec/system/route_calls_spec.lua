-- Where the routes call functions that need processes or tm: the core shows a module's fix-ups constant parameters only,
-- so none of the parameters here is constant.
local amqp = require "support.amqp"
local jetstream = require "support.jetstream"
local kazoo = require "support.kazoo"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local queries = require "support.queries"
local sip = require "support.sip"
local stats = require "support.stats"

local call = "nats_js_publish($var(s), $rb)"

local function cases(labels, between)
  local parts = {}
  for i, label in ipairs(labels) do parts[i] = ("case %s: $var(y) = 1; %s"):format(label, between or "break;") end
  return table.concat(parts, " ")
end

local function switch(of, labels, last, between)
  return ("switch (%s) { %s %s break; }"):format(of, cases(labels, between), last)
end

-- Bodies of request routes.
local places = {
  ["nested ifs"] = "if ($rU == 'a') { $var(y) = 1; if ($rU == 'b') { $var(y) = 2; } else { " .. call .. "; } }",
  ["an else"] = "if ($rU == 'a') { $var(y) = 1; } else if ($rU == 'b') { $var(y) = 2; } else { " .. call .. "; }",
  ["a while"] = "$var(i) = 0; while ($var(i) < 1) { $var(i) = 1; " .. call .. "; }",
  ["the condition of a while"] = "while (" .. call .. " && $var(i) < 1) { $var(i) = 1; }",
  ["the first of two cases"] = "switch ($rU) { case 'a': " .. call .. "; break; case 'b': $var(y) = 1; }",
  ["one of many cases"] = switch("$var(i)", { 1, 2, 3, 4, 5, 6 }, "case 7: " .. call .. ";"),
  ["a case apart from many"] = switch("$var(i)", { 1, 2, 3, 4, 5, 6 }, "case 70000: " .. call .. ";"),
  ["one of few cases"] = switch("$var(i)", { 1 }, "case 2: " .. call .. ";"),
  ["a case that others run on into"] = switch("$var(i)", { 1, 2 }, "case 3: " .. call .. ";", ""),
  ["a default"] = switch("$var(i)", { 1, 2 }, "default: " .. call .. ";"),
  ["a default alone"] = "switch (1) { default: " .. call .. "; }",
  ["the case that a constant leads to"] = switch("7", { 1 }, "case 7: " .. call .. ";"),
  ["a case of a string"] = switch("$rU", { "'a'", "'b'" }, "case 'c': " .. call .. ";"),
  ["a case of a pattern"] = switch("$rU", { "'a'" }, "case /'^b': " .. call .. ";"),
  ["a default among strings"] = switch("$rU", { "'a'" }, "default: " .. call .. ";"),
  ["a switch in a case"] = switch("$rU", { "'a'" }, "case 'b': " .. switch("$var(i)", { 1, 2, 3, 4, 5 },
    "case 6: " .. call .. ";")),
  ["what a switch is about"] = "switch (" .. call .. ") { case 1: $var(y) = 1; break; case 2: $var(y) = 2; }",
  ["a condition"] = "if (" .. call .. ") { $var(y) = 1; }",
  ["a negated condition"] = "if (!" .. call .. ") { $var(y) = 1; }",
  ["a condition with more in it"] = "if ($rU == 'a' || ($rU == 'b' && !(" .. call .. "))) { $var(y) = 1; }",
  ["a comparison"] = "if (" .. call .. " == 1) { $var(y) = 1; }",
  ["an assignment"] = "$var(y) = " .. call .. ";",
  ["what is returned"] = "return (" .. call .. ");",
}

-- All of kamailio.cfg from the first route on.
local routes = {
  ["request_route"] = ("request_route { %s; }"):format(call),
  ["a route"] = ("request_route { exit; } route[A] { %s; }"):format(call),
  ["an event_route"] = ("request_route { exit; } event_route[nats:connected] { %s; }"):format(call),
  ["an onreply_route"] = ("request_route { exit; } onreply_route[A] { %s; }"):format(call),
  ["reply_route"] = ("request_route { exit; } reply_route { %s; }"):format(call),
  ["a failure_route"] = ("request_route { exit; } failure_route[A] { %s; }"):format(call),
  ["a branch_route"] = ("request_route { exit; } branch_route[A] { %s; }"):format(call),
  ["onsend_route"] = ("request_route { exit; } onsend_route { %s; }"):format(call),
}

-- The number of stream publishers, requesters and resumers of a server with these routes, whose broker is away.
local function processes(request_route)
  local server = nats.start {
    request_route = request_route, params = { nats_url = "nats://127.0.0.1:" .. ports.free() },
  }
  local counts = {}
  for i, name in ipairs { "nats stream publisher", "nats requester", "nats request resumer" } do
    counts[i] = #server:pids_of(name)
  end
  server:stop()
  return counts
end

describe("A function that needs a process has it when it is called in", function()
  for where, text in pairs(routes) do
    it(where, function() assert.same({ 1, 0, 0 }, processes(text)) end)
  end
  for where, body in pairs(places) do
    it(where, function() assert.same({ 1, 0, 0 }, processes(("request_route {\n%s\n}"):format(body))) end)
  end
end)

it("A server without such a call has no such process", function()
  assert.same({ 0, 0, 0 }, processes [[
request_route {
  if (nats_publish($var(s), $rb)) { $var(y) = 1; }
  switch ($rU) { case 'a': xlog("L_INFO", "nats_js_publish nats_request\n"); break; default: route(A); }
}
route[A] { while ($var(i) < 1) { $var(i) = 1; } }
event_route[nats:connected] { exit; }
]])
end)

describe("A call without a constant parameter", function()
  local broker, client, server

  before_each(function()
    broker = nats_server.start { jetstream = true }
    client = nats_client.connect { port = broker.port }
  end)

  after_each(function()
    client:close()
    if server then server:stop() end
    broker:stop()
  end)

  local function start(more, connections)
    local options = { server = broker, params = { num_publish_workers = 1 } }
    for name, value in pairs(more) do options[name] = value end
    server = nats.start(options)
    stats.await(server, "nats.stats", { connections_open = connections or 2 })
  end

  for what, text in pairs {
    nats_js_publish = [[ nats_js_publish("orders." + $fU, $rb); ]],
    nats_js_publish_wait = [[ nats_js_publish_wait("orders." + $fU, $rb, $var(ms)); ]],
  } do
    it("of " .. what .. " publishes", function()
      local api = jetstream.connect { port = broker.port }
      api:stream("ORDERS", { subjects = { "orders.>" } })
      client:sub("orders.>")
      start { routes = { store = "$var(ms) = 5000;" .. text } }
      assert.equal(1, (server:call("store", { body = "stored", from = "sip:alice@example.org" })))
      assert.equal("orders.alice", assert(client:next(5)).subject)
      api:close()
    end)
  end

  it("of nats_kv_put and similar functions writes", function()
    start {
      params = { num_publish_workers = 1, nats_kv_bucket = false },
      routes = {
        put = "$var(b) = 'numbers'; $var(k) = 'key'; nats_kv_put($var(b), $var(k), $rb);",
        create = "$var(b) = 'numbers'; $var(k) = 'key'; nats_kv_create($var(b), $var(k), $rb);",
        delete = "$var(b) = 'numbers'; $var(k) = 'key'; nats_kv_delete($var(b), $var(k));",
      },
    }
    local api = jetstream.connect { port = broker.port }
    api:stream("KV_numbers", { subjects = { "$KV.numbers.>" }, allow_rollup_hdrs = true, max_msgs_per_subject = 1 })
    assert.equal(1, (server:call("put", { body = "1" })))
    assert.equal(1, (server:call("delete")))
    assert.equal(1, (server:call("create", { body = "2" })))
    api:close()
  end)

  it("of nats_request gets a reply", function()
    start { routes = { ask = "$var(s) = 'ask'; $var(ms) = 5000; nats_request($var(s), $rb, '$var(out)', $var(ms));" } }
    client:sub("ask")
    local result = server:start_call("ask", { body = "?" })
    client:pub(assert(client:next(5)).reply, "!")
    local rc, out = result()
    assert.equal(1, rc)
    assert.equal("!", out)
  end)

  it("of nats_request_async continues", function()
    start { request_route = [[
request_route {
  $var(ok) = "ANSWER"; $var(bad) = "FAILURE"; $var(p) = "?";
  if (!nats_request_async($rU, $var(p), $var(ok), $var(bad))) sl_send_reply("500", "$natsError");
  exit;
}
onreply_route[ANSWER] { t_reply("480", "$natsAnswer"); }
failure_route[FAILURE] { t_reply("504", "$natsError"); }
]] }
    client:sub("later")
    local phone = sip.client(server.port)
    phone:start { method = "MESSAGE", uri = ("sip:later@127.0.0.1:%d"):format(server.port) }
    client:pub(assert(client:next(5)).reply, "answer")
    assert.equal("answer", assert(phone:await_reply(5)).reason)
    phone:close()
  end)

  it("of nats_request_async needs tm", function()
    server = nil
    local started, log = nats.try_start {
      server = broker, without = "tm",
      request_route = "request_route { nats_request_async($rU, $rb, $var(ok), $var(bad)); exit; }",
    }
    assert.is_nil(started)
    assert.matches('ERROR.*nats_request_async: needs the tm module: loadmodule "tm.so"', log)
  end)
end)

describe("A call without a constant parameter of kazoo_async_query", function()
  local request_route = queries.async_route:gsub("kazoo_async_query(%b())", function()
    return "kazoo_async_query($hdr(X-Exchange), $rU, $var(p), $hdr(X-Answer), $hdr(X-Failure))"
  end):gsub("t_newtran%(%);", [[$var(p) = '{"call":"' + $ci + '"}'; %0]])

  it("goes on", function()
    local rabbit = kazoo.shared_rabbit()
    local client = amqp.client(rabbit)
    client:exchange("qx", "topic")
    local server = kazoo.start { rabbit = rabbit, request_route = request_route }
    server:await_connected()
    local questions = client:tap("qx", "async.unquoted")
    local phone = queries.invite(server, "async.unquoted")
    queries.answer(client, client:get(questions), "answer")
    local status, reason = queries.final(phone)
    server:stop()
    assert.equal(480, status)
    assert.equal("answer", reason)
    assert.is_nil(server:crash())
  end)

  it("needs tm", function()
    local started, log = kazoo.try_start {
      without = "tm", request_route = "request_route { kazoo_query_async($rU, $rb, $rb, $var(ok), $var(bad)); exit; }",
    }
    assert.is_nil(started)
    assert.matches('ERROR.*kazoo_async_query: needs the tm module: loadmodule "tm.so"', log)
  end)
end)
