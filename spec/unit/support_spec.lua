-- What the specs of the system rest on.
local files = require "support.files"
local kamailio = require "support.kamailio"
local process = require "support.process"
local wait = require "support.wait"

describe("The processes that Kamailio announces", function()
  local announcement = "INFO: <core> main(): processes (at least): 14 - shm size: 67108864\n"

  it("are not known before it announces them", function()
    assert.is_nil(kamailio.announced(""))
    assert.is_nil(kamailio.announced("Listening on\n udp: 127.0.0.1\n"))
  end)

  it("are those of its log", function() assert.equal(14, kamailio.announced(announcement)) end)

  it("are fewer when modules take some back", function()
    assert.equal(8, kamailio.announced(announcement .. "nats: 5 processes fewer than announced: ...\n"
      .. "nats: 1 processes fewer than announced: ...\n"))
  end)
end)

describe("Kamailio's list of processes", function()
  local function entry(index, pid, description)
    return ("{\n\tIDX: %d\n\tPID: %d\n\tDSC: %s\n}\n"):format(index, pid, description)
  end

  local two = entry(0, 100, "main process - attendant") .. entry(1, 101, "udp receiver child=0")

  it("is complete when it has all that are announced", function()
    assert.is_true(kamailio.lists(two, 2))
    assert.is_false(kamailio.lists(two, 3))
    assert.is_false(kamailio.lists("", 1))
  end)

  it("is not complete while a process has no id or no name", function()
    assert.is_false(kamailio.lists(two .. entry(2, 0, "timer"), 3))
    assert.is_false(kamailio.lists(two .. entry(2, 102, ""), 3))
    assert.is_false(kamailio.lists(entry(0, 100, "") .. two, 3))
  end)
end)

describe("supervise", function()
  local function open_files(pid)
    return files.run(("readlink /proc/%d/fd/*"):format(pid))
  end

  local function parent_of(pid)
    return tonumber(files.read(("/proc/%d/stat"):format(pid)):match("%) %S (%d+)"))
  end

  it("keeps its own script open and nothing that it inherits", function()
    local held = assert(io.open("/proc/self/status"))
    local sleeper = process.spawn {
      name = "sleep", folder = files.new_folder("sleep"), command = { "sleep", "infinity" },
    }
    wait.until_(function() return process.stat(sleeper.pid).comm == "sleep" end, 10, "the command to run")
    local its, supervise = open_files(sleeper.pid), open_files(parent_of(sleeper.pid))
    local script = files.run(("readlink /proc/%d/fd/255"):format(parent_of(sleeper.pid))) -- where bash puts it
    sleeper:kill()
    held:close()
    assert.matches("spec/support/supervise", script)
    assert.is_falsy(supervise:find("/status", 1, true), supervise)
    assert.is_falsy(its:find("supervise", 1, true), its)
    assert.is_falsy(its:find("/status", 1, true), its)
  end)

  it("ends its command also when a signal ends the whole group that started it", function()
    local folder = files.new_folder("group")
    local starter = ("sleep infinity | spec/support/supervise %s %s/log sleep infinity"):format(folder, folder)
    local group = tonumber(files.must_run(("setsid sh -c %s >/dev/null 2>&1 & echo $!"):format(files.quote(starter))))
    local pid = tonumber(wait.until_(function() return files.read(folder .. "/pid") end, 10, "the command"))
    process.signal(-group, "TERM")
    local ended = wait.for_(function() return process.stat(pid) == nil end, 10)
    if not ended then process.signal(pid, "KILL") end
    assert.is_true(ended)
  end)
end)
