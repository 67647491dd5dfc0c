-- What the soak measures, and how it decides whether a curve is flat.
local lfs = require "lfs"
local files = require "support.files"

local samples = {}

local function smaps(pid)
  local found = {}
  for name, kb in (files.read(("/proc/%d/smaps_rollup"):format(pid)) or ""):gmatch("([%w_]+):%s+(%d+) kB") do
    found[name] = tonumber(kb)
  end
  return found
end

local function descriptors(pid)
  local count = 0
  local ok = pcall(function()
    for name in lfs.dir(("/proc/%d/fd"):format(pid)) do
      if name:match("^%d+$") then count = count + 1 end
    end
  end)
  return ok and count or 0
end

local function sum(text, pattern)
  local total = 0
  for value in text:gmatch(pattern) do total = total + tonumber(value) end
  return total
end

-- The columns, in kB but for the last. Private_Dirty and Pss_Shmem leave out the files that other Kamailios on this machine
-- map too; Pss has them, and so is shown and not judged.
samples.columns = { "private", "shared", "shm", "pkg", "fds" }
samples.titles = {
  private = "private memory of all processes (Private_Dirty), kB", shared = "shared memory (Pss_Shmem), kB",
  shm = "Kamailio's shm in use, kB", pkg = "Kamailio's pkg in use, all processes, kB", fds = "open descriptors",
}

-- One look at a Kamailio: the columns, and private kB by process in `processes`.
function samples.take(server)
  local sample = { pss = 0, private = 0, shared = 0, fds = 0, processes = {} }
  for _, pid in ipairs(server:pids()) do
    local map = smaps(pid)
    local private = map.Private_Dirty or 0
    sample.pss = sample.pss + (map.Pss or 0)
    sample.private, sample.shared = sample.private + private, sample.shared + (map.Pss_Shmem or 0)
    sample.fds = sample.fds + descriptors(pid)
    sample.processes[pid] = private
  end
  sample.shm = tonumber(server:rpc("core.shmmem"):match("real_used: (%d+)")) / 1024
  sample.pkg = sum(server:rpc("pkg.stats"), "real_used: (%d+)") / 1024
  return sample
end

-- What each process is, as Kamailio tells.
function samples.names(server)
  local names = {}
  local text = server:rpc("core.psx")
  for pid, name in text:gmatch("PID: (%d+)%s+DSC: ([^\n]*)") do names[tonumber(pid)] = name end
  return names
end

-- The growth that a straight line through the samples shows from the first to the last of them.
function samples.growth(list, value)
  local n, sx, sy, sxx, sxy = #list, 0, 0, 0, 0
  for _, sample in ipairs(list) do
    local x, y = sample.at, value(sample)
    sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
  end
  local spread = n * sxx - sx * sx
  if spread == 0 then return 0 end
  return (n * sxy - sx * sy) / spread * (list[n].at - list[1].at)
end

local marks = { "_", ".", "-", "~", "=", "+", "*", "#" }

-- One character for each of at most `width` groups of values, from the lowest to the highest.
function samples.sparkline(values, width)
  local low, high, line = math.huge, -math.huge, {}
  for _, value in ipairs(values) do low, high = math.min(low, value), math.max(high, value) end
  local cells = math.min(width, #values)
  for cell = 1, cells do
    local value = values[math.ceil(cell * #values / cells)]
    local level = high > low and (value - low) / (high - low) or 0
    line[cell] = marks[1 + math.floor(level * (#marks - 1) + 0.5)]
  end
  return table.concat(line), low, high
end

return samples
