-- What works share: a Kamailio with a loop in its route, and the programs that answer and compare.
local socket = require "socket"
local files = require "support.files"
local kamailio = require "support.kamailio"
local process = require "support.process"
local sip = require "support.sip"
local wait = require "support.wait"

local kit = {}

-- 265 bytes, like the events that fly over such a bus
kit.payload = '{"Event-Category":"bench","Event-Name":"tick","Call-ID":"8f2a1c9e-77aa-4a3b-9d0e-5b6c7d8e9f00",'
  .. '"From-User":"alice","From-Realm":"sip.example.com","To-User":"bob","To-Realm":"sip.example.com",'
  .. '"State":"confirmed","Direction":"initiator","Switch-URI":"sip:10.0.0.1:5060"}'

kit.patience = 30 -- seconds that nothing here may take

-- Brokers and the like by name, with a method stop: they start when the first work needs them, and serve all.
local running = {}

function kit.once(name, start)
  running[name] = running[name] or start()
  return running[name]
end

function kit.stop()
  for _, one in pairs(running) do one:stop() end
end

function kit.start_kamailio(which, children, cfg)
  local server, log = kamailio.start { modules = which, children = children, cfg = cfg, shared_memory = 256 }
  if not server then error("Kamailio with the " .. which .. " module did not start:\n" .. log, 0) end
  return server
end

function kit.stop_kamailio(server)
  local ended = server:stop(15)
  if ended.crash then io.stderr:write("bench: Kamailio crashed: ", ended.crash, "\n") end
end

-- ---- loops in SIP workers: one MESSAGE per worker, its body says how many messages

-- The arithmetic of a script costs as much as a fast module, so there are ten calls for one step of the counter.
local unrolled = 10

local loop_route = [[
max_while_loops=1000000000
%s
request_route {
  $var(p) = '%s';
  $var(n) = $(rb{s.int});
  $var(i) = 0;
  $var(refused) = 0;
  while ($var(i) < $var(n)) {
    $var(i) = $var(i) + %d;
    %s
  }
  %s
  sl_send_reply("200", "refused $var(refused)");
}
]]

-- What is refused is offered again, like a caller who must get it out.
local function insisted(call)
  return ('while (!%s) { $var(refused) = $var(refused) + 1; usleep("1000"); }\n'):format(call)
end

function kit.loop_cfg(settings, call, sentinel)
  local last = sentinel and insisted(sentinel) or ""
  return loop_route:format(settings, kit.payload, unrolled, insisted(call):rep(unrolled), last)
end

local function send_to_workers(server, workers, count)
  local clients = {}
  for i = 1, workers do
    clients[i] = sip.client(server.port)
    clients[i]:start { method = "MESSAGE", body = tostring(count) }
  end
  return clients
end

local function collect_refused(clients)
  local refused = 0
  for _, client in ipairs(clients) do
    local reply = assert(client:await_reply(kit.patience))
    refused = refused + tonumber(reply.reason:match("%d+"))
    client:close()
  end
  return refused
end

-- One message from us for each worker, many of theirs. await_all(count) returns when what they sent has come out of the
-- broker; it may return how many did not.
local function run_workers(server, workers, per_worker, await_all)
  local cpu, started = server:cpu(), socket.gettime()
  local clients = send_to_workers(server, workers, per_worker)
  local lost = await_all(workers * per_worker)
  local seconds = socket.gettime() - started
  return {
    count = workers * per_worker - (lost or 0), seconds = seconds, cpu = server:cpu() - cpu, lost = lost,
    refused = collect_refused(clients),
  }
end

local function run_messages(server, workers, messages, await_all)
  local per_worker = math.ceil(messages / workers / unrolled) * unrolled
  return run_workers(server, workers, per_worker, await_all)
end

-- Shorter runs warm up and tell how many messages make about the time wanted.
function kit.run_timed(server, workers, options, await_all)
  local messages = 10000
  while true do
    local result = run_messages(server, workers, messages, await_all)
    if result.seconds > 0.6 * options.seconds then return result end
    messages = messages * math.min(10, options.seconds / result.seconds)
  end
end

function kit.empty_loop(which, options)
  local server = kit.start_kamailio(which, 1, kit.loop_cfg("", 'is_method("MESSAGE")'))
  local result = kit.run_timed(server, 1, options, function() server.sip:options { body = "0", deadline = kit.patience } end)
  kit.stop_kamailio(server)
  return result
end

-- ---- questions, asked one after the other by one SIP worker

local asking_route = [[
max_while_loops=1000000000
%s
request_route {
  $var(n) = $(rb{s.int});
  $var(i) = 0;
  $var(failed) = 0;
  while ($var(i) < $var(n)) {
    if (!%s) {
      $var(failed) = $var(failed) + 1;
    }
    $var(i) = $var(i) + 1;
  }
  sl_send_reply("200", "refused $var(failed)");
}
]]

function kit.asking_cfg(settings, call) return asking_route:format(settings, call) end

-- A program that answers, and asks as nothing but the bare library would: build/spec/PROGRAM.
function kit.program_path(program) return files.root .. "/build/spec/" .. program end

function kit.serve_with(program, broker)
  kit.once(program, function()
    local application = process.spawn {
      name = program, folder = files.new_folder(program), command = { kit.program_path(program), broker.url, "serve" },
    }
    wait.until_(function() return application:log():find("ready", 1, true) end, kit.patience, "the application that answers")
    return application
  end)
end

local function run_bare(program, broker, what, count, ...)
  local output = files.must_run(files.quote_all { kit.program_path(program), broker.url, what, count, ... })
  local mean, cpu = output:match("([%d.]+) [%d.]+ ([%d.]+)")
  return { count = count, seconds = mean * count / 1e6, cpu = cpu * count / 1e6 }
end

function kit.ask_bare(program, broker, count, ...) return run_bare(program, broker, "ask", count, ...) end

-- A program that takes what waits in a queue, and does nothing with it.
function kit.drain_bare(program, broker, count, queue) return run_bare(program, broker, "drain", count, queue) end

-- A route that asks many times in one SIP worker, once the server says that its connection stands.
function kit.ask_in_route(server, count)
  local cpu, started = server:cpu(), socket.gettime()
  local failed = collect_refused(send_to_workers(server, 1, count))
  local result = { count = count, seconds = socket.gettime() - started, cpu = server:cpu() - cpu, refused = failed }
  kit.stop_kamailio(server)
  return result
end

return kit
