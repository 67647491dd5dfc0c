-- The NATS client protocol in plain Lua, independent of the library the module uses.
local socket = require "socket"

local nats_client = {}
local Client = {}
Client.__index = Client

local connect_line = 'CONNECT {"verbose":false,"pedantic":false,"headers":%s,"no_responders":%s,"lang":"lua",'
  .. '"version":"1","name":"spec"%s}\r\n'

-- connect{port, host, user, pass, token, headers = false for a server that has none}
function nats_client.connect(options)
  local tcp = assert(socket.tcp())
  tcp:settimeout(5)
  assert(tcp:connect(options.host or "127.0.0.1", options.port))
  tcp:setoption("tcp-nodelay", true)
  local self = setmetatable({ tcp = tcp, next_sid = 1, queue = {}, pongs = 0, buffer = "" }, Client)
  self.info = assert(tcp:receive("*l"))
  local login = ""
  for name, key in pairs { user = "user", pass = "pass", token = "auth_token" } do
    if options[name] then login = login .. (',"%s":"%s"'):format(key, options[name]) end
  end
  local headers = tostring(options.headers ~= false)
  self:write(connect_line:format(headers, headers, login))
  self:flush()
  return self
end

function Client:write(text)
  self.tcp:settimeout(5)
  assert(self.tcp:send(text))
end

local function header_block(headers)
  local lines = { "NATS/1.0" }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- Publishes any bytes; reply and headers (a table) are optional.
function Client:pub(subject, payload, reply, headers)
  reply = reply and reply .. " " or ""
  if not headers then return self:write(("PUB %s %s%d\r\n"):format(subject, reply, #payload) .. payload .. "\r\n") end
  local block = header_block(headers)
  self:write(("HPUB %s %s%d %d\r\n"):format(subject, reply, #block, #block + #payload) .. block .. payload .. "\r\n")
end

-- Returns the subscription's id; queue group is optional.
function Client:sub(subject, group)
  local sid = self.next_sid
  self.next_sid = sid + 1
  self:write(("SUB %s %s%d\r\n"):format(subject, group and group .. " " or "", sid))
  self:flush()
  return sid
end

function Client:unsub(sid) self:write(("UNSUB %d\r\n"):format(sid)) end

local function parse_headers(block)
  local headers = {}
  for name, value in block:gmatch("([^:\r\n]+):%s*([^\r\n]*)\r\n") do headers[name] = value end
  return headers
end

-- Reads until the buffer holds a line or that many bytes; nil at the deadline, an error when the server closed.
function Client:fill(enough, give_up)
  while not enough() do
    socket.select({ self.tcp }, nil, math.max(0, give_up - socket.gettime()))
    self.tcp:settimeout(0) -- else it waits until it has that many bytes
    local data, err, part = self.tcp:receive(65536)
    data = data or part
    self.buffer = self.buffer .. data
    if data == "" and err == "timeout" then return nil end
    if data == "" then error("the NATS server closed the connection: " .. tostring(err), 0) end
  end
  return true
end

function Client:read_line(give_up)
  local function has_line() return self.buffer:find("\r\n", 1, true) end
  if not self:fill(has_line, give_up) then return nil end
  local stop = has_line()
  local line = self.buffer:sub(1, stop - 1)
  self.buffer = self.buffer:sub(stop + 2)
  return line
end

-- The rest of a message is on its way, so it gets a deadline of its own.
function Client:read_bytes(count)
  local function has_bytes() return #self.buffer >= count + 2 end
  if not self:fill(has_bytes, socket.gettime() + 10) then error("the NATS server stopped within a message", 0) end
  local bytes = self.buffer:sub(1, count)
  self.buffer = self.buffer:sub(count + 3)
  return bytes
end

function Client:read_message(kind, words)
  local length = tonumber(table.remove(words))
  local header_length = kind == "HMSG" and tonumber(table.remove(words)) or 0
  local bytes = self:read_bytes(length)
  return {
    subject = words[1], sid = tonumber(words[2]), reply = words[3], payload = bytes:sub(header_length + 1),
    headers = header_length > 0 and parse_headers(bytes:sub(1, header_length)) or nil,
    status = header_length > 0 and tonumber(bytes:match("^NATS/1%.0 (%d+)")) or nil,
  }
end

-- Handles one line of the protocol; false when none came in time.
function Client:step(give_up)
  local line = self:read_line(give_up)
  if not line then return false end
  local kind, rest = line:match("^(%S+)%s*(.*)$")
  if kind == "MSG" or kind == "HMSG" then
    local words = {}
    for word in rest:gmatch("%S+") do words[#words + 1] = word end
    table.insert(self.queue, self:read_message(kind, words))
  elseif kind == "PING" then
    self:write("PONG\r\n")
  elseif kind == "PONG" then
    self.pongs = self.pongs + 1
  elseif kind == "-ERR" then
    error("the NATS server says: " .. rest, 0)
  end
  return true
end

-- The next message {subject, sid, reply, payload, headers, status}, or nil when none came in time (default 5 s).
function Client:next(deadline)
  local give_up = socket.gettime() + (deadline or 5)
  while #self.queue == 0 do
    if not self:step(give_up) then return nil end
  end
  return table.remove(self.queue, 1)
end

local inboxes = 0

-- Publishes with a reply subject and returns the answer, or nil when none came in time. Other messages stay queued.
function Client:request(subject, payload, headers, deadline)
  inboxes = inboxes + 1
  local inbox = ("_INBOX.request.%d"):format(inboxes)
  local sid = self:sub(inbox)
  self:pub(subject, payload, inbox, headers)
  local others, answer = {}, self:next(deadline)
  while answer and answer.sid ~= sid do
    table.insert(others, answer)
    answer = self:next(deadline)
  end
  for i, other in ipairs(others) do table.insert(self.queue, i, other) end
  self:unsub(sid)
  return answer
end

-- Returns when the server has seen all that was sent so far.
function Client:flush(deadline)
  local pongs = self.pongs
  local give_up = socket.gettime() + (deadline or 5)
  self:write("PING\r\n")
  while self.pongs == pongs do
    if not self:step(give_up) then error("no PONG from the NATS server", 2) end
  end
end

function Client:close() self.tcp:close() end

return nats_client
