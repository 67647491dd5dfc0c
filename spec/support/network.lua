-- A network namespace at the far end of a virtual cable. Its packets can be made to vanish without either end noticing:
-- a half-open connection. All of it goes away with its last process, so nothing is left when a spec is killed.
local lfs = require "lfs"
local files = require "support.files"
local process = require "support.process"
local wait = require "support.wait"

local network = {}
local Network = {}
Network.__index = Network

-- A hardware address for each end, and one that nobody has.
local near_lladdr, far_lladdr, nobody = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:99"

local function inside(self, ...)
  local words = { unpack(self.words) }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  files.must_run(files.quote_all(words))
end

local function neighbours(self, near, far)
  files.must_run(("ip neigh replace %s dev %s lladdr %s nud permanent"):format(self.far_address, self.device, far))
  inside(self, "ip", "neigh", "replace", self.near_address, "dev", "eth0", "lladdr", near, "nud", "permanent")
end

local function lay_cable(self)
  files.must_run(("ip link add %s address %s type veth peer name eth0 address %s netns %d"):format(
    self.device, near_lladdr, far_lladdr, self.holder.pid))
  files.must_run(("ip address add %s/30 dev %s"):format(self.near_address, self.device))
  files.must_run(("ip link set %s up"):format(self.device))
  inside(self, "ip", "link", "set", "lo", "up")
  inside(self, "ip", "address", "add", self.far_address .. "/30", "dev", "eth0")
  inside(self, "ip", "link", "set", "eth0", "up")
end

local function own_namespace(pid)
  return lfs.symlinkattributes(("/proc/%s/ns/net"):format(pid), "target")
end

-- near_address and far_address are those of the ends; `words` go ahead of a command that is to run at the far end.
function network.start()
  local n = files.own_pid() % 16384 -- a network of four addresses in 198.18.0.0/15, which is for such tests
  local self = setmetatable({ device = "kb" .. files.own_pid() }, Network)
  local base = ("198.18.%d."):format(math.floor(n / 64))
  self.near_address, self.far_address = base .. n % 64 * 4 + 1, base .. n % 64 * 4 + 2
  self.holder = process.spawn {
    name = "network", folder = files.new_folder("network"), command = { "unshare", "--net", "sleep", "infinity" },
  }
  wait.until_(function() return own_namespace(self.holder.pid) ~= own_namespace("self") end, 5, "a network namespace")
  self.words = { "nsenter", ("--net=/proc/%d/ns/net"):format(self.holder.pid) }
  lay_cable(self)
  self:mend()
  return self
end

-- From now on no packet arrives at either end, and neither is told.
function Network:cut() neighbours(self, nobody, nobody) end

function Network:mend() neighbours(self, near_lladdr, far_lladdr) end

-- The kernel takes its time to remove what a namespace held, and the next cable has the same name.
function Network:stop()
  files.run("ip link delete " .. self.device)
  self.holder:kill()
end

return network
