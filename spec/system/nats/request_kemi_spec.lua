-- Asking over NATS and answering from a KEMI script.
local nats = require "support.nats"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local sip = require "support.sip"
local stats = require "support.stats"

describe("Requests over NATS from KEMI", function()
  local broker, client, server

  local script = [[
    local function reply(rc, out)
      KSR.textops.set_reply_body(rc .. "\n" .. tostring(out), "text/plain")
      KSR.sl.sl_send_reply(200, "OK")
    end
    local calls = {
      request = function(body)
        local rc = KSR.nats.request("ask", body, 5000)
        return rc, KSR.pv.get("$natsAnswer")
      end,
      headers = function(body)
        local rc = KSR.nats.request_headers("ask", body, 5000, "h=v")
        return rc, KSR.pv.get("$natsAnswerHdr(h)")
      end,
      nobody = function(body) return KSR.nats.request("nobody", body, 5000), KSR.pv.get("$natsError") end,
      timeout = function(body) return KSR.nats.request("ask", body, 0), KSR.pv.get("$natsError") end,
      publish = function(body) return KSR.nats.publish_headers("ask", body, "", "h=v") end,
      respond = function(body) return KSR.nats.respond(body) end,
    }
    function ksr_request_route()
      local name = KSR.pv.get("$rU")
      if KSR.pv.get("$rm") == "ACK" then return end
      if name == "later" then
        KSR.tm.t_newtran()
        local rc = KSR.nats.request_async(KSR.pv.get("$rd"), "x", "on_answer", "on_failure", 5000)
        if rc < 0 then KSR.tm.t_reply(500, "Not asked") end
        return
      end
      reply(calls[name](KSR.pv.get("$rb")))
    end
    function on_answer() KSR.tm.t_reply(480, KSR.pv.get("$natsAnswer")) end
    function on_failure() KSR.tm.t_reply(504, KSR.pv.get("$natsError")) end
    function on_nats(event)
      if event == "nats:echo" then
        KSR.nats.respond_headers("KEMI got " .. KSR.pv.get("$natsData"), "h=v")
      end
    end
  ]]

  setup(function()
    broker = nats_server.start()
    client = nats_client.connect { port = broker.port }
    client:sub("ask")
    server = nats.start {
      server = broker, lua = script,
      params = { num_publish_workers = 1, subject_queue_group = "echo:g", event_callback = "on_nats" },
    }
    stats.await(server, "nats.stats", { connections_open = 4 })
    stats.await(server, "nats.subscriptions", { state = "active" }, { subject = "echo" })
  end)

  teardown(function()
    client:close()
    server:stop()
    broker:stop()
  end)

  it("sends a request and gets the reply", function()
    local finish = server:start_call("request", { body = "a question" })
    local question = assert(client:next(5))
    assert.equal("a question", question.payload)
    client:pub(question.reply, "an answer")
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("an answer", out)
  end)

  it("sends requests with headers", function()
    local finish = server:start_call("headers", { body = "q" })
    local question = assert(client:next(5))
    assert.same({ h = "v" }, question.headers)
    client:pub(question.reply, "a", nil, { h = "back" })
    local rc, out = finish()
    assert.equal(1, rc)
    assert.equal("back", out)
  end)

  it("learns why there is no reply", function()
    assert.same({ -3, "no responders" }, { server:call("nobody", { body = "q" }) })
    assert.same({ -1, "refused" }, { server:call("timeout", { body = "q" }) })
    assert.equal(-1, (server:call("respond", { body = "q" })))
  end)

  it("publishes headers", function()
    assert.equal(1, (server:call("publish", { body = "x" })))
    assert.same({ h = "v" }, assert(client:next(5)).headers)
  end)

  it("answers", function()
    client:sub("_INBOX.kemi")
    client:pub("echo", "hello", "_INBOX.kemi")
    local answer = assert(client:next(5))
    assert.equal("KEMI got hello", answer.payload)
    assert.same({ h = "v" }, answer.headers)
  end)

  it("suspends a transaction and continues in a function", function()
    local function invite(subject)
      local phone = sip.client(server.port)
      phone:start { method = "INVITE", uri = "sip:later@" .. subject }
      return phone
    end
    local phone = invite("ask")
    client:pub(assert(client:next(5)).reply, "later")
    local reply = assert(phone:await_reply(5))
    assert.same({ 480, "later" }, { reply.status, reply.reason })
    reply = assert(invite("nobody"):await_reply(5))
    assert.same({ 504, "no responders" }, { reply.status, reply.reason })
  end)
end)
