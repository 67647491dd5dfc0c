-- SIP requests at a steady rate over one socket, with their replies counted, while other things happen.
local socket = require "socket"
local sip = require "support.sip"

local sip_load = {}

local OPEN_MAX = 100 -- more at once, after a pause, would not fit into the receive buffer of the server's socket

local function by_time(a, b) return a.at < b.at end

local function receive_all(client, timeout, on_reply)
  local text = client:receive(timeout)
  while text do
    on_reply(text)
    text = client:receive(0)
  end
end

-- run{port, rate, count, request = function(n) -> fields of support.sip's build(), on_reply = function(text),
-- events = {{at = seconds, run = function}}}: the number of replies, once all have come or none came for 5 s.
function sip_load.run(options)
  local client, replies, sent = sip.client(options.port), 0, 0
  local events = options.events or {}
  table.sort(events, by_time)
  local started = socket.gettime()
  local last_reply = started
  local function on_reply(text)
    replies, last_reply = replies + 1, socket.gettime()
    options.on_reply(text)
  end
  while replies < options.count and socket.gettime() < last_reply + 5 do
    local elapsed = socket.gettime() - started
    while events[1] and events[1].at <= elapsed do table.remove(events, 1).run() end
    while sent < options.count and sent < elapsed * options.rate and sent - replies < OPEN_MAX do
      sent = sent + 1
      client:start(options.request(sent))
    end
    receive_all(client, 0.001, on_reply)
  end
  client:close()
  return replies
end

return sip_load
