-- examples/classic runs with Debian's kazoo.so and with ours: the same SIP messages, the same messages on the bus. Of the
-- three brokers in its list, the first two are dead.
--
-- Debian 12's module crashes in kazoo_query, so examples/classic calls kazoo_async_query alone.
local amqp = require "support.amqp"
local classic = require "support.classic"
local kazoo = require "support.kazoo"
local pages = require "support.pages"
local rabbits = require "support.rabbit"
local wait = require "support.wait"

local stories = {}

stories["registers phones by the passwords of an application"] = function(site)
  local events = site:tap("registrar", "registration.success.#")
  site:register("alice")
  site:published(events)
  -- The password is known now.
  local again = site:start_register("alice", "example.com", "secret")
  assert.equal(200, site:reply(again, "refreshed"))
  site:published(events)
  local wrong = site:start_register("alice", "example.com", "guess")
  assert.equal(401, site:reply(wrong, "wrong password"))
  site:register("alice") -- requests the password again
  site:published(events)
  local gone = site:start_register("alice", "example.com", "secret", { expires = 0 })
  assert.equal(200, site:reply(gone, "gone"))
  site:published(events)
end

stories["refuses users that the application does not know"] = function(site)
  local requests = site:tap("callmgr", "authn.req.#")
  for _, reply in ipairs {
    { ["Event-Category"] = "directory", ["Event-Name"] = "authn_err" },
    { ["Event-Category"] = "directory", ["Event-Name"] = "authn_resp" },
    { ["Event-Category"] = "directory", ["Event-Name"] = "authn_resp", ["Auth-Password"] = "" },
  } do
    local phone = site:start_register("mallory", "example.com", "secret")
    site:respond(requests, reply)
    assert.equal(403, site:reply(phone, "refused"))
  end
end

stories["tells a phone when no application replies"] = function(site)
  local phone = site:start_register("carol", "example.com", "secret")
  assert.equal(504, site:reply(phone, "no reply"))
  local other = site:phone("other")
  other:start { method = "SUBSCRIBE", uri = "sip:carol@example.com" }
  assert.equal(405, site:reply(other, "not for us"))
  other:start { method = "OPTIONS", uri = "sip:127.0.0.1" }
  assert.equal(200, site:reply(other, "alive"))
end

local function call(phone, realm)
  phone:start {
    method = "INVITE", uri = "sip:2000@" .. realm, from = "sip:alice@" .. realm,
    contact = "sip:alice@127.0.0.1:" .. phone.port, cseq = 1,
  }
end

stories["sends calls to the media servers that nodes advertise, as many as an application allows"] = function(site)
  local requests = site:tap("frontier", "limits.#")
  local media = site:phone("media")
  local caller = site:phone("caller")
  call(caller, "example.com")
  site:respond(requests, { ["Rate-Limits"] = { Realm = { Minute = 3 } } })
  assert.equal(480, site:reply(caller, "no media server"))

  site:heartbeat("freeswitch@one", { fs1 = media })
  site:await_log("media|added")
  for _ = 1, 2 do
    call(site:phone("caller"), "example.com")
    site:serve(media, "200 OK")
    assert.equal(200, site:reply(site.phones[#site.phones], "call"))
  end
  call(caller, "example.com")
  assert.equal(429, site:reply(caller, "too many"))
end

stories["lets calls through when no application sets limits"] = function(site)
  local media = site:phone("media")
  site:heartbeat("freeswitch@one", { fs1 = media })
  site:await_log("media|added")
  local caller = site:phone("caller")
  call(caller, "no-limits.example")
  site:serve(media, "200 OK")
  assert.equal(200, site:reply(caller, "call"))
end

stories["goes on to the next media server, and forgets one whose heartbeats end"] = function(site)
  local requests = site:tap("frontier", "limits.#")
  local first, second = site:phone("first"), site:phone("second")
  site:heartbeat("freeswitch@one", { fs1 = first }, 4000)
  site:await_log("media|added")
  site:heartbeat("freeswitch@two", { fs2 = second })
  site:await_log("media|added", 2)
  local caller = site:phone("caller")
  call(caller, "example.com")
  site:respond(requests, {})
  local failing = site:serve_any({ first, second }, "503 Full")
  site:serve(failing == first and second or first, "200 OK")
  assert.equal(200, site:reply(caller, "call"))

  site:await_log("media|removed")
  for _ = 1, 2 do
    call(caller, "example.com")
    site:respond(requests, {})
    site:serve(second, "200 OK")
    assert.equal(200, site:reply(caller, "call"))
  end
end

local function search(client)
  client:publish("registrar", "registration.search.example%2Ecom", [[{"Event-Category":"registration",
    "Event-Name":"search_req", "Username":"alice", "Realm":"example.com", "Msg-ID":"m1", "Server-ID":"spec-search"}]])
end

stories["forgets a registration when told to, and says where phones are"] = function(site)
  site:register("alice")
  local replies = site:tap("targeted", "spec-search")
  search(site.client)
  site:published(replies)
  site.client:publish("registrar", "registration.flush.alice",
    '{"Event-Category":"directory", "Event-Name":"reg_flush", "Username":"alice", "Realm":"example.com"}')
  site:await_log("flush|alice@example.com is gone")
  site:register("alice") -- its password is forgotten too, and requested again
  site.client:publish("registrar", "registration.success.example%2Ecom.alice", [[{"Event-Category":"directory",
    "Event-Name":"reg_success", "Username":"alice", "Realm":"example.com", "Proxy-Node":"other.example"}]])
  site:await_log("moved|alice@example.com to other.example")
end

stories["sends calls of media servers to phones, also to those of other servers"] = function(site)
  local media, elsewhere = site:phone("media"), site:phone("elsewhere")
  site:heartbeat("freeswitch@one", { fs1 = media })
  site:await_log("media|added")
  local phone = site:register("alice")
  classic.call_user(media, "alice")
  site:serve(phone, "200 OK")
  assert.equal(200, site:reply(media, "a phone that is here"))

  local requests = site:tap("registrar", "registration.search.#")
  classic.call_user(media, "bob")
  site:respond(requests, { Contact = "sip:bob@127.0.0.1:" .. elsewhere.port })
  site:serve(elsewhere, "200 OK")
  assert.equal(200, site:reply(media, "a phone that another server has"))
  classic.call_user(media, "carol")
  assert.equal(404, site:reply(media, "a phone that no server has"))
end

stories["tells other nodes of itself"] = function(site)
  site:published(site:tap("nodes", ""))
end

stories["registers forty phones at once"] = function(site)
  local requests = site:tap("callmgr", "authn.req.#")
  local phones, registers = {}, {}
  for i = 1, 40 do phones[i], registers[i] = site:challenged("user" .. i, "example.com", "secret") end
  for i, phone in ipairs(phones) do phone:start(registers[i]) end
  assert.equal(40, site:respond_all(requests, 40, classic.password))
  for _, phone in ipairs(phones) do assert.equal(200, site:reply(phone, "registered")) end
end

-- By default, an application has 1.5 s to reply.
local values = { ["registers forty phones at once"] = { MY_QUERY_TIMEOUT = 10000 } }

-- What happens in a story is the same with both modules.
local function compare(story, options)
  local happened = {}
  for _, which in ipairs { "stock", "ours" } do
    options.modules = which
    local site = classic.start(options)
    local ok, problem = pcall(story, site)
    happened[which] = site.happened
    local ended = site:stop()
    if not ok then error(("with the module %s: %s\n%s"):format(which, tostring(problem), site.server:log()), 0) end
    assert.is_nil(ended.crash)
  end
  assert.same(happened.stock, happened.ours)
end

describe("examples/classic", function()
  local broker
  setup(function() broker = kazoo.shared_rabbit() end)

  for name, story in pairs(stories) do
    it(name .. ", as with Debian's module", function() compare(story, { rabbit = broker, values = values[name] }) end)
  end

  it("hears another zone, and replies there, as with Debian's module", function()
    local other = rabbits.start()
    local client = amqp.client(other)
    client:exchange("targeted", "direct") -- as a server of that zone does
    compare(function(site)
      site:register("alice")
      local here, there = site:tap("targeted", "spec-search"), client:tap("targeted", "spec-search")
      search(client)
      site:published(there, client)
      search(site.client)
      site:published(here)
      client:publish("registrar", "registration.flush.alice",
        '{"Event-Category":"directory", "Event-Name":"reg_flush", "Username":"alice", "Realm":"example.com"}')
      site:await_log("flush|alice@example.com is gone")
      local media = site:phone("media")
      client:publish("nodes", "", ([[{"Event-Category":"nodes", "Event-Name":"advertise", "Node":"freeswitch@east",
        "Media-Servers":{"fs1":{"SIP":"sip:127.0.0.1:%d"}}}]]):format(media.port))
      site:await_log("media|added")
    end, { rabbit = broker, other = other })
    other:stop()
  end)
end)

describe("docs/migrating.md", function()
  -- The lines of an output that a page shows, each as the name of a field or, if its value is certain, with the value.
  local function shown(block)
    local lines = {}
    for name, value in block:gmatch("\n%s*([%l_]+): ?([^\n]*)") do
      lines[#lines + 1] = (name == "state" or name == "queue") and name .. ": " .. value or name .. ":"
    end
    return lines
  end

  it("shows what the commands say when all is well", function()
    local broker, checked = kazoo.shared_rabbit(), 0
    local site = classic.start { rabbit = broker, modules = "ours", hostname = "sip1.example.com" }
    for _, block in ipairs(pages.code_blocks(pages.read "docs/migrating.md")) do
      local command = block.text:match("^# kamcmd ([%l._]+)\n")
      if command then
        checked = checked + 1
        wait.until_(function()
          local output = site.server:rpc(command)
          for _, line in ipairs(shown(block.text)) do
            if not output:find("\t" .. line, 1, true) then return nil, command .. " does not say " .. line end
          end
          return true
        end, 10, command)
      end
    end
    site:stop()
    assert.equal(3, checked)
  end)
end)
