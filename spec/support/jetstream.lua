-- The JetStream API, over a connection of spec/support/nats_client.
local cjson = require "cjson"
local nats_client = require "support.nats_client"
local socket = require "socket"

local jetstream = {}
local Api = {}
Api.__index = Api

function jetstream.connect(options)
  local self = setmetatable({ client = nats_client.connect(options), options = options, asked = 0 }, Api)
  self.inbox = "_INBOX.spec" .. tostring(self):gsub("%W", "")
  self.client:sub(self.inbox .. ".*")
  return self
end

-- One question, its answer decoded; nil when nobody takes it or none came in time (default 5 s).
function Api:ask(subject, body, deadline)
  self.asked = self.asked + 1
  local inbox = self.inbox .. "." .. self.asked
  self.client:pub(subject, body and cjson.encode(body) or "", inbox)
  local give_up = socket.gettime() + (deadline or 5)
  while socket.gettime() < give_up do
    local answer = self.client:next(give_up - socket.gettime())
    if answer and answer.subject == inbox then return not answer.status and cjson.decode(answer.payload) or nil end
  end
end

-- The same under $JS.API, again and again until it succeeds: JetStream is up later than its server.
function Api:must(name, body, deadline)
  local give_up = socket.gettime() + (deadline or 20)
  local answer
  repeat
    answer = self:ask("$JS.API." .. name, body, 2)
    if answer and not answer.error then return answer end
    socket.sleep(0.05)
  until socket.gettime() > give_up
  error(("JetStream refuses %s: %s"):format(name, answer and cjson.encode(answer.error) or "no answer"), 2)
end

-- stream("NAME", {subjects = {...}, ...fields of the configuration})
function Api:stream(name, config)
  local full = { name = name, retention = "limits", storage = "file", num_replicas = 1 }
  for field, value in pairs(config) do full[field] = value end
  return self:must("STREAM.CREATE." .. name, full)
end

function Api:delete(name) return self:must("STREAM.DELETE." .. name) end

-- {messages = count, last_seq = ..., ...}
function Api:state(name) return self:must("STREAM.INFO." .. name).state end

function Api:consumer(stream, name) return self:must(("CONSUMER.INFO.%s.%s"):format(stream, name)) end

-- Asks for a message of a durable consumer, beside whoever else does. What it returns gives the message, or nil when none
-- came by that deadline; after `seconds` the server gives this one no more.
function Api:pull(stream, consumer, seconds)
  self.asked = self.asked + 1
  local inbox = self.inbox .. "." .. self.asked
  local request = { batch = 1, expires = seconds * 1e9 }
  self.client:pub(("$JS.API.CONSUMER.MSG.NEXT.%s.%s"):format(stream, consumer), cjson.encode(request), inbox)
  return function(deadline)
    local message = self.client:next(deadline)
    return message and not message.status and message or nil
  end
end

-- A stored message: {payload, subject, headers (text)}.
function Api:message(stream, sequence)
  local mime = require "mime"
  local message = self:must("STREAM.MSG.GET." .. stream, { seq = sequence }).message
  return {
    subject = message.subject, payload = message.data and mime.unb64(message.data) or "",
    headers = message.hdrs and mime.unb64(message.hdrs) or "",
  }
end

-- All payloads in a stream, from the first to the last there is now. Its consumer has a name, so that asking twice, where
-- a cluster is slow to answer, makes but one.
function Api:payloads(stream)
  local count, found, reader = self:state(stream).messages, {}, nats_client.connect(self.options)
  self.asked = self.asked + 1
  local name, subject = "reader" .. self.asked, ("%s_all.%d"):format(self.inbox, self.asked)
  reader:sub(subject)
  self:must(("CONSUMER.DURABLE.CREATE.%s.%s"):format(stream, name), {
    stream_name = stream,
    config = { durable_name = name, deliver_subject = subject, deliver_policy = "all", ack_policy = "none" },
  })
  for i = 1, count do
    local message = reader:next(10)
    if not message then error(("stream %s ends after %d of %d messages"):format(stream, i - 1, count), 2) end
    found[i] = message.payload
  end
  reader:close()
  self:must(("CONSUMER.DELETE.%s.%s"):format(stream, name))
  return found
end

-- The name of the server that leads a stream, or a consumer of it, of which there is one in a cluster.
function Api:leader(stream, consumer)
  local info = consumer and self:consumer(stream, consumer) or self:must("STREAM.INFO." .. stream)
  return info.cluster and info.cluster.leader
end

function Api:close() self.client:close() end

return jetstream
