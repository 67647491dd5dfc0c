-- What a spec says to RabbitMQ, by way of the program amqp_probe.
local cjson = require "cjson"
local socket = require "socket"
local files = require "support.files"
local process = require "support.process"
local wait = require "support.wait"

local amqp = {}
local Amqp, Consumer = {}, {}
Amqp.__index = Amqp
Consumer.__index = Consumer

local probe = files.root .. "/build/spec/amqp_probe"

-- A client of a server from support.rabbit, or of an AMQP URL.
function amqp.client(server)
  return setmetatable({ url = type(server) == "table" and server.url or server }, Amqp)
end

function Amqp:run(words, input)
  return files.must_run(("%s %s < %s"):format(files.quote_all { probe, self.url }, files.quote_all(words),
    files.quote(input or "/dev/null")))
end

-- Flags: "durable", "auto_delete", "internal", "passive".
function Amqp:exchange(name, kind, ...) self:run { "exchange", name, kind, ... } end

-- Flags: "durable", "auto_delete", "exclusive", "passive", "quorum". Returns the number of messages and of consumers.
function Amqp:queue(name, ...)
  local messages, consumers = self:run({ "queue", name, ... }):match("(%d+) (%d+)%s*$")
  return tonumber(messages), tonumber(consumers)
end

function Amqp:bind(queue, exchange, key) self:run { "bind", queue, exchange, key } end

function Amqp:delete_queue(name) self:run { "delete", "queue", name } end

function Amqp:delete_exchange(name) self:run { "delete", "exchange", name } end

-- A new queue that gets what is published to this exchange from now on: its name.
function Amqp:tap(exchange, key)
  local queue = ("tap-%d-%.6f"):format(files.own_pid(), socket.gettime())
  self:queue(queue)
  self:bind(queue, exchange, key)
  return queue
end

local function publish_words(exchange, key, options)
  local words = { "publish" }
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = word end
  end
  for name, value in pairs(options.headers or {}) do add("--header", name .. "=" .. value) end
  for _, name in ipairs { "count", "content_type", "reply_to", "correlation_id", "message_id", "type", "app_id" } do
    if options[name] then add("--" .. name:gsub("_", "-"), options[name]) end
  end
  if options.persistent then add("--persistent") end
  if options.confirm then add("--confirm") end
  add("--frames", "--", exchange, key)
  return words
end

local function frame(payload) return #payload .. "\n" .. payload end

-- Publishes any bytes. Options: headers (a table), count, content_type, reply_to, correlation_id, message_id, type,
-- app_id, persistent, confirm. Returns when the broker has taken it.
function Amqp:publish(exchange, key, payload, options)
  self:publish_all(exchange, key, { payload }, options)
end

-- The same for a list of payloads over one connection.
function Amqp:publish_all(exchange, key, payloads, options)
  local frames = {}
  for i, payload in ipairs(payloads) do frames[i] = frame(payload) end
  local input = files.write(os.tmpname(), table.concat(frames, "\n"))
  local ok, err = pcall(self.run, self, publish_words(exchange, key, options or {}), input)
  os.remove(input)
  if not ok then error(err, 2) end
end

local function decode_lines(text)
  local messages = {}
  for line in text:gmatch("[^\n]+") do
    if line ~= "ready" then messages[#messages + 1] = cjson.decode(line) end
  end
  return messages
end

-- Takes messages off a queue: at most `count`, until none comes for `deadline` seconds (default 5). A list of
-- {exchange, routing_key, redelivered, payload, headers, content_type, delivery_mode, reply_to, correlation_id, ...}.
function Amqp:consume(queue, options)
  options = options or {}
  return decode_lines(self:run { "consume", queue, "--count", options.count or 0, "--deadline", options.deadline or 5 })
end

-- The next message of a queue, or an error when none came.
function Amqp:get(queue, deadline)
  local message = self:consume(queue, { count = 1, deadline = deadline })[1]
  return message or error(("no message in the queue %s within %g s"):format(queue, deadline or 5), 2)
end

-- All that is in a queue and comes until it stays silent for `deadline` seconds (default 1).
function Amqp:drain(queue, deadline)
  return self:consume(queue, { deadline = deadline or 1 })
end

-- Takes messages in the background from now on.
function Amqp:consumer(queue)
  local folder = files.new_folder("amqp_probe")
  local self_ = setmetatable({
    process = process.spawn { name = "amqp_probe", folder = folder, command = { probe, self.url, "consume", queue } },
  }, Consumer)
  wait.until_(function() return self_.process:log():find("ready", 1, true) end, 10, "a consumer of the queue " .. queue)
  return self_
end

-- All messages so far.
function Consumer:messages()
  return decode_lines(self.process:log():match("^.*\n") or "")
end

-- All messages so far once there are at least that many.
function Consumer:wait(count, deadline)
  wait.until_(function()
    local _, lines = self.process:log():gsub("\n", "")
    return lines - 1 >= count, lines - 1
  end, deadline or 10, count .. " messages")
  return self:messages()
end

function Consumer:stop() self.process:kill() end

return amqp
