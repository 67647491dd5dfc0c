-- What the whole of JetStream shares: where it answers, what it answers, and the same from a script.
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local questions = require "support.nats_questions"
local nats_server = require "support.nats_server"
local stats = require "support.stats"

describe("$natsAnswerStatus", function()
  it("is JetStream's own status, and null for an application's reply", function()
    local broker = nats_server.start { jetstream = true }
    local api = jetstream.connect { port = broker.port }
    api:stream("CDR", { subjects = { "cdr" }, allow_direct = true })
    api.client:pub("cdr", "the first")
    local server = nats.start { server = broker, routes = questions.routes }
    server:await_connections(3)
    local function ask(sequence)
      local fields = { body = ('{"seq":%d}'):format(sequence), headers = { "X-Subject: $JS.API.DIRECT.GET.CDR" } }
      local rc, out = server:call("ask", fields)
      return ("%d %s"):format(rc, out)
    end
    assert.equal("1 ||404|", ask(7))
    assert.equal("1 the first|||", ask(1))
    api:close()
    server:stop()
    broker:stop()
  end)
end)

-- What the stream's acknowledgements, and the messages of a durable consumer, come to.
describe("nats_inbox_prefix", function()
  it("is where streams reply, for a user who may subscribe to nothing else", function()
    local broker = nats_server.start { jetstream = true, conf = [[
      authorization { users: [
        { user: spec, password: spec }
        { user: sip, password: sip, permissions: { publish: ">", subscribe: "MINE.>" } } ] } ]] }
    local api = jetstream.connect { port = broker.port, user = "spec", pass = "spec" }
    api:stream("ORDERS", { subjects = { "orders.>" } })
    local server = nats.start {
      routes = { store = [[nats_js_publish_wait("orders.new", $rb, 5000);]] },
      events = { orders = [[xlog("L_NOTICE", "handled $natsData\n");]] }, params = {
        nats_url = "nats://sip:sip@127.0.0.1:" .. broker.port, nats_inbox_prefix = "MINE", num_publish_workers = 1,
        nats_js_consumer = "stream=ORDERS;durable=d;event=orders",
      },
    }
    assert.equal(1, (server:call("store", { body = "permitted" })))
    server:wait_log("handled permitted", 5)
    assert.equal(0, server:count_log("Permissions Violation"))
    api:close()
    server:stop()
    broker:stop()
  end)
end)

describe("JetStream from a KEMI script", function()
  local script = [[
    function ksr_request_route()
      local rc = {
        KSR.nats.js_publish("kemi.jobs", "one"), KSR.nats.js_publish_headers("kemi.jobs", "two", "Nats-Msg-Id=kemi-2"),
        KSR.nats.js_publish_wait("kemi.jobs", "nak", 5000),
        KSR.nats.js_publish_wait_headers("kemi.jobs", "term", 5000, "Kind=last"),
        KSR.nats.js_publish_wait("nowhere", "x", 5000), KSR.nats.ack(),
      }
      KSR.sl.sl_send_reply(200, table.concat(rc, " "))
    end

    function on_event(event)
      local data, delivered = KSR.pv.get("$natsData"), KSR.pv.get("$natsProp(delivered)")
      if not delivered then return end
      KSR.nats.progress()
      if data == "nak" and delivered == "1" then KSR.nats.nak(200) end
      if data == "term" then KSR.nats.term() end
      if data == "one" then KSR.nats.ack() end
      KSR.nats.publish("seen", event .. " " .. data .. " " .. delivered)
    end
  ]]

  it("publishes, acknowledges, gives back and ends", function()
    local broker = nats_server.start { jetstream = true }
    local api = jetstream.connect { port = broker.port }
    api:stream("KEMI", { subjects = { "kemi.>" } })
    local client = nats_client.connect { port = broker.port }
    client:sub("seen")
    local server = nats.start {
      server = broker, lua = script,
      params = { nats_js_consumer = "stream=KEMI;durable=k;filter=kemi.*", event_callback = "on_event" },
    }
    stats.await(server, "nats.subscriptions", { state = "active" }, { stream = "KEMI" })
    assert.equal("1 1 1 1 -1 -1", assert(server.sip:request { method = "MESSAGE", body = "" }).reason)
    local came = {}
    for _ = 1, 5 do came[#came + 1] = assert(client:next(5)).payload end
    assert.same({
      "nats:kemi.* one 1", "nats:kemi.* two 1", "nats:kemi.* nak 1", "nats:kemi.* term 1", "nats:kemi.* nak 2",
    }, came)
    stats.await(server, "nats.stats", { acked = 3, naked = 1, terminated = 1, redelivered = 1, pending = 0 })
    client:close()
    api:close()
    server:stop()
    broker:stop()
  end)
end)
