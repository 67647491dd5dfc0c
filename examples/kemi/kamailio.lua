-- The quickstart's routes in Lua, through KEMI: what examples/quickstart/kamailio.cfg does, function by function.
-- luacheck: ignore 131 (Kamailio calls those that begin with ksr_)
local cjson = require "cjson"

-- -- from the phones to the buses --

local states = { "registered", "registered", "unregistered" } -- by what save() did: added, refreshed, removed

-- Both functions write into shared memory and return: no broker, whatever its state, keeps the phone waiting.
local function tell(state)
  local user = KSR.pv.get("$tU")
  local event = cjson.encode {
    ["Event-Category"] = "registration", ["Event-Name"] = state, User = user,
    Contact = KSR.pv.get("$(ct{nameaddr.uri})"),
  }
  -- Each word of a routing key is encoded: a dot in a user's name would start another word.
  if KSR.kazoo.kazoo_publish("amq.topic", state .. "." .. KSR.pv.get("$(tU{kz.encode})"), event) < 0 then
    KSR.err("RabbitMQ will not hear of " .. user .. "\n")
  end
  if KSR.nats.publish("phones." .. state, event) < 0 then
    KSR.err("NATS will not hear of " .. user .. "\n")
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
    KSR.notice(event.User .. " had not been registered\n")
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
  local question = cjson.decode(KSR.pv.get("$natsData"))
  local contact = contact_of(question.User)
  KSR.notice("looked up " .. question.User .. ": " .. tostring(contact) .. "\n")
  KSR.nats.publish(question["Answer-To"], cjson.encode({ User = question.User, Contact = contact }))
  return 1
end
