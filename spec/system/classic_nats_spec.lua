-- examples/classic/nats runs with Debian's nats.so and with ours: the same SIP messages, the same messages over NATS. Of the
-- three servers in its list, the first two are dead.
local cjson = require "cjson"
local classic = require "support.classic"
local nats_server = require "support.nats_server"

local function published(site)
  local message = assert(site.nats:next(5), "nothing came over NATS")
  site:note("published to " .. message.subject, cjson.decode(message.payload))
end

-- The same for several that two publishing connections may bring in either order.
local function published_all(site, count)
  local first = #site.happened
  for _ = 1, count do published(site) end
  local found = {}
  for i = 1, count do found[i] = table.remove(site.happened, first + 1) end
  table.sort(found)
  for i = 1, count do site.happened[first + i] = found[i] end
end

local function order(site, subject, fields) site.nats:pub(subject, cjson.encode(fields)) end

local function register(site, name, user, fields)
  local phone = site:phone(name)
  local reply = assert(phone:register(user, "example.com", fields))
  site:note(name, reply.text)
  assert.equal(200, reply.status)
  published(site)
  return phone
end

local function invite(phone, user)
  local request = phone:complete {
    method = "INVITE", uri = ("sip:%s@example.com"):format(user), from = "sip:caller@example.com",
    contact = "sip:caller@127.0.0.1:" .. phone.port,
  }
  phone:start(request)
end

local stories = {}

stories["tells of registrations, and where a phone is"] = function(site)
  site.nats:sub "sip-registrations"
  register(site, "alice", "alice")
  site.nats:sub "where-reply"
  order(site, "sip-where", { User = "alice@example.com", ["Reply-To"] = "where-reply" })
  published(site)
  register(site, "alice", "alice", { expires = 0 })
end

stories["forgets a registration when told to"] = function(site)
  site.nats:sub "sip-registrations"
  register(site, "alice", "alice")
  order(site, "sip-flush", { User = "alice@example.com" })
  site:await_log("flush|alice@example.com")
  local caller = site:phone("caller")
  invite(caller, "alice")
  assert.equal(404, site:reply(caller, "call"))
end

stories["tells of calls, and blocks callers when told to"] = function(site)
  site.nats:sub "sip-registrations"
  local alice = register(site, "alice", "alice")
  site.nats:sub "sip-calls"
  local caller = site:phone("caller")
  invite(caller, "alice")
  site:serve(alice, "200 OK")
  assert.equal(200, site:reply(caller, "answered"))
  published_all(site, 2)
  invite(caller, "alice")
  site:serve(alice, "486 Busy Here")
  assert.equal(486, site:reply(caller, "busy"))
  published_all(site, 2)
  order(site, "sip-block", { User = "caller@example.com", Blocked = true })
  site:await_log("block|caller@example.com|true")
  invite(caller, "alice")
  assert.equal(403, site:reply(caller, "blocked"))
  published(site)
end

describe("examples/classic/nats", function()
  local broker
  setup(function() broker = nats_server.start() end)
  teardown(function() broker:stop() end)

  for name, story in pairs(stories) do
    it(name .. ", as with Debian's module", function()
      local happened = {}
      for _, which in ipairs { "stock", "ours" } do
        local site = classic.start_nats { nats = broker, modules = which }
        local ok, problem = pcall(story, site)
        happened[which] = site.happened
        local ended = site:stop()
        if not ok then error(("with the module %s: %s\n%s"):format(which, tostring(problem), site.server:log()), 0) end
        assert.is_nil(ended.crash)
      end
      assert.same(happened.stock, happened.ours)
    end)
  end
end)
