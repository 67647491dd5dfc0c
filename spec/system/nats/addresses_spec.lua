-- The addresses of servers and other parameters that may be wrong: which stop the start, and how logins are read from them.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local ports = require "support.ports"
local stats = require "support.stats"

describe("the addresses of nats", function()
  local function refused(params)
    local server, log = nats.try_start { params = params }
    if server then server:stop() end
    assert.is_nil(server, "it started")
    return log
  end

  local function line_with(log, text)
    for line in log:gmatch("[^\n]+") do
      if line:find(text, 1, true) and line:find("ERROR", 1, true) then return line end
    end
    error(("no line with %q in:\n%s"):format(text, log))
  end

  for _, url in ipairs { "http://127.0.0.1:4222", "nats://127.0.0.1:99999", "nats://a b", "nats://127.0.0.1:x" } do
    it(("stop the start when one is %q"):format(url), function()
      local line = line_with(refused { nats_url = { "nats://127.0.0.1:4222", url } }, "nats_url:")
      assert.truthy(line:find(('"%s"'):format(url), 1, true), line)
    end)
  end

  it("are named without the password", function()
    local log = refused { nats_url = "nats://carl:s3cret@127.0.0.1:99999" }
    assert.truthy(line_with(log, "nats_url:"):find("carl", 1, true))
    assert.is_nil(log:find("s3cret", 1, true))
  end)

  for _, bad in ipairs { "", ":group", "a b:group", "a:gr oup", "a..b:group", ".a:group", "a.:group", "a.>.b:group",
    "a:*", "a:>", "a:g.*" } do
    it(("stop the start when subject_queue_group is %q"):format(bad), function()
      local line = line_with(refused { subject_queue_group = bad }, "subject_queue_group:")
      assert.truthy(line:find(('"%s"'):format(bad), 1, true), line)
    end)
  end

  for name, value in pairs { num_publish_workers = 0, nats_outbox_size = 100 } do
    it(("stop the start when %s is %d"):format(name, value), function()
      local line = line_with(refused { [name] = value }, name .. ":")
      assert.truthy(line:find(" " .. value .. " ", 1, true), line)
    end)
  end

  it("are tried one after the other, at the start and when a server is lost", function()
    local first, second = nats_server.start(), nats_server.start()
    local function down() return "nats://127.0.0.1:" .. ports.free() end
    local dead = down()
    local server = nats.start {
      params = { nats_url = { dead, down(), first.url, down(), down(), second.url }, num_publish_workers = 1 },
    }
    local client = nats_client.connect { port = first.port }
    client:sub("order")
    assert.equal(1, server:publish("order", "to the first"))
    assert.equal("to the first", assert(client:next(10), "nothing at the first server").payload)
    server:wait_log("cannot connect to " .. dead:match("//(.*)"):gsub("%.", "%%."))
    client:close()

    client = nats_client.connect { port = second.port }
    client:sub("order")
    stats.await(server, "nats.stats", { outbox_messages = 0 }) -- confirmed, or the second server would get it too
    first:kill9()
    server:wait_log("connection to " .. first.url:match("//(.*)"):gsub("%.", "%%.") .. " lost")
    assert.equal(1, server:publish("order", "to the second"))
    assert.equal("to the second", assert(client:next(15), "nothing at the second server").payload)
    client:close()
    server:stop()
    first:stop()
    second:stop()
  end)

  it("log in, and the password stays out of the log", function()
    local broker = nats_server.start { conf = 'authorization { user: carl, password: "s3c:r@t" }' }
    local address = "127.0.0.1:" .. broker.port
    local server = nats.start { debug = 3, params = {
      nats_url = { "nats://carl:wr0ng@" .. address, "nats://carl:s3c:r@t@" .. address }, num_publish_workers = 1,
      subject_queue_group = "a:b",
    } }
    server:wait_log("cannot connect to .*[Aa]uthori[sz]ation")
    server:wait_log("connected to 127.0.0.1:%d+ as user carl", 15, 2)
    local client = nats_client.connect { port = broker.port, user = "carl", pass = "s3c:r@t" }
    client:sub("order")
    assert.equal(1, server:publish("order", "hello"))
    assert.equal("hello", assert(client:next(10), "nothing came").payload)
    assert.equal(0, server:count_log("wr0ng"))
    assert.equal(0, server:count_log("s3c"))
    client:close()
    server:stop()
    broker:stop()
  end)

  it("may hold a user whose password is empty", function()
    local broker = nats_server.start { conf = 'authorization { user: carl, password: "" }' }
    local server = nats.start { params = { nats_url = ("nats://carl:@127.0.0.1:%d"):format(broker.port) } }
    server:wait_log("connected to 127.0.0.1:%d+ as user carl")
    server:stop()
    broker:stop()
  end)

  it("may hold a token", function()
    local broker = nats_server.start { conf = 'authorization { token: "t0ken" }' }
    local server = nats.start { params = { nats_url = "nats://t0ken@127.0.0.1:" .. broker.port } }
    server:wait_log("connected to 127.0.0.1:%d+ with a token")
    assert.equal(0, server:count_log("t0ken"))
    server:stop()
    broker:stop()
  end)
end)
