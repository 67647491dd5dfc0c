-- Bodies of many MB: what goes out comes in, and the memory for it goes back to the system.
local amqp = require "support.amqp"
local kazoo = require "support.kazoo"
local stats = require "support.stats"
local wait = require "support.wait"

local MB = 1024 * 1024

-- Bytes of shared memory that a process has pages of, by /proc.
local function shared_of(pid)
  local status = assert(io.open(("/proc/%d/status"):format(pid))):read("*a")
  return tonumber(status:match("RssShmem:%s+(%d+) kB")) * 1024
end

local function private_of(pid)
  local status = assert(io.open(("/proc/%d/status"):format(pid))):read("*a")
  return tonumber(status:match("RssAnon:%s+(%d+) kB")) * 1024
end

describe("A message of many MB", function()
  local rabbit, client, server, worker, consumer

  setup(function()
    rabbit = kazoo.shared_rabbit()
    client = amqp.client(rabbit)
    server = kazoo.start {
      rabbit = rabbit, params = { amqp_consumer_processes = 1 }, private_memory = 128,
      mod_init = [[kazoo_subscribe('{"exchange":"large", "type":"topic", "queue":"large-q", "routing":"#", "no_ack":0,
        "wait_for_consumer_ack":1}');]],
      events = {
        ["consumer-event-big-body"] = 'xlog("L_NOTICE", "body $kzRK $(kzE{s.len}) $(kzE{kz.json,n})\\n");',
        ["consumer-event-raw"] = 'xlog("L_NOTICE", "raw $kzRK $(kzE{s.len})\\n");',
      },
      routes = { large = [[
        $var(i) = 0; $var(text) = "0123456789abcdef";
        while ($var(i) < 18) { $var(text) = $var(text) + $var(text); $var(i) = $var(i) + 1; }
        $var(payload) = "{'Event-Category':'big', 'Event-Name':'body', 'n':4, 'text':'" + $var(text) + "'}";
        kazoo_publish("large", "own", $var(payload));]] },
    }
    server:wait_log('consuming from queue "large%-q"')
    worker, consumer = server:pid_of("kazoo worker"), server:pid_of("kazoo consumer")
  end)

  teardown(function() server:stop() end)

  local function body(size)
    return ('{"Event-Category":"big","text":"%s","n":%d,"Event-Name":"body"}'):format(("x"):rep(size), size)
  end

  for _, size in ipairs { 2, 8, 30 } do
    it(("is delivered: %d MB, as JSON and as it is"):format(size), function()
      client:publish("large", "json" .. size, body(size * MB))
      server:wait_log(("body json%d %%d+ %d$"):format(size, size * MB), 30)
      client:publish("large", "raw" .. size, ("x"):rep(size * MB))
      server:wait_log(("raw raw%d %d$"):format(size, size * MB), 30)
    end)
  end

  it("is delivered when kazoo_publish sends it", function()
    assert.equal(1, (server:call("large")))
    server:wait_log("body own %d+ 4$", 30)
  end)

  it("is discarded above 32 MB, and the next one is handled", function()
    client:publish("large", "too large", ("x"):rep(33 * MB))
    server:wait_log("discarding message of %d+ bytes with routing key \"too large\": the inbox is limited to %d+ bytes", 30)
    client:publish("large", "after", "small")
    server:wait_log("raw after 5")
    stats.await(server, "kazoo.subscriptions", { dropped_too_large = 1 }, { queue = "large-q" })
  end)

  it("waits for its turn behind others, in order", function()
    local bodies = {}
    for i = 1, 12 do bodies[i] = body(i % 3 == 0 and 6 * MB or 300000 + i) end
    client:publish_all("large", "many", bodies)
    server:wait_log("body many", 30, 12)
    local seen = {}
    for n in server:log():gmatch("body many %d+ (%d+)") do seen[#seen + 1] = tonumber(n) end
    for i = 1, 12 do assert.equal(i % 3 == 0 and 6 * MB or 300000 + i, seen[i]) end
  end)

  it("costs memory while it is there: it is given back afterwards", function()
    for i = 1, 130 do client:publish("large", "small", ("%d"):format(i)) end -- buffers shrink with use
    wait.until_(function()
      local of_worker, of_consumer, inbox = private_of(worker), private_of(consumer), shared_of(consumer)
      client:publish("large", "small", "1")
      return of_worker < 16 * MB and of_consumer < 16 * MB and inbox < 16 * MB,
        ("private %d and %d, shared %d"):format(of_worker, of_consumer, inbox)
    end, 60, "memory given back")
  end)
end)
