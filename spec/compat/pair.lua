-- Two Kamailios with the same configuration, one with Debian's module and one with ours.
local files = require "support.files"
local kamailio = require "support.kamailio"
local nats_server = require "support.nats_server"
local rabbit = require "support.rabbit"

local pair = { sides = { "stock", "ours" } }
local Pair = {}
Pair.__index = Pair

local PATIENCE = 3 -- seconds for a reply that takes a millisecond

-- ---- brokers, started when the first part needs them

local brokers = {}

-- A RabbitMQ in which each side has a virtual host of its own, so that their exchanges and queues do not meet. With the
-- field `urls`, by side.
function pair.rabbit()
  if brokers.rabbit then return brokers.rabbit end
  local broker = rabbit.start()
  brokers.rabbit = broker
  broker.urls = {}
  for _, side in ipairs(pair.sides) do
    broker:ctl("add_vhost", side)
    broker:ctl("set_permissions", "-p", side, "guest", ".*", ".*", ".*")
    broker.urls[side] = broker.url .. "/" .. side
  end
  return broker
end

-- A nats-server for each side, by side.
function pair.nats()
  if not brokers.nats then
    local servers = {}
    brokers.nats = servers
    for _, side in ipairs(pair.sides) do servers[side] = nats_server.start() end
    servers.stop = function()
      for _, side in ipairs(pair.sides) do servers[side]:stop() end
    end
  end
  return brokers.nats
end

function pair.stop_brokers()
  for name, broker in pairs(brokers) do
    broker:stop()
    brokers[name] = nil
  end
end

-- ---- the servers

local kazoo_settings = [[
loadmodule "kazoo.so"
modparam("kazoo", "node_hostname", "compat.example")
modparam("kazoo", "amqp_connection", "%s")
modparam("kazoo", "amqp_consumer_processes", 1)
modparam("kazoo", "amqp_consumer_workers", 1)
modparam("kazoo", "pua_mode", 0)
]]

-- The lines that load kazoo on this side, with its virtual host. Without a database Debian's module starts only with
-- pua_mode 0; with one worker, events come in the order of the deliveries.
function pair.kazoo(side) return kazoo_settings:format(pair.rabbit().urls[side]) end

-- A loaded machine may once not start in time.
local function start(self, side)
  local server, log
  for _ = 1, self.fragile and side == "stock" and 1 or 2 do
    server, log = kamailio.start {
      modules = side, cfg = self.cfg(side), children = 1, shared_memory = 256, private_memory = 512, debug = self.debug,
      deadline = 20,
    }
    if server then break end
  end
  self[side] = server
  if server or (self.fragile and side == "stock") then return server end
  error(("compat: Kamailio with %s module did not start:\n%s"):format(side == "stock" and "Debian's" or "our", log), 0)
end

-- start{cfg = function(side): the configuration's text, debug = Kamailio's level, fragile = true when Debian's module may
-- die at the start}: nil when it did.
function pair.start(options)
  local self = setmetatable({
    cfg = options.cfg, debug = options.debug, fragile = options.fragile, deaths = { stock = 0, ours = 0 },
  }, Pair)
  for _, side in ipairs(pair.sides) do
    if not start(self, side) then return nil end
  end
  return self
end

function Pair:stop()
  for _, side in ipairs(pair.sides) do
    if self[side] then self[side]:stop() end
  end
end

-- Ends what is dead or does not answer, and starts it again: a word on what happened.
function Pair:revive(side)
  local server = self[side]
  local word = server:crash() and "crash" or server:alive() and "hang" or "end"
  if word == "end" then server.process:wait(5) end
  if server:crash() then word = "crash" end
  server.process:kill()
  server.sip:close()
  self.deaths[side] = self.deaths[side] + 1
  if side == "ours" and self.deaths.ours > 5 then error("compat: our module ends or hangs too often: " .. word, 0) end
  start(self, side)
  return word
end

local function send(server, fields)
  server.sip:start {
    method = "MESSAGE", uri = ("sip:%s@127.0.0.1:%d"):format(fields.route, server.port), body = fields.body,
    headers = fields.headers,
  }
end

local function await(self, side)
  local reply = self[side].sip:await_reply(PATIENCE)
  if reply then return reply.body end
  return nil, self:revive(side)
end

-- The body of the reply of one side to a MESSAGE with these fields (support.sip), or nil and "crash", "hang" or "end".
function Pair:ask_one(side, fields)
  send(self[side], fields)
  return await(self, side)
end

-- The same of both, by side: text, or {died = word}.
function Pair:ask(fields)
  local replies = {}
  for _, side in ipairs(pair.sides) do send(self[side], fields) end
  for _, side in ipairs(pair.sides) do
    local body, word = await(self, side)
    replies[side] = body or { died = word }
  end
  return replies
end

function pair.hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function pair.unhex(text)
  return (text:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- The logs of a pair that is stopped are of no further use.
function Pair:forget()
  self:stop()
  for _, side in ipairs(pair.sides) do files.run("rm -rf " .. files.quote(self[side].folder)) end
end

return pair
