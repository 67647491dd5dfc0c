-- Routes that ask over NATS and tell what came of it, for support.nats.
local questions = {}

-- "answer|header h|status|error"; null is empty
questions.seen = [[
  $var(rc) = $rc;
  $var(a) = ""; $var(h) = ""; $var(s) = ""; $var(e) = "";
  if ($natsAnswer != $null) $var(a) = $natsAnswer;
  if ($natsAnswerHdr(h) != $null) $var(h) = $natsAnswerHdr(h);
  if ($natsAnswerStatus != $null) $var(s) = $natsAnswerStatus;
  if ($natsError != $null) $var(e) = $natsError;
  $var(out) = $_s($var(a)|$var(h)|$var(s)|$var(e));
]]

questions.routes = {
  ask = [[ nats_request("$hdr(X-Subject)", $rb, "$var(answer)"); ]] .. questions.seen,
  ask_for = [[ $var(ms) = $(hdr(X-Ms){s.int});
    nats_request("$hdr(X-Subject)", $rb, "$var(answer)", $var(ms)); ]] .. questions.seen,
  ask_target = [[ nats_request("ask", $rb, "$avp(answer)", 5000);
    $var(rc) = $rc; $var(out) = $avp(answer); ]],
}

return questions
