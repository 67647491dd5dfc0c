-- Folders and files of a spec run: build/spec-logs/<name>-<pid>[-<n>] keeps what each server wrote.
local lfs = require "lfs"

local files = {}

files.root = lfs.currentdir()
files.logs = files.root .. "/build/spec-logs"

function files.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

function files.quote_all(words)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = files.quote(word) end
  return table.concat(quoted, " ")
end

-- Runs a command; its output and whether it ended with status 0.
function files.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo \"=$?\"", "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)=(%d+)\n$")
  return output, tonumber(status) == 0, tonumber(status)
end

function files.must_run(command)
  local output, ok, status = files.run(command)
  if not ok then error(("status %d from: %s\n%s"):format(status, command, output), 2) end
  return output
end

function files.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

function files.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

function files.exists(path)
  return lfs.attributes(path, "mode") ~= nil
end

function files.own_pid()
  return tonumber(files.read("/proc/self/stat"):match("^%d+"))
end

local function unused(base)
  local path, n = base, 1
  while files.exists(path) do
    n = n + 1
    path = base .. "-" .. n
  end
  return path
end

-- A new, empty folder for a server of this name.
function files.new_folder(name)
  local path = unused(("%s/%s-%d"):format(files.logs, name, files.own_pid()))
  files.must_run("mkdir -p " .. files.quote(path))
  return path
end

local function reachable_for(user, path)
  local _, ok = files.run(("setpriv --reuid=%s --regid=%s --clear-groups test -w %s"):format(
    user, user, files.quote(path)))
  return ok
end

-- The same for a server that runs as another user. When that user may not enter the checkout the folder is in /tmp,
-- with a link to it among the logs, which is the second result; keep_logs() copies it back.
function files.new_folder_for(user, name)
  local path = files.new_folder(name)
  files.must_run(("chown %s: %s"):format(user, files.quote(path)))
  if reachable_for(user, path) then return path end
  local elsewhere = files.must_run("mktemp -d /tmp/kemibus-spec-XXXXXX"):match("%S+")
  files.must_run(("chown %s: %s && rmdir %s && ln -s %s %s"):format(
    user, elsewhere, files.quote(path), elsewhere, files.quote(path)))
  return elsewhere, path
end

function files.keep_logs(elsewhere, link)
  if not link then return end
  files.must_run(("rm %s && cp -r %s %s && rm -rf %s"):format(
    files.quote(link), elsewhere, files.quote(link), elsewhere))
end

return files
