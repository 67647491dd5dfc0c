local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local sip = require "support.sip"
local wait = require "support.wait"

local function nested(depth, open, close, core) return open:rep(depth) .. core .. close:rep(depth) end

-- What happens to each: "dropped" with a log line, or the name of the route that runs.
local payloads = {
  { "an array", '[1,{"a":2}]', "dropped" },
  { "a number", "42", "dropped" },
  { "a string", '"text"', "dropped" },
  { "null", "null", "dropped" },
  { "an empty message", "", "dropped" },
  { "blanks", " \r\n\t ", "dropped" },
  { "NUL bytes alone", ("\0"):rep(100), "dropped" },
  { "NUL bytes between JSON", '{"a":1,\0"b":2}', "dropped" },
  { "NUL bytes after JSON", '{"a":1}\0\0', "default" },
  { "a comment without an end", '{"a":1 /*' .. ("*"):rep(100000), "dropped" },
  { "100,000 comments", "{" .. ("/**/"):rep(100000) .. '"a":1}', "default" },
  { "10,000 different keys, twice", (function()
      local members = {}
      for i = 1, 20000 do members[i] = ('"%d":%d'):format(i % 10000, i) end
      return "{" .. table.concat(members, ",") .. "}"
    end)(), "default" },
  { "NUL bytes in a string", '{"Event-Category":"nul\0byte","a":"x\0y"}', "default" },
  { "an escaped NUL in a key field", '{"Event-Category":"nul\\u0000byte","Event-Name":"\\u0000"}', "default" },
  { "keys of 600 characters", ('{"%s":1}'):format(("k"):rep(600)), "default" },
  { "key fields of 600 characters", ('{"Event-Category":"%s","Event-Name":"%s"}'):format(("k"):rep(600), ("s"):rep(600)),
    "default" },
  { "key fields of 100 kB", ('{"Event-Category":"%s","Event-Name":"%s"}'):format(("k"):rep(1e5), ("s"):rep(1e5)),
    "default" },
  { "an object as key", '{"Event-Category":{"a":1},"Event-Name":{"b":2}}', "default" },
  { "an array as key", '{"Event-Category":["a"],"Event-Name":[]}', "default" },
  { "null as key", '{"Event-Category":null,"Event-Name":null}', "default" },
  { "an object instead of a key", '{{"a":1}:2}', "dropped" },
  { "a number instead of a key", "{1:2}", "dropped" },
  { "arrays 20,000 deep", '{"a":' .. nested(20000, "[", "]", "") .. "}", "dropped" },
  { "objects 20,000 deep", nested(20000, '{"a":', "}", "1"), "dropped" },
  { "brackets without an end", '{"a":' .. ("["):rep(20000), "dropped" },
  { "a field of 300 kB", '{"a":"' .. ("x"):rep(300000) .. '"}', "default" },
  { "a Server-ID of 300 kB", '{"Server-ID":"' .. ("x"):rep(300000) .. '"}', "default" },
  { "an escaped field of 300 kB", '{"a":"' .. ("\\u00e4"):rep(50000) .. '"}', "default" },
  { "10,000 fields", "{" .. ('"k":1,'):rep(9999) .. '"k":1}', "default" },
  { "bad UTF-8 in a value", '{"a":"\255\254\192\175\237\160\128"}', "default" },
  { "bad UTF-8 in a key", '{"\255\254":"a"}', "default" },
  { "bad UTF-8 in a key field", '{"Event-Category":"\255\254","Event-Name":"\240\159"}', "default" },
  { "bad UTF-8 everywhere", ("\255\128"):rep(500), "dropped" },
  { "format strings", '{"Event-Category":"%s%n%p%1000000d","Event-Name":"%s%n","Server-ID":"%n%n%s"}', "default" },
  { "format strings alone", "%s%s%s%n%n%n%1000000d", "dropped" },
  { "duplicate keys", '{"Event-Category":"first","Event-Category":"last","a":1,"a":2}', "last" },
  { "lone surrogates", '{"a":"\\ud800","b":"\\udc00","Event-Category":"\\ud800x","\\udfff":1}', "default" },
  { "half an escape", '{"a":"\\u12', "dropped" },
  { "a wrong escape", '{"a":"\\x41"}', "dropped" },
  { "route names of others", '{"Event-Category":"connection","Event-Name":"open] #!define"}', "default" },
  { "a newline in a key field", '{"Event-Category":"a\\nERROR: forged","Event-Name":"b"}', "default" },
  { "numbers beyond all bounds", '{"a":1e999999,"b":-0,"c":' .. ("9"):rep(10000) .. "}", "default" },
  { "more than the inbox takes", '{"a":"' .. ("x"):rep(33 * 1024 * 1024) .. '"}', "larger" },
}

local log_line_of = {
  dropped = 'discarding message on exchange "hx" with routing key "hostile.*": .* at byte %d+ of %d+: .*%(%d+ so far%)',
  larger = 'discarding message of %d+ bytes with routing key "hostile.*": the inbox is limited to %d+ bytes',
}

describe("A hostile bus:", function()
  local rabbit, server, client, before

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 },
      mod_init = [[kazoo_subscribe("{'exchange':'hx', 'type':'topic', 'queue':'hq', 'routing':'#', 'no_ack':0,
        'wait_for_consumer_ack':1}");]],
      events = {
        ["consumer-event-normal"] = kazoo.note("normal"),
        ["consumer-event-last"] = 'xlog("L_NOTICE", "route last $kzRK $(kzE{kz.json,a})\\n");',
        ["consumer-event"] = [[
          xlog("L_NOTICE", "route default $kzRK $(kzE{s.len}) $(kzE{kz.json,a}{s.len})\n");
          xlog("L_DBG", "$kzE $(kzE{kz.json,Event-Category}) $(kzE{kz.json,Server-ID}) $(kzE{kz.json,a.b[3]})\n");
          kazoo_json("$kzE", "Event-Name", "$avp(name)");
          kazoo_encode("$avp(name)", "$var(encoded)");
          kazoo_json_keys("$kzE", "", "$avp(keys)");
          kazoo_publish("hostile-nowhere", "x", $kzE);]],
      },
    }
    client:exchange("hostile-nowhere", "fanout")
    server:wait_log('consuming from queue "hq"')
    before = server:pids()
  end)

  teardown(function() server:stop() end)

  for i, case in ipairs(payloads) do
    local what, payload, outcome = unpack(case)
    it(what .. (outcome == "dropped" and " is dropped" or outcome == "larger" and " is refused" or " runs a route")
      .. ", and the next message is handled", function()
      local key, after = ("hostile.%d."):format(i), ("after %d."):format(i)
      client:publish("hx", key, payload)
      client:publish("hx", "normal", ('{"Event-Category":"normal","id":"%s"}'):format(after))
      server:event(after)
      local ran = server:count_log("route %a+ hostile%." .. i .. "%.")
      if log_line_of[outcome] then
        assert.equal(0, ran)
      else
        assert.equal(1, ran)
        server:wait_log("route " .. outcome .. " hostile%." .. i .. "%.")
      end
      if outcome == "larger" then server:wait_log(log_line_of.larger) end
    end)
  end

  it("every dropped message is counted in a log line, of which there is one a second at most", function()
    local dropped = 0
    for _, case in ipairs(payloads) do if case[3] == "dropped" then dropped = dropped + 1 end end
    wait.until_(function()
      client:publish("hx", "hostile.again", "[]")
      return tonumber(server:log():match('.*discarding message on [^\n]* %((%d+) so far%)') or 0) > dropped
    end, 10, "a count above " .. dropped)
    assert.matches(log_line_of.dropped, server:wait_log(log_line_of.dropped))
    assert.is_true(server:count_log(log_line_of.dropped) < dropped)
  end)

  it("the last of several equal keys counts", function()
    assert.matches("route last hostile%.%d+%. 2$", server:wait_log("route last hostile"))
  end)

  it("no line of the log is forged", function()
    assert.equal(0, server:count_log("^ERROR: forged"))
  end)

  it("every message has left the queue", function()
    wait.until_(function()
      return rabbit:ctl("list_queues", "name", "messages"):find("hq\t0\n", 1, true)
    end, 10, "an empty queue")
  end)

  it("Kamailio's processes are the same as before", function()
    assert.is_nil(server:crash())
    assert.same(before, server:pids())
  end)
end)

describe("A hostile text in a function of the script", function()
  local server, client
  local forged = "no json\nERROR: forged\r\n"

  setup(function()
    local rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    client:exchange("hostile-ask", "fanout")
    server = kazoo.start {
      rabbit = rabbit,
      routes = {
        json = [[ kazoo_json($rb, "a", "$var(x)"); ]],
        keys = [[ kazoo_json_keys($rb, "$rb", "$avp(x)"); ]],
        payload = [[ kazoo_publish("hostile-ask", "x", $rb); ]],
        key = [[ $var(key) = "consumer://" + $rb + "/x"; kazoo_publish("hostile-ask", $var(key), "{}"); ]],
        headers = [[ kazoo_publish("hostile-ask", "x", "{}", $rb); ]],
        properties = [[ kazoo_publish("hostile-ask", "x", "{}", "", $rb); ]],
        ask = [[ kazoo_query("hostile-ask", "x", "{}"); ]],
      },
    }
    server:await_connected()
  end)

  teardown(function() server:stop() end)

  local lines = {
    json = "kazoo_json: the payload is not a JSON object: no json%?ERROR: forged",
    keys = "kazoo_json_keys: the payload is not a JSON object: no json%?ERROR: forged",
    payload = "kazoo_publish: payload refused, .*: no json%?ERROR: forged",
    key = 'kazoo_publish: routing key "consumer://no json%?ERROR: forged',
    headers = 'kazoo_publish: header "no json%?ERROR: forged',
    properties = 'kazoo_publish: property "no json%?ERROR: forged',
  }
  local results = { json = 1, keys = 1 } -- what is no JSON has no fields
  for route, line in pairs(lines) do
    it("forges no line of the log in " .. route, function()
      assert.equal(results[route] or -1, (server:call(route, { body = forged })))
      server:wait_log(line)
      assert.is_nil(server:log():find("\nERROR: forged", 1, true))
    end)
  end

  it("forges no line in a reply", function()
    local questions = client:tap("hostile-ask", "x")
    local phone = sip.client(server.port)
    phone:start { method = "MESSAGE", uri = ("sip:ask@127.0.0.1:%d"):format(server.port) }
    local question = client:get(questions)
    client:publish("", question.reply_to, forged, { correlation_id = question.correlation_id })
    assert(phone:await_reply(10))
    phone:close()
    server:wait_log("discarding reply to \"x\": .*: no json%?ERROR: forged")
    assert.is_nil(server:log():find("\nERROR: forged", 1, true))
  end)
end)
