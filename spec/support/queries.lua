-- Asking from a route of a Kamailio (support.kazoo), and answering as an application does.
local cjson = require "cjson"
local sip = require "support.sip"

local queries = {}

-- Routes that ask the exchange qx with the key "ask" and the body of the call. Where amqp_query_timeout_avp is
-- queries.patience, ask_patiently waits as long as the header X-Patience says; with no reply its result is "null".
queries.patience = "$avp(patience)"
queries.routes = {
  ask = [[ kazoo_query("qx", "ask", $rb); $var(rc) = $rc; $var(out) = $kzR; ]],
  ask_patiently = [[ $avp(patience) = $(hdr(X-Patience){s.int});
    kazoo_query("qx", "ask", $rb); $var(rc) = $rc;
    if ($kzR == $null) { $var(out) = "null"; } else { $var(out) = $kzR; } ]],
}

-- server:start_call() with a body and headers, one or a list.
function queries.start_call(server, route, body, headers)
  return server:start_call(route, { body = body, headers = type(headers) == "string" and { headers } or headers })
end

-- The payload of an answer with this text to a question (a message of support.amqp), and the routing key for it.
function queries.answer_text(question, text)
  local asked = cjson.decode(question.payload)
  return cjson.encode { ["Msg-ID"] = asked["Msg-ID"], text = text }, asked["Server-ID"]
end

function queries.answer(client, question, text)
  local answer, reply_key = queries.answer_text(question, text)
  client:publish("targeted", reply_key, answer)
end

-- What such an answer says.
function queries.text_of(out) return cjson.decode(out).text end

-- Asks with the routing key $rU, suspends, and replies 480 with the text of the answer, or 504.
queries.async_route = [[
request_route {
  if (is_method("ACK|OPTIONS")) { sl_send_reply("200", "OK"); exit; }
  t_newtran();
  if (!kazoo_async_query("$hdr(X-Exchange)", "$rU", '{"call":"$ci"}', "$hdr(X-Answer)", "$hdr(X-Failure)")) {
    t_reply("500", "Not asked");
  }
  exit;
}
onreply_route[ANSWER] {
  t_reply("480", "$(kzR{kz.json,text})");
}
failure_route[FAILURE] {
  t_reply("504", "No answer");
}
]]

-- An INVITE for that route: the phone that sent it. Fields: exchange (qx), and the names of the routes, answer and
-- failure.
function queries.invite(server, user, fields)
  fields = fields or {}
  local phone = sip.client(server.port)
  local request = phone:complete {
    uri = ("sip:%s@127.0.0.1:%d"):format(user, server.port),
    headers = {
      "X-Exchange: " .. (fields.exchange or "qx"),
      "X-Answer: " .. (fields.answer or "ANSWER"), "X-Failure: " .. (fields.failure or "FAILURE"),
    },
  }
  request.method = "INVITE"
  phone:start(request)
  return phone
end

-- Status and reason of its final reply.
function queries.final(phone, deadline)
  local reply = assert(phone:await_reply(deadline or 5))
  phone:close()
  return reply.status, reply.reason
end

return queries
