-- The quickstart's routes in Lua, through KEMI: the same as examples/quickstart/kamailio.cfg, function by function.
-- luacheck: ignore 131 (Kamailio calls the functions that begin with ksr_)
local cjson = require "cjson"

-- -- from the phones to the buses --

local states = { "registered", "registered", "unregistered" } -- by the result of save(): added, refreshed, removed

-- Both publish functions write into shared memory and return: the phone never waits for a broker, whatever its state.
local function tell(state)
  local user = KSR.pv.get("$tU")
  local event = cjson.encode {
    ["Event-Category"] = "registration", ["Event-Name"] = state, User = user,
    Contact = KSR.pv.get("$(ct{nameaddr.uri})"),
  }
  -- Encode each word of a routing key: a dot in a user name would start another word.
  if KSR.kazoo.kazoo_publish("amq.topic", state .. "." .. KSR.pv.get("$(tU{kz.encode})"), event) < 0 then
    KSR.err("cannot publish to RabbitMQ: " .. user .. "\n")
  end
  if KSR.nats.publish("phones." .. state, event) < 0 then
    KSR.err("cannot publish to NATS: " .. user .. "\n")
  end
end

function ksr_request_route()
  if KSR.pv.get("$rm") ~= "REGISTER" then
    KSR.sl.sl_send_reply(405, "This is a registrar")
    return 1
  end
  local saved = KSR.registrar.save("location", 0)
  if saved < 0 then
    KSR.sl.sl_reply_error()
    return 1
  end
  tell(states[saved] or "registered")
  return 1
end

-- -- from RabbitMQ --

local on = {}

on["phone-logout"] = function(event)
  if KSR.registrar.unregister("location", "sip:" .. event.User .. "@localhost") > 0 then
    KSR.notice(event.User .. " is logged out (routing key " .. KSR.pv.get("$kzRK") .. ")\n")
  else
    KSR.notice(event.User .. " was not registered\n")
  end
end

local function subscribe()
  KSR.kazoo.kazoo_subscribe(cjson.encode {
    exchange = "kamailio", type = "topic", queue = "quickstart", routing = "phone.#", no_ack = 0,
    wait_for_consumer_ack = 1,
  })
end

-- name: kazoo:mod-init, once at the start, or kazoo:consumer-event
function ksr_kazoo_event(name)
  if name == "kazoo:mod-init" then
    subscribe()
    return 1
  end
  local event = cjson.decode(KSR.pv.get("$kzE"))
  local handler = on[event["Event-Category"] .. "-" .. event["Event-Name"]]
  if handler then
    handler(event)
  else
    KSR.notice("no handler for " .. KSR.pv.get("$kzE") .. "\n")
  end
  return 1
end

-- -- from NATS --

local function contact_of(user)
  local contact
  if KSR.registrar.reg_fetch_contacts("location", "sip:" .. user .. "@localhost", "found") > 0 then
    contact = KSR.pv.get("$(ulc(found=>addr))")
    KSR.registrar.reg_free_contacts("found")
  end
  return contact or cjson.null
end

-- name: nats:lookup, nats:connected or nats:disconnected
function ksr_nats_event(name)
  if name ~= "nats:lookup" then return 1 end
  local request = cjson.decode(KSR.pv.get("$natsData"))
  local contact = contact_of(request.User)
  KSR.notice("looked up " .. request.User .. ": " .. tostring(contact) .. "\n")
  KSR.nats.publish(request["Answer-To"], cjson.encode({ User = request.User, Contact = contact }))
  return 1
end
