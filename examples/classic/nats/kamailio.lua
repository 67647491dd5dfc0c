-- The routes of kamailio.cfg beside it.
-- luacheck: ignore 131 (Kamailio calls the functions that begin with ksr_)
local cjson = require "cjson"

local function publish(subject, fields)
  if KSR.nats.publish(subject, cjson.encode(fields)) < 0 then KSR.err("cannot publish to " .. subject .. "\n") end
end

local function call_event(state, more)
  local fields = {
    Call = KSR.pv.gete("$ci"), From = KSR.pv.gete("$fU") .. "@" .. KSR.pv.gete("$fd"), To = KSR.pv.gete("$tU"),
    State = state,
  }
  for name, value in pairs(more or {}) do fields[name] = value end
  publish("sip-calls", fields)
end

-- -- requests --

local states = { "registered", "refreshed", "gone" } -- by the result of save()

local function register()
  local saved = KSR.registrar.save("location", 0)
  if saved < 0 then
    KSR.sl.sl_reply_error()
    return
  end
  publish("sip-registrations", {
    User = KSR.pv.gete("$tU") .. "@" .. KSR.pv.gete("$td"), Contact = KSR.pv.gete("$(ct{nameaddr.uri})"),
    State = states[saved] or "registered",
  })
end

local function relay()
  if KSR.tm.t_relay() < 0 then KSR.sl.sl_reply_error() end
end

local function call()
  if KSR.pv.get("$sht(blocked=>$fU@$fd)") then
    call_event("refused")
    KSR.sl.sl_send_reply(403, "Blocked")
  elseif KSR.registrar.lookup("location") < 0 then
    call_event("not found")
    KSR.sl.sl_send_reply(404, "Not Registered")
  else
    KSR.rr.record_route()
    KSR.tm.t_on_reply("ksr_onreply_call")
    KSR.tm.t_on_failure("ksr_failure_call")
    call_event("started")
    relay()
  end
end

local function in_dialog(method)
  if KSR.rr.loose_route() > 0 then
    if method == "BYE" then call_event("ended") end
    relay()
  elseif method == "ACK" and KSR.tm.t_check_trans() > 0 then
    relay()
  end
end

function ksr_request_route()
  local method = KSR.pv.get("$rm")
  if KSR.maxfwd.process_maxfwd(10) < 0 then
    KSR.sl.sl_send_reply(483, "Too Many Hops")
  elseif method == "CANCEL" then
    if KSR.tm.t_check_trans() > 0 then relay() end
  elseif KSR.siputils.has_totag() > 0 then
    in_dialog(method)
  elseif method == "REGISTER" then
    register()
  elseif method == "INVITE" then
    call()
  else
    KSR.sl.sl_send_reply(405, "Method Not Allowed")
  end
  return 1
end

function ksr_onreply_call()
  local status = KSR.pv.get("$rs")
  if status >= 200 and status < 300 and KSR.pv.get("$rm") == "INVITE" then call_event("answered") end
  return 1
end

function ksr_failure_call()
  call_event("failed", { Status = KSR.pv.get("$T_reply_code") })
  return 1
end

-- -- orders from NATS --

local orders = {}

-- {"User":"alice@example.com"}
orders["sip-flush"] = function(order)
  KSR.registrar.unregister("location", "sip:" .. order.User)
  KSR.notice("flush|" .. order.User .. "\n")
end

-- {"User":"alice@example.com", "Blocked":true}
orders["sip-block"] = function(order)
  if order.Blocked then
    KSR.htable.sht_sets("blocked", order.User, "1")
  else
    KSR.htable.sht_rm("blocked", order.User)
  end
  KSR.notice("block|" .. order.User .. "|" .. tostring(order.Blocked) .. "\n")
end

-- {"User":"alice@example.com", "Reply-To":"subject"}: only the server that has the phone replies.
orders["sip-where"] = function(order)
  if KSR.registrar.reg_fetch_contacts("location", "sip:" .. order.User, "found") < 0 then return end
  local contact = KSR.pv.get("$(ulc(found=>addr))")
  KSR.registrar.reg_free_contacts("found")
  if contact then publish(order["Reply-To"], { User = order.User, Contact = contact }) end
end

-- name: nats:SUBJECT
function ksr_nats_event(name)
  local order = orders[name:match("^nats:(.*)$")]
  if not order then return 1 end -- nats:connected, nats:disconnected
  local ok, fields = pcall(cjson.decode, KSR.pv.gete("$natsData"))
  if ok and type(fields) == "table" and type(fields.User) == "string" then
    order(fields)
  else
    KSR.err(name .. ": no order: " .. KSR.pv.gete("$natsData") .. "\n")
  end
  return 1
end
