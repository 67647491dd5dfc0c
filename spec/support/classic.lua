-- examples/classic with its surroundings: phones, media servers, and the applications on the bus.
local cjson = require "cjson"
local socket = require "socket"
local amqp = require "support.amqp"
local files = require "support.files"
local kamailio = require "support.kamailio"
local nats_client = require "support.nats_client"
local ports = require "support.ports"
local sip = require "support.sip"
local wait = require "support.wait"

local classic = {}
local Site = {}
Site.__index = Site

-- Fields that are different in each message.
local own = { ["Msg-ID"] = true, ["Server-ID"] = true, ["App-Version"] = true, ["Call-ID"] = true, Call = true }

local function dead_url(scheme)
  return ("%s://%s127.0.0.1:%d"):format(scheme, scheme == "amqp" and "guest:guest@" or "", ports.free())
end

local function substitutions(values)
  local lines = {}
  for name, value in pairs(values) do lines[#lines + 1] = ('#!substdef "!%s!%s!g"'):format(name, value) end
  return table.concat(lines, "\n") .. "\n"
end

-- The first two brokers of the three are dead.
local function local_cfg(options)
  local values = {
    MY_HOSTNAME = options.hostname or "edge.example", MY_ADDRESS = "127.0.0.1:$PORT", MY_FOLDER = "$FOLDER",
    MY_CONTROL = "unix:./ctl.sock", MY_AMQP_1 = dead_url "amqp", MY_AMQP_2 = dead_url "amqp", MY_AMQP_3 = options.rabbit.url,
    MY_QUERY_TIMEOUT = 1500, MY_HEARTBEAT = 1,
  }
  for name, value in pairs(options.values or {}) do values[name] = value end
  if not options.other then return substitutions(values) end
  values.MY_OTHER_ZONE, values.MY_OTHER_AMQP = "east", options.other.url
  return "#!define WITH_OTHER_ZONE\n" .. substitutions(values)
end

local function await(self, what, condition)
  wait.until_(function()
    if not self.server:alive() then error("Kamailio has ended:\n" .. self.server:log(), 0) end
    return condition()
  end, 40, what .. " of " .. self.hostname)
end

-- The server consumes from its queues at this broker. rabbitmqctl would take longer.
local function await_queues(self, client)
  for _, name in ipairs { "nodes-", "registrar-", "registrar-search-" } do
    await(self, "the queue " .. name, function()
      local exists, _, consumers = pcall(client.queue, client, name .. self.hostname, "passive")
      return exists and consumers > 0
    end)
  end
end

-- The server can receive replies. Their queues have names that the module makes up.
local function await_replies(self)
  await(self, "the queue for replies", function()
    for name, queue in pairs(self.rabbit:list("list_queues", "name", "consumers")) do
      if name:find("kamailio@" .. self.hostname, 1, true) == 1 and queue.consumers ~= "0" then return true end
    end
  end)
end

local function new_site(options)
  return setmetatable({ hostname = options.hostname or "edge.example", phones = {}, happened = {}, names = {} }, Site)
end

local function start_server(self, folder, options, local_cfg_text)
  self.server = assert(kamailio.start {
    copy_of = files.root .. "/examples/" .. folder, modules = options.modules, files = { ["local.cfg"] = local_cfg_text },
    deadline = 40,
  })
  self.names[tostring(self.server.port)] = "kamailio"
end

-- The site, once this returns; a server that is not ready in time is stopped, so that it takes no message from the next one.
local function ready(self, condition)
  local ok, problem = pcall(condition)
  if ok then return self end
  self:stop()
  error(("%s\n%s"):format(tostring(problem), self.server:log()), 0)
end

-- start{rabbit, modules = "ours" or "stock", hostname, values = {MY_... = }, other = the broker of another zone}
function classic.start(options)
  local self = new_site(options)
  self.rabbit, self.client = options.rabbit, amqp.client(options.rabbit)
  self.client:exchange("callmgr", "topic")
  self.client:exchange("frontier", "topic")
  start_server(self, "classic", options, local_cfg(options))
  return ready(self, function()
    await_queues(self, self.client)
    if options.other then await_queues(self, amqp.client(options.other)) end
    await_replies(self)
  end)
end

-- Each subscription has a process of its own, and so has each publishing connection.
local function await_nats(self)
  for _, subject in ipairs { "sip-flush", "sip-block", "sip-where" } do
    wait.until_(function()
      self.nats:pub(subject, "no order")
      self.nats:flush()
      return self.server:count_log(("nats:%s: no order"):format(subject:gsub("%-", "%%-"))) > 0
    end, 30, "the subscription to " .. subject)
  end
  local registrations = self.nats:sub "sip-registrations"
  wait.until_(function()
    assert(self:phone("probe"):register("probe", "example.com"))
    return self.nats:next(0.2)
  end, 30, "a message from the server")
  while self.nats:next(0.2) do end -- those that came late
  self.nats:unsub(registrations)
end

-- examples/classic/nats: start_nats{nats = the server, modules = "ours" or "stock"}
function classic.start_nats(options)
  local self = new_site(options)
  self.nats = nats_client.connect { port = options.nats.port }
  start_server(self, "classic/nats", options, substitutions {
    MY_HOSTNAME = self.hostname, MY_ADDRESS = "127.0.0.1:$PORT", MY_FOLDER = "$FOLDER", MY_CONTROL = "unix:./ctl.sock",
    MY_NATS_1 = dead_url "nats", MY_NATS_2 = dead_url "nats", MY_NATS_3 = options.nats.url,
  })
  return ready(self, function() await_nats(self) end)
end

function Site:stop()
  for _, phone in ipairs(self.phones) do phone:close() end
  if self.nats then self.nats:close() end
  return self.server:stop()
end

-- What has this port is called by the name in what happened.
function Site:phone(name)
  local phone = sip.client(self.server.port)
  self.phones[#self.phones + 1] = phone
  self.names[tostring(phone.port)] = name
  return phone
end

-- -- what happened, in a form that two runs can be compared by --

local varies = {
  { "branch=[^;\r\n]*", "branch=*" }, { "tag=[^;>\r\n]*", "tag=*" }, { 'nonce="[^"]*"', "nonce=*" },
  { 'response="[^"]*"', "response=*" }, { "Call%-ID: [^\r\n]*", "Call-ID: *" }, { "expires=59%d", "expires=600" },
}

function Site:without_chance(text)
  for _, pair in ipairs(varies) do text = text:gsub(pair[1], pair[2]) end
  return (text:gsub("%f[%d](%d%d%d%d%d)%f[%D]", function(number) return self.names[number] end))
end

-- Adds a SIP message, or a JSON object as Lua has it, to what happened.
function Site:note(what, message)
  if type(message) == "table" then
    local fields = {}
    for name, value in pairs(message) do
      if not own[name] then fields[#fields + 1] = ("%s=%s"):format(name, cjson.encode(value)) end
    end
    table.sort(fields)
    message = table.concat(fields, "\n")
  end
  self.happened[#self.happened + 1] = what .. "\n" .. self:without_chance(message)
end

-- The final reply to what this phone has sent, noted.
function Site:reply(phone, what, deadline)
  local reply = assert(phone:await_reply(deadline or 5))
  self:note(what, reply.text)
  return reply.status
end

-- -- SIP --

-- The value of an Authorization header for a challenge (RFC 2617, without qop).
local function credentials(challenge, user, password, method, uri)
  local realm, nonce = challenge:match('realm="([^"]*)"'), challenge:match('nonce="([^"]*)"')
  local function md5(...)
    return files.must_run(("printf %%s %s | md5sum"):format(files.quote(table.concat({ ... }, ":")))):match("^%x+")
  end
  local response = md5(md5(user, realm, password), nonce, md5(method, uri))
  return ('Digest username="%s", realm="%s", nonce="%s", uri="%s", response="%s"'):format(
    user, realm, nonce, uri, response)
end

-- A phone whose REGISTER has been challenged, and the fields of the one that it sends next.
function Site:challenged(user, realm, password, fields)
  local phone = self:phone(user)
  local first = assert(phone:register(user, realm, fields))
  self:note("challenge", first.text)
  local challenge = assert((first.headers["www-authenticate"] or {})[1], first.text)
  local uri = "sip:" .. realm
  local full = {
    method = "REGISTER", uri = uri, from = ("sip:%s@%s"):format(user, realm), to = ("sip:%s@%s"):format(user, realm),
    contact = ("sip:%s@127.0.0.1:%d"):format(user, phone.port), expires = 600, cseq = 2,
    headers = { "Authorization: " .. credentials(challenge, user, password, "REGISTER", uri) },
  }
  for name, value in pairs(fields or {}) do full[name] = value end
  return phone, full
end

-- Registers with a password: the phone, which waits for a final reply now.
function Site:start_register(user, realm, password, fields)
  local phone, full = self:challenged(user, realm, password, fields)
  phone:start(full)
  return phone
end

local function header_lines(request, name)
  local lines = {}
  for value in request:gmatch("\r\n(" .. name:gsub("%-", "%%-") .. ":[^\r\n]*)") do lines[#lines + 1] = value end
  return table.concat(lines, "\r\n")
end

-- What a media server says to a request.
function classic.reply_to(request, status, contact)
  return ("SIP/2.0 %s\r\n%s\r\n%s%s\r\n%s;tag=media\r\n%s\r\n%s\r\nContact: <%s>\r\nContent-Length: 0\r\n\r\n"):format(
    status, header_lines(request, "Via"),
    request:find("\r\nRecord-Route:", 1, true) and header_lines(request, "Record-Route") .. "\r\n" or "",
    header_lines(request, "From"), header_lines(request, "To"), header_lines(request, "Call-ID"),
    header_lines(request, "CSeq"), contact)
end

-- Receives a request and replies: the text of the request. ACKs before it are passed over.
function Site:serve(media, status)
  local text
  repeat
    text = media:receive(5)
    assert(text, "no request came to the media server on port " .. media.port)
  until not text:find("^ACK ")
  self:note("at the media server", text)
  media:send(classic.reply_to(text, status, "sip:media@127.0.0.1:" .. media.port))
  return text
end

-- The same for the one of several that receives one: which.
function Site:serve_any(media, status)
  local by_socket, sockets = {}, {}
  for i, client in ipairs(media) do
    by_socket[client.udp], sockets[i] = client, client.udp
  end
  local readable = assert(socket.select(sockets, nil, 5))[1]
  local chosen = assert(by_socket[readable], "no request came to a media server")
  self:serve(chosen, status)
  return chosen
end

-- -- the bus --

-- The heartbeat of a node with these media servers, {name = SIP client}.
function Site:heartbeat(node, media, expires)
  local servers = {}
  for name, client in pairs(media) do servers[name] = { SIP = "sip:127.0.0.1:" .. client.port } end
  self.client:publish("nodes", "", cjson.encode {
    ["Event-Category"] = "nodes", ["Event-Name"] = "advertise", Node = node, Expires = expires or 30000,
    ["Media-Servers"] = servers,
  })
end

function Site:await_log(pattern, times) return self.server:wait_log(pattern, 15, times) end

function Site:tap(exchange, key) return self.client:tap(exchange, key) end

local function reply_with(request, fields)
  local reply = { ["Msg-ID"] = request["Msg-ID"] }
  for name, value in pairs(fields) do reply[name] = value end
  return cjson.encode(reply)
end

-- The next request in this queue, replied to with these fields: its decoded payload.
function Site:respond(queue, fields)
  local message = self.client:get(queue, 5)
  local request = cjson.decode(message.payload)
  self.client:publish("targeted", request["Server-ID"], reply_with(request, fields), { content_type = "application/json" })
  self:note("requested of " .. message.exchange .. " " .. message.routing_key, request)
  return request
end

-- The same for many requests, which all wait until the last is there.
function Site:respond_all(queue, count, fields)
  local by_key, found = {}, 0
  for _, message in ipairs(self.client:consume(queue, { count = count, deadline = 5 })) do
    local request = cjson.decode(message.payload)
    local key = request["Server-ID"]
    by_key[key] = by_key[key] or {}
    table.insert(by_key[key], reply_with(request, fields))
    found = found + 1
  end
  for key, replies in pairs(by_key) do self.client:publish_all("targeted", key, replies) end
  return found
end

-- The next message in this queue, of this broker or of the client's.
function Site:published(queue, client)
  local message = (client or self.client):get(queue, 5)
  self:note("published to " .. message.exchange .. " " .. message.routing_key, cjson.decode(message.payload))
end

-- What the application that has the passwords says to a phone's request.
classic.password = { ["Event-Category"] = "directory", ["Event-Name"] = "authn_resp", ["Auth-Password"] = "secret" }

-- A phone that is registered with a password that is requested from the application; fields as in support.sip.
function Site:register(user, fields)
  local requests = self:tap("callmgr", "authn.req.#")
  local phone = self:start_register(user, "example.com", "secret", fields)
  self:respond(requests, classic.password)
  local status = self:reply(phone, "registered")
  if status ~= 200 then error(("the REGISTER of %s has the reply %d"):format(user, status), 2) end
  return phone
end

-- A call from a media server to a phone.
function classic.call_user(media, user)
  media:start {
    method = "INVITE", uri = ("sip:%s@example.com"):format(user), from = "sip:2000@example.com",
    contact = "sip:2000@127.0.0.1:" .. media.port,
  }
end

return classic
