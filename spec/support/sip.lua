-- A SIP client over UDP, as much of it as the specs need.
local socket = require "socket"
local files = require "support.files"

local sip = {}
local Client = {}
Client.__index = Client

local LARGEST_DATAGRAM = 65535 -- unless told, the library cuts one off after 8192 bytes

local serial = 0

local function unique()
  serial = serial + 1
  return ("%d.%d.%d"):format(files.own_pid(), serial, math.random(1e9))
end

local function header_lines(headers)
  local lines = {}
  for _, header in ipairs(headers or {}) do lines[#lines + 1] = header .. "\r\n" end
  return table.concat(lines)
end

-- A request as text. Fields: method, uri, from, to (URIs), via ("host:port"), call_id, cseq, contact, expires,
-- headers (a list of "Name: value"), content_type, body.
function sip.build(fields)
  local body = fields.body or ""
  local extra = {}
  local function add(format, value)
    if value then extra[#extra + 1] = format:format(value) end
  end
  add("Contact: <%s>", fields.contact)
  add("Expires: %d", fields.expires)
  add("Content-Type: %s", fields.content_type or (body ~= "" and "text/plain" or nil))
  return ("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"
    .. "From: <%s>;tag=%s\r\nTo: <%s>\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%s%sContent-Length: %d\r\n\r\n%s"):format(
    fields.method, fields.uri, fields.via, unique(), fields.from, unique(), fields.to or fields.uri,
    fields.call_id or unique(), fields.cseq or 1, fields.method, header_lines(extra), header_lines(fields.headers),
    #body, body)
end

-- A reply as {status, reason, headers = {["name in lower case"] = {values}}, body, text}.
function sip.parse(text)
  local status, reason, rest = text:match("^SIP/2%.0 (%d+) ([^\r\n]*)\r\n(.*)$")
  if not status then return nil, "not a SIP reply: " .. text:sub(1, 80) end
  local head, body = rest:match("^(.-\r\n)\r\n(.*)$")
  local headers = {}
  for name, value in (head or rest):gmatch("([%w%-]+)%s*:%s*([^\r\n]*)\r\n") do
    name = name:lower()
    headers[name] = headers[name] or {}
    table.insert(headers[name], value)
  end
  return { status = tonumber(status), reason = reason, headers = headers, body = body or "", text = text }
end

-- A client with a UDP socket of its own that talks to 127.0.0.1:port.
function sip.client(port)
  local udp = assert(socket.udp())
  assert(udp:setsockname("127.0.0.1", 0))
  assert(udp:setpeername("127.0.0.1", port))
  local _, own_port = udp:getsockname()
  return setmetatable({ udp = udp, server_port = port, port = tonumber(own_port) }, Client)
end

function Client:send(text)
  return assert(self.udp:send(text))
end

-- The next datagram as text, or nil when none came in time.
function Client:receive(deadline)
  self.udp:settimeout(deadline)
  return self.udp:receive(LARGEST_DATAGRAM)
end

-- The final reply and the seconds it took, or nil and why.
function Client:await_reply(deadline)
  local started = socket.gettime()
  while true do
    local left = started + deadline - socket.gettime()
    local text = left > 0 and self:receive(left)
    if not text then return nil, ("no final reply within %g s"):format(deadline) end
    local reply = sip.parse(text)
    if reply and reply.status >= 200 then return reply, socket.gettime() - started end
  end
end

function Client:complete(fields)
  local uri = fields.uri or ("sip:test@127.0.0.1:%d"):format(self.server_port)
  local full = { method = "OPTIONS", uri = uri, from = "sip:spec@127.0.0.1", via = "127.0.0.1:" .. self.port }
  for name, value in pairs(fields) do full[name] = value end
  return full
end

-- Sends a request, see build() for the fields, all with defaults; deadline in fields, default 5 s.
function Client:request(fields)
  self:send(sip.build(self:complete(fields)))
  return self:await_reply(fields.deadline or 5)
end

-- The same without waiting for the reply.
function Client:start(fields)
  self:send(sip.build(self:complete(fields)))
end

function Client:register(user, domain, fields)
  local full = {
    method = "REGISTER", uri = "sip:" .. domain, from = ("sip:%s@%s"):format(user, domain),
    to = ("sip:%s@%s"):format(user, domain), contact = ("sip:%s@127.0.0.1:%d"):format(user, self.port), expires = 600,
  }
  for name, value in pairs(fields or {}) do full[name] = value end
  return self:request(full)
end

function Client:options(fields)
  local full = { method = "OPTIONS" }
  for name, value in pairs(fields or {}) do full[name] = value end
  return self:request(full)
end

-- The body is a minimal session description, enough for a proxy.
function Client:invite(fields)
  local full = {
    method = "INVITE", contact = "sip:spec@127.0.0.1:" .. self.port, content_type = "application/sdp",
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n",
  }
  for name, value in pairs(fields or {}) do full[name] = value end
  return self:request(full)
end

function Client:message(body, fields)
  local full = { method = "MESSAGE", body = body }
  for name, value in pairs(fields or {}) do full[name] = value end
  return self:request(full)
end

function Client:close() self.udp:close() end

return sip
