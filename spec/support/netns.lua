-- A network of its own for a process, joined to ours by a cable that a spec can cut: packets are lost without a word.
local busted = require "busted"
local files = require "support.files"

local netns = {}
local Network = {}
Network.__index = Network

local function ip(...) files.must_run("ip " .. files.quote_all { ... }) end

-- Whether this machine lets us; a container may not.
function netns.available()
  local name = "kemibus-probe-" .. files.own_pid()
  local try = "ip netns add %s && ip link add kbprobe0 type veth peer name kbprobe1 netns %s && ip -n %s link set lo up"
  local _, ok = files.run(try:format(name, name, name))
  files.run("ip link del kbprobe0")
  files.run("ip netns del " .. name)
  return ok
end

-- {here = our address on the cable, prefix = the words that run a command inside}
function netns.new()
  local id = files.own_pid() % 65536
  local subnet = ("10.231.%d"):format(id % 256)
  local self = setmetatable({ name = "kemibus-" .. id, link = "kb" .. id, here = subnet .. ".1" }, Network)
  self.prefix = { "ip", "netns", "exec", self.name }
  ip("netns", "add", self.name)
  ip("link", "add", self.link, "type", "veth", "peer", "name", "inside", "netns", self.name)
  ip("addr", "add", self.here .. "/24", "dev", self.link)
  ip("-n", self.name, "addr", "add", subnet .. ".2/24", "dev", "inside")
  ip("-n", self.name, "link", "set", "inside", "up")
  ip("-n", self.name, "link", "set", "lo", "up")
  self:mend()
  busted.subscribe({ "exit" }, function()
    files.run("ip netns del " .. self.name)
    return nil, true
  end)
  return self
end

function Network:cut() ip("link", "set", self.link, "down") end

function Network:mend() ip("link", "set", self.link, "up") end

function Network:remove() ip("netns", "del", self.name) end

return netns
