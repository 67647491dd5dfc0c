-- Messages of streams that no event route and no function takes.
local jetstream = require "support.jetstream"
local nats = require "support.nats"
local nats_server = require "support.nats_server"
local stats = require "support.stats"

describe("nats_js_consumer without a handler for its messages", function()
  local broker, api

  setup(function()
    broker = nats_server.start { jetstream = true }
    api = jetstream.connect { port = broker.port }
  end)

  teardown(function()
    api:close()
    broker:stop()
  end)

  -- A server whose consumer gets messages that nobody handles: they stay the stream's, and a line says why.
  local function leaves_messages(stream, options, line)
    local subject = stream:lower()
    api:stream(stream, { subjects = { subject .. ".>" } })
    options.server = broker
    options.params.nats_js_consumer = ("stream=%s;durable=d;filter=%s.*"):format(stream, subject)
    local server = nats.start(options)
    stats.await(server, "nats.subscriptions", { state = "active" }, { stream = stream })
    for _ = 1, 10 do api.client:pub(subject .. ".a", "x") end
    server:wait_log(line)
    local counted = stats.await(server, "nats.stats", { naked = 10 })
    assert.equal(0, counted.acked)
    assert.equal(10, api:consumer(stream, "d").num_ack_pending)
    return server
  end

  it("gives them back when there is no event route, and logs which it has looked for", function()
    local server = leaves_messages("CDR", { params = {}, events = { ["cdr-al"] = "drop;" } },
      'WARNING: .*nats: no event route found for message on "cdr.a", tried: nats:cdr.%*, nats:cdr%-a, nats:cdr%-any; '
        .. "its stream will deliver it again %(1 so far")
    assert.equal(10, stats.one(server, "nats.stats").dropped_no_route)
    server:stop()
  end)

  it("gives them back when event_callback names no function", function()
    leaves_messages("NAMED", { params = { event_callback = "on_nuts" }, lua = "function ksr_request_route() end" },
      'event_callback "on_nuts" failed for nats:named.%*'):stop()
  end)

  it("gives them back when the function of event_callback fails", function()
    leaves_messages("FAILED", {
      params = { event_callback = "on_nats" }, lua = "function ksr_request_route() end function on_nats() error('no') end",
    }, 'event_callback "on_nats" failed for nats:failed.%*'):stop()
  end)

  it("gives them back when event_callback has no script to call", function()
    leaves_messages("SCRIPT", { params = { event_callback = "on_nats" } },
      'event_callback "on_nats" is set, but the configuration has no KEMI script'):stop()
  end)

  it("takes them when a policy has named no route", function()
    api:stream("NONE", { subjects = { "none.>" } })
    local server = nats.start {
      server = broker, files = { ["p.lua"] = "return { route_names = function() return {} end }" },
      params = { nats_js_consumer = "stream=NONE;durable=d", lua_policy = "$FOLDER/p.lua" },
    }
    api.client:pub("none.a", "x")
    stats.await(server, "nats.stats", { acked = 1, naked = 0, dropped_no_route = 1 })
    assert.equal(0, server:count_log "no event route")
    server:stop()
  end)
end)
