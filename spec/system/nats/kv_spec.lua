-- Key-value buckets of JetStream, as a script reads and writes them.
local cjson = require "cjson"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local stats = require "support.stats"
local wait = require "support.wait"

-- "value|revision|error"; null is empty
local seen = [[
  $var(rc) = $rc;
  $var(v) = ""; $var(r) = ""; $var(e) = "";
  if ($natsValue != $null) $var(v) = $natsValue;
  if ($natsRevision != $null) $var(r) = $natsRevision;
  if ($natsError != $null) $var(e) = $natsError;
  $var(out) = $_s($var(v)|$var(r)|$var(e));
]]

local routes = {
  get = [[ nats_kv_get("$hdr(X-Bucket)", "$hdr(X-Key)", "$avp(value)"); ]] .. seen,
  target = [[ nats_kv_get("$hdr(X-Bucket)", "$hdr(X-Key)", "$avp(value)"); $var(rc) = $rc;
    if ($avp(value) == $null) { $var(out) = "null"; } else { $var(out) = $avp(value); } ]],
  put = [[ nats_kv_put("$hdr(X-Bucket)", "$hdr(X-Key)", $rb); ]] .. seen,
  create = [[ nats_kv_create("$hdr(X-Bucket)", "$hdr(X-Key)", $rb); ]] .. seen,
  update = [[ nats_kv_update("$hdr(X-Bucket)", "$hdr(X-Key)", $rb, "$hdr(X-Revision)"); ]] .. seen,
  delete = [[ nats_kv_delete("$hdr(X-Bucket)", "$hdr(X-Key)"); ]] .. seen,
  delete_revision = [[ nats_kv_delete("$hdr(X-Bucket)", "$hdr(X-Key)", "$hdr(X-Revision)"); ]] .. seen,
  bytes = [[ $var(p) = $_s(610062ff); $var(p) = $(var(p){s.decode.hexa}); $var(i) = 0;
    while ($var(i) < 12) { $var(p) = $var(p) + $var(p); $var(i) = $var(i) + 1; }
    nats_kv_put("$hdr(X-Bucket)", "bytes", $var(p));
    nats_kv_get("$hdr(X-Bucket)", "bytes", "$var(back)"); $var(rc) = $rc;
    if ($var(back) == $var(p) && $natsValue == $var(p)) { $var(out) = $(natsValue{s.len}); } ]],
  numbers = [[ $var(k) = 17; $var(v) = 4; nats_kv_put("$hdr(X-Bucket)", $var(k), $var(v)); ]] .. seen,
  quoted = [[ $var(k) = 18; $var(v) = 5; nats_kv_put("$hdr(X-Bucket)", "$var(k)", "$var(v)"); ]] .. seen,
  -- Everything that the second call is given lies in the answer to the first.
  chain = [[ nats_request("names", "", "$var(name)", 5000); nats_kv_get($natsAnswerHdr(bucket), $natsAnswer, "$var(v)"); ]]
    .. seen,
  -- adds one to a counter that others add to as well, and tells how often it lost the race
  add = [[
    $var(done) = 0; $var(lost) = 0;
    while ($var(done) == 0) {
      nats_kv_get("b", "counter", "$var(n)");
      $var(n) = $(var(n){s.int}) + 1;
      if (nats_kv_update("b", "counter", "$var(n)", "$natsRevision")) { $var(done) = 1; }
      else if ($natsError == "conflict") { $var(lost) = $var(lost) + 1; }
      else { $var(done) = 2; }
    }
    $var(rc) = $var(done); $var(out) = $var(lost);
  ]],
}

local function make_bucket(client, name, more)
  local config = {
    name = "KV_" .. name, subjects = { "$KV." .. name .. ".>" }, max_msgs_per_subject = 5, allow_rollup_hdrs = true,
    deny_delete = true, allow_direct = true, discard = "new", storage = "memory",
  }
  for field, value in pairs(more or {}) do config[field] = value end
  local answer = assert(client:request("$JS.API.STREAM.CREATE.KV_" .. name, cjson.encode(config)))
  local decoded = cjson.decode(answer.payload)
  assert(decoded.config, answer.payload)
end

local function start(broker, more)
  local options = {
    server = broker, routes = routes, children = 2, params = { num_publish_workers = 1 },
    settings = "max_while_loops = 3000",
  }
  for name, value in pairs(more or {}) do options[name] = value end
  local server = nats.start(options)
  stats.await(server, "nats.stats", { connections_open = 2 })
  return server
end

-- {result, "value|revision|error"}
local function call(server, route, fields)
  local headers = {}
  for name, field in pairs { ["X-Bucket"] = "bucket", ["X-Key"] = "key", ["X-Revision"] = "revision" } do
    if fields[field] then headers[#headers + 1] = name .. ": " .. fields[field] end
  end
  return { server:call(route, { headers = headers, body = fields.value }) }
end

describe("The bucket functions of nats", function()
  local broker, client, server

  setup(function()
    broker = nats_server.start { jetstream = true }
    client = nats_client.connect { port = broker.port }
    server = start(broker)
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  -- "direct": the value itself is the answer; "stored": it comes in JSON.
  for way, allow_direct in pairs { direct = true, stored = false } do
    describe("on a stream with reads that are " .. way, function()
      setup(function() make_bucket(client, way, { allow_direct = allow_direct }) end)

      local function on(route, key, fields)
        local full = { bucket = way, key = key }
        for name, value in pairs(fields or {}) do full[name] = value end
        return call(server, route, full)
      end

      local function revision_of(result)
        local revision = result[2]:match("^[^|]*|(%d+)|$")
        return assert(revision, result[2]) and revision
      end

      it("read what was written", function()
        local put = on("put", "one", { value = "first" })
        assert.equal(1, put[1])
        assert.same({ 1, ("first|%s|"):format(revision_of(put)) }, on("get", "one"))
        assert.same({ 1, "first" }, on("target", "one"))
        local again = on("put", "one", { value = "second" })
        assert.is_true(tonumber(revision_of(again)) > tonumber(revision_of(put)))
        assert.same({ 1, ("second|%s|"):format(revision_of(again)) }, on("get", "one"))
      end)

      it("read what another client wrote, also nothing and under keys with dots", function()
        local answer = client:request("$KV." .. way .. ".sip/alice=1.x", "")
        local revision = cjson.decode(answer.payload).seq
        assert.same({ 1, ("|%d|"):format(revision) }, on("get", "sip/alice=1.x"))
        assert.same({ 1, "" }, on("target", "sip/alice=1.x"))
      end)

      it("carry any bytes", function()
        assert.same({ 1, "16384" }, on("bytes"))
        local stored = client:request("$JS.API.STREAM.MSG.GET.KV_" .. way,
          cjson.encode { last_by_subj = "$KV." .. way .. ".bytes" })
        assert.truthy(stored.payload:find('"data":"YQBi', 1, true))
      end)

      it("report a missing key", function()
        assert.same({ -4, "||no such key" }, on("get", "never.was"))
        assert.same({ -4, "null" }, on("target", "never.was"))
      end)

      it("create a key that does not exist or no longer exists", function()
        local created = on("create", "new", { value = "v" })
        assert.equal(1, created[1])
        assert.same({ -5, "||conflict" }, on("create", "new", { value = "other" }))
        assert.same({ 1, "v" }, on("target", "new"))
        assert.equal(1, on("delete", "new")[1])
        assert.same({ -4, "||no such key" }, on("get", "new"))
        assert.equal(1, on("create", "new", { value = "again" })[1])
        assert.same({ 1, "again" }, on("target", "new"))
      end)

      it("update only the revision that they know", function()
        local first = revision_of(on("put", "cas", { value = "1" }))
        local second = on("update", "cas", { value = "2", revision = first })
        assert.equal(1, second[1])
        assert.same({ -5, "||conflict" }, on("update", "cas", { value = "3", revision = first }))
        assert.same({ 1, ("2|%s|"):format(revision_of(second)) }, on("get", "cas"))
      end)

      it("delete, also only the revision that they know", function()
        local first = revision_of(on("put", "gone", { value = "1" }))
        local second = revision_of(on("put", "gone", { value = "2" }))
        assert.same({ -5, "||conflict" }, on("delete_revision", "gone", { revision = first }))
        assert.same({ 1, "2" }, on("target", "gone"))
        assert.equal(1, on("delete_revision", "gone", { revision = second })[1])
        assert.same({ -4, "||no such key" }, on("get", "gone"))
      end)

      it("see a deletion by another client", function()
        on("put", "theirs", { value = "1" })
        client:request("$KV." .. way .. ".theirs", "", { ["KV-Operation"] = "PURGE", ["Nats-Rollup"] = "sub" })
        assert.same({ -4, "||no such key" }, on("get", "theirs"))
      end)
    end)
  end

  it("take numbers, each its own", function()
    make_bucket(client, "numbers")
    assert.equal(1, call(server, "numbers", { bucket = "numbers" })[1])
    assert.equal(1, call(server, "quoted", { bucket = "numbers" })[1])
    assert.same({ 1, "4" }, call(server, "target", { bucket = "numbers", key = "17" }))
    assert.same({ 1, "5" }, call(server, "target", { bucket = "numbers", key = "18" }))
  end)

  it("take names from the previous reply", function()
    make_bucket(client, "chained")
    assert(client:request("$KV.chained.a.long.key.in.the.answer", "found"))
    client:sub("names")
    local finish = server:start_call("chain")
    local question = assert(client:next(5))
    client:pub(question.reply, "a.long.key.in.the.answer", nil, { bucket = "chained" })
    local rc, out = finish()
    assert.equal(1, rc)
    assert.truthy(out:find("^found|%d+|$"), out)
  end)

  it("report a missing bucket", function()
    assert.same({ -3, "||no such bucket" }, call(server, "get", { bucket = "none", key = "k" }))
    assert.same({ -3, "||no such bucket" }, call(server, "put", { bucket = "none", key = "k", value = "v" }))
    server:wait_log('nats_kv_get: bucket "none" does not exist')
  end)

  it("refuse invalid names and revisions", function()
    for _, key in ipairs { "a..b", ".a", "a.", "a*", "a>b" } do
      assert.same({ -1, "||refused" }, call(server, "get", { bucket = "direct", key = key }))
    end
    server:wait_log('nats_kv_get: invalid key "a%*": may contain only')
    assert.same({ -1, "||refused" }, call(server, "put", { bucket = "a.b", key = "k", value = "v" }))
    server:wait_log('nats_kv_put: invalid bucket name "a%.b": may contain only')
    assert.same({ -1, "||refused" }, call(server, "update", { bucket = "direct", key = "k", revision = "old" }))
    server:wait_log('nats_kv_update: revision "old" is not a number')
  end)

  it("give the server's reason when it refuses", function()
    make_bucket(client, "small", { max_msgs = 1 })
    assert.equal(1, call(server, "put", { bucket = "small", key = "a", value = "v" })[1])
    assert.same({ -1, "||maximum messages exceeded" }, call(server, "put", { bucket = "small", key = "b", value = "v" }))
    server:wait_log('nats_kv_put: key "b" of bucket "small": maximum messages exceeded')
  end)
end)

describe("Two Kamailios", function()
  it("share a counter, and lose no step of it", function()
    local broker = nats_server.start { jetstream = true }
    local client = nats_client.connect { port = broker.port }
    make_bucket(client, "b")
    client:request("$KV.b.counter", "0")
    local servers = { start(broker), start(broker) }
    local calls, lost = {}, 0
    for i = 1, 60 do calls[i] = servers[i % 2 + 1]:start_call("add") end
    for _, finish in ipairs(calls) do
      local rc, out = finish()
      assert.equal(1, rc)
      lost = lost + tonumber(out)
    end
    assert.same({ 1, "60" }, call(servers[1], "target", { bucket = "b", key = "counter" }))
    assert.is_true(lost > 0, "no race was lost, so none was run")
    for _, server in ipairs(servers) do server:stop() end
    client:close()
    broker:stop()
  end)

  it("see each other's values, and one of two writers wins a race", function()
    local broker = nats_server.start { jetstream = true }
    local client = nats_client.connect { port = broker.port }
    make_bucket(client, "b")
    local one, two = start(broker), start(broker)
    assert.equal(1, call(one, "put", { bucket = "b", key = "k", value = "of one" })[1])
    local got = call(two, "get", { bucket = "b", key = "k" })
    local revision = got[2]:match("^of one|(%d+)|$")
    assert.equal(1, call(one, "update", { bucket = "b", key = "k", value = "newer", revision = revision })[1])
    assert.same({ -5, "||conflict" },
      call(two, "update", { bucket = "b", key = "k", value = "stale", revision = revision }))
    assert.same({ 1, "newer" }, call(two, "target", { bucket = "b", key = "k" }))
    one:stop()
    two:stop()
    client:close()
    broker:stop()
  end)
end)

describe("nats_kv_bucket", function()
  local function with_bucket(value)
    return { params = { num_publish_workers = 1, nats_kv_bucket = value } }
  end

  it("creates missing buckets, and leaves existing ones", function()
    local broker = nats_server.start { jetstream = true }
    local client = nats_client.connect { port = broker.port }
    make_bucket(client, "old", { max_msgs_per_subject = 7 })
    local server = start(broker, with_bucket { "made;history=3;ttl=60;storage=memory", "old" })
    server:wait_log('nats: bucket "made" is ready')
    server:wait_log('nats: bucket "old" is ready')
    local function config_of(name)
      return cjson.decode(client:request("$JS.API.STREAM.INFO.KV_" .. name, "").payload).config
    end
    local made = config_of("made")
    assert.same({ 3, 60000000000, "memory", true, true, true }, {
      made.max_msgs_per_subject, made.max_age, made.storage, made.allow_direct, made.deny_delete,
      made.allow_rollup_hdrs,
    })
    assert.equal(7, config_of("old").max_msgs_per_subject)
    assert.equal(1, call(server, "put", { bucket = "made", key = "k", value = "v" })[1])

    client:request("$JS.API.STREAM.DELETE.KV_made", "")
    client:close()
    broker:kill9()
    broker:start_again()
    server:wait_log('nats: bucket "made" is ready', 15, 2)
    wait.until_(function() return call(server, "put", { bucket = "made", key = "k", value = "v" })[1] == 1 end, 5, "put")
    server:stop()
    broker:stop()
  end)

  it("logs why it cannot, and Kamailio starts all the same", function()
    local broker = nats_server.start() -- without JetStream
    local server = start(broker, with_bucket "made")
    server:wait_log('nats: cannot create bucket "made", retrying in 5 s: no responders')
    assert.same({ -3, "||no responders" }, call(server, "get", { bucket = "made", key = "k" }))
    server:stop()
    broker:stop()
  end)

  it("that is invalid stops the start", function()
    for _, value in ipairs { "a b", "b;history=0", "b;size=5" } do
      local _, log = nats.try_start(with_bucket(value))
      assert.truthy(log:find(('nats_kv_bucket: "%s" must be of the form name'):format(value), 1, true), value)
    end
  end)
end)

describe("Buckets and KEMI", function()
  it("are read and written", function()
    local broker = nats_server.start { jetstream = true }
    local server = nats.start {
      server = broker, params = { num_publish_workers = 1, nats_kv_bucket = "b;storage=memory" }, lua = [[
        local calls = {
          put = function(body) return KSR.nats.kv_put("b", "k", body), KSR.pv.get("$natsRevision") end,
          get = function() return KSR.nats.kv_get("b", "k"), KSR.pv.get("$natsValue") end,
          create = function(body) return KSR.nats.kv_create("b", "k", body), KSR.pv.get("$natsError") end,
          update = function(body)
            KSR.nats.kv_get("b", "k")
            return KSR.nats.kv_update("b", "k", body, tostring(KSR.pv.get("$natsRevision")))
          end,
          stale = function(body) return KSR.nats.kv_update("b", "k", body, "1"), KSR.pv.get("$natsError") end,
          delete = function() return KSR.nats.kv_delete("b", "k") end,
          delete_stale = function() return KSR.nats.kv_delete_revision("b", "k", "1"), KSR.pv.get("$natsError") end,
        }
        function ksr_request_route()
          local rc, out = calls[KSR.pv.get("$rU")](KSR.pv.get("$rb"))
          KSR.textops.set_reply_body(rc .. "\n" .. tostring(out), "text/plain")
          KSR.sl.sl_send_reply(200, "OK")
        end
      ]],
    }
    server:wait_log('nats: bucket "b" is ready')
    local function kemi(name) return { server:call(name, { body = "by " .. name }) } end
    assert.same({ 1, "1" }, kemi("put"))
    assert.same({ 1, "by put" }, kemi("get"))
    assert.same({ -5, "conflict" }, kemi("create"))
    assert.equal(1, kemi("update")[1])
    assert.same({ 1, "by update" }, kemi("get"))
    assert.same({ -5, "conflict" }, kemi("stale"))
    assert.same({ -5, "conflict" }, kemi("delete_stale"))
    assert.equal(1, kemi("delete")[1])
    assert.same({ -4, "nil" }, kemi("get"))
    assert.equal(1, kemi("create")[1])
    server:stop()
    broker:stop()
  end)
end)
