-- Starts the servers, takes the steps one by one and shows each. Run by examples/quickstart/run, from the top folder.
local files = require "support.files"
files.logs = assert(os.getenv("QUICKSTART_FOLDER"), "start examples/quickstart/run instead")

local socket = require "socket"
local amqp = require "support.amqp"
local kamailio = require "support.kamailio"
local nats_client = require "support.nats_client"
local nats_server = require "support.nats_server"
local process = require "support.process"
local rabbit = require "support.rabbit"
local show = require "show"
local sip = require "support.sip"
local ports = require "support.ports"
local wait = require "support.wait"

local wanted = {}
for _, option in ipairs(arg) do wanted[option] = true end

local cfg = wanted.kemi and "examples/kemi/kamailio.cfg" or "examples/quickstart/kamailio.cfg"
local handlers = wanted.kemi
  and { lookup = "ksr_nats_event()", logout = "ksr_kazoo_event()" }
  or { lookup = "event_route[nats:lookup]", logout = "event_route[kazoo:consumer-event-phone-logout]" }
local mpath = ("%s/:%s/"):format(kamailio.our_modules, kamailio.stock_modules())

-- -- starting --

local function text(value) return '"' .. value .. '"' end

local function start_kamailio(broker, nats)
  local server = { port = ports.free(), folder = files.new_folder("kamailio") }
  server.control = "unix:" .. server.folder .. "/control"
  local command = {
    "kamailio", "-DD", "-E", "-f", files.root .. "/" .. cfg, "-L", mpath, "-Y", server.folder, "-w", server.folder,
  }
  for name, value in pairs {
    SIP_ADDRESS = "udp:127.0.0.1:" .. server.port,
    RABBITMQ_URL = text(broker.url),
    NATS_URL = text(nats.url),
    CONTROL_SOCKET = text(server.control),
    KEMI_SCRIPT = text(files.root .. "/examples/kemi/kamailio.lua"),
  } do
    command[#command + 1] = "-A"
    command[#command + 1] = name .. "=" .. value
  end
  server.process = process.spawn { name = "kamailio", folder = server.folder, command = command }
  return server
end

-- Waits for a line of Kamailio's log: what its first capture holds.
local function await_log(server, pattern, what)
  return wait.until_(function()
    local found = server.process:log():match(pattern)
    if found then return found end
    if not server.process:alive() then error("Kamailio has ended; its log, below, says why", 0) end
  end, 20, what)
end

local function await_connected(server)
  await_log(server, "(amqp: connected to [^\n]*publisher)", "Kamailio's connection to RabbitMQ for publishing")
  await_log(server, '(amqp: consuming from queue "quickstart")', "Kamailio's subscription at RabbitMQ")
  await_log(server, "(nats: connected to .-nats: connected to .-nats: connected to )",
    "Kamailio's three connections to nats-server, two to publish and one for the subscription")
end

local function started(name, start, address, note)
  local before = socket.gettime()
  local server = start()
  show.server(name, address(server), socket.gettime() - before, note)
  return server
end

local function start_all()
  show.title("Starting, all on 127.0.0.1")
  local function url(server) return server.url end
  local broker = started("RabbitMQ", rabbit.start, url, "its own data, as user rabbitmq")
  local nats = started("nats-server", nats_server.start, url)
  local server = started("Kamailio", function()
    local made = start_kamailio(broker, nats)
    await_connected(made)
    return made
  end, function(made) return "sip:127.0.0.1:" .. made.port end, cfg)
  return { broker = broker, nats = nats, kamailio = server }
end

local function stop_all(world)
  world.kamailio.process:stop()
  world.nats:stop()
  world.broker:stop()
end

-- -- the story --

local function register(world)
  show.title("1. A phone registers, and Kamailio tells both buses")
  local phone = sip.client(world.kamailio.port)
  show.arrow("phone", "Kamailio", "REGISTER alice, contact sip:alice@127.0.0.1:" .. phone.port)
  local reply = assert(phone:register("alice", "localhost"))
  show.arrow("Kamailio", "phone", reply.status .. " " .. reply.reason)
  if reply.status ~= 200 then error("Kamailio should have answered 200 OK", 0) end

  local message = world.amqp:get(world.tap, 10)
  show.arrow("Kamailio", "RabbitMQ", ("exchange %s, routing key %s"):format(message.exchange, message.routing_key))
  show.json(message.payload, "added by kazoo_publish: who sent it, and where an answer would go",
    { "App-Name", "App-Version", "Node", "Msg-ID", "Server-ID" })

  local event = assert(world.watcher:next(10), "nothing came from NATS on phones.registered")
  show.arrow("Kamailio", "NATS", "subject " .. event.subject)
  show.json(event.payload)
end

local function ask(world, expected)
  local question = '{"User":"alice","Answer-To":"answers"}'
  show.arrow("program", "NATS", "subject lookup")
  show.json(question)
  world.asker:pub("lookup", question)
  local answer = assert(world.asker:next(10), "nothing came from NATS on answers")
  show.arrow("Kamailio", "NATS", "subject " .. answer.subject)
  show.json(answer.payload)
  if not answer.payload:find(expected, 1, true) then error("the answer should have held " .. expected, 0) end
end

local function log_out(world)
  show.title("3. A program logs alice out over RabbitMQ: " .. handlers.logout .. " runs")
  local order = '{"Event-Category":"phone","Event-Name":"logout","User":"alice"}'
  show.arrow("program", "RabbitMQ", "exchange kamailio, routing key phone.logout")
  show.json(order)
  world.amqp:publish("kamailio", "phone.logout", order)
  local line = await_log(world.kamailio, "(alice is logged out[^\n]*)", "the event route's log line")
  show.arrow("Kamailio", "its log", line)
end

local function tell(world)
  world.amqp = amqp.client(world.broker)
  world.tap = world.amqp:tap("amq.topic", "#") -- a queue with all that Kamailio publishes
  world.watcher = nats_client.connect { port = world.nats.port }
  world.watcher:sub("phones.>")
  world.asker = nats_client.connect { port = world.nats.port }
  world.asker:sub("answers")
  register(world)
  show.title("2. A program asks over NATS where alice is: " .. handlers.lookup .. " runs")
  ask(world, '"sip:alice@127.0.0.1:')
  log_out(world)
  show.title("4. It asks again: alice is gone")
  ask(world, "null")
  world.amqp:delete_queue(world.tap)
end

-- -- keeping it running --

local try = [[
addresses
  SIP             sip:127.0.0.1:@SIP
  RabbitMQ        @AMQP
  NATS            @NATS
  Kamailio's log  @LOG

watch what Kamailio publishes, each in a terminal of its own
  amqp-consume -u @AMQP -e amq.topic -r '#' -A awk 1
  exec 3<>/dev/tcp/127.0.0.1/@NATSPORT; printf 'SUB phones.> 1\r\n' >&3; cat <&3
  tail -f @LOG

register a phone
  sipsak -H 127.0.0.1 -U -C sip:bob@127.0.0.1:5099 -x 600 -s sip:bob@127.0.0.1:@SIP -v

ask for it over NATS, log it out over RabbitMQ
  exec 3<>/dev/tcp/127.0.0.1/@NATSPORT
  printf 'SUB answers 1\r\nPUB lookup 36\r\n{"User":"bob","Answer-To":"answers"}\r\n' >&3; timeout 1 cat <&3
  amqp-publish -u @AMQP -e kamailio -r phone.logout \
    -b '{"Event-Category":"phone","Event-Name":"logout","User":"bob"}'

look into Kamailio
  kamcmd -s @CONTROL core.psx
  kamcmd -s @CONTROL ul.dump]]

local function keep(world)
  local values = {
    SIP = world.kamailio.port, AMQP = world.broker.url, NATS = world.nats.url, NATSPORT = world.nats.port,
    LOG = world.kamailio.process.log_path, CONTROL = world.kamailio.control,
  }
  show.title("It keeps running. Things to try, in bash:")
  show.block((try:gsub("@(%u+)", values)))
  local starter = os.getenv("QUICKSTART_PID")
  show.title(("Ctrl-C here stops all of it, and so does: kill %s"):format(starter))
  while files.exists("/proc/" .. starter) do
    for running in pairs(process.running) do
      if not running:alive() then error(running.name .. " has ended; its log, below, says why", 0) end
    end
    socket.sleep(0.5)
  end
end

-- -- and now --

local function main()
  local world = start_all()
  tell(world)
  if wanted.keep then keep(world) end
  stop_all(world)
  show.title("All as it should be. Stopped, and cleaned up.")
end

-- The end of each server's log, for whoever wants to know why.
local function logs()
  local parts = {}
  for server in pairs(process.running) do
    parts[#parts + 1] = ("-- the end of %s's log\n%s"):format(server.name,
      files.run("tail -n 15 " .. files.quote(server.log_path)))
  end
  table.sort(parts)
  return table.concat(parts, "\n")
end

local ok, problem = pcall(main)
if not ok then
  local reason = tostring(problem):gsub("^[^:\n]+%.lua:%d+: ", "")
  io.stderr:write("\n", logs(), "\nThe quickstart failed: ", reason, "\n")
  process.kill_all()
  os.exit(1)
end
