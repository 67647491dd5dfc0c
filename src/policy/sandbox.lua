-- What an operator's policy file can see and do, and how it is loaded.
--
-- Nothing here is shared with the host's own Lua side but functions written in C: libraries are copies, and the modules
-- of kemibus are loaded once more, so that no policy can change what the default does.
--
-- The chunk is called with the table of C functions (see host.c) and returns two functions: load a policy file, and
-- call one of its functions within limits.

local host = ...
local load, pcall, error, type, tostring = load, pcall, error, type, tostring
local select, next, ipairs, concat, sort = select, next, ipairs, table.concat, table.sort
local setmetatable, jit_off = setmetatable, jit.off
local running, resume, wrap = coroutine.running, coroutine.resume, coroutine.wrap

local function copy(from, without)
  local to = {}
  for name, value in next, from do
    if name ~= without then to[name] = value end
  end
  return to
end

local plain = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawset", "select",
  "setmetatable", "tonumber", "type", "unpack", "_VERSION",
}

-- Functions of C that can be their own metamethod, comparator or coroutine would call each other where no instruction is
-- counted, and so no limit seen.
local function counted_tostring(value) return tostring(value) end

local function counted_sort(list, comes_first) return sort(list, comes_first) end

local function counted_resume(...) return resume(...) end

local function counted_wrap(f)
  local next_value = wrap(f)
  return function(...) return next_value(...) end
end

-- Close to the end of its stack Lua has no room to call the hook that counts instructions. Functions that call each
-- other through pcall could stay there for ever, so only so many pcalls may be open at once in a coroutine.
local PCALLS_MAX = 100
local open_pcalls = setmetatable({}, { __mode = "k" }) -- by coroutine, false: none

local function close_pcall(thread, n, ...)
  open_pcalls[thread] = n
  return ...
end

local function bounded_pcall(...)
  local thread = running() or false
  local n = open_pcalls[thread] or 0
  if n == PCALLS_MAX then error("too many calls of pcall inside each other", 2) end
  open_pcalls[thread] = n + 1
  return close_pcall(thread, n, pcall(...))
end

-- A message handler would run while the limits are suspended, if it were called at the place of the error.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  return false, handler(...)
end

local function xpcall(f, handler, ...)
  return handled(handler, bounded_pcall(f, ...))
end

-- An error of the limits passes by close_pcall().
local function guarded(...)
  open_pcalls[false] = nil
  return host.guarded(...)
end

local function print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  host.log("info", concat(parts, "\t"))
end

-- The pieces that a function gives to load(). That one itself would call it where LuaJIT catches errors and takes no more
-- heed of limits.
local function text_of(reader)
  local pieces = {}
  for piece in reader do
    if type(piece) ~= "string" then error("reader function must return a string", 3) end
    if piece == "" then break end
    pieces[#pieces + 1] = piece
  end
  return concat(pieces)
end

-- Only text: bytecode can do anything to the process.
local function loaders(env)
  env.load = function(chunk, name, _, its_env)
    if type(chunk) == "function" then chunk = text_of(chunk) end
    return load(chunk, name or "=(load)", "t", its_env or env)
  end
  env.loadstring = function(chunk, name) return load(chunk, name or chunk, "t", env) end
end

local function environment()
  local env = { pcall = bounded_pcall, xpcall = xpcall, tostring = counted_tostring, print = print, log = host.log }
  for _, name in ipairs(plain) do env[name] = _G[name] end
  for _, name in ipairs({ "table", "math", "bit", "coroutine" }) do env[name] = copy(_G[name]) end
  env.table.sort = counted_sort
  env.coroutine.resume, env.coroutine.wrap = counted_resume, counted_wrap
  env.string = copy(string, "dump")
  env.os = { clock = os.clock, date = os.date, difftime = os.difftime, time = os.time }
  loaders(env)
  env._G = env
  return env
end

local function folder_of(file)
  return file:match("^(.*/)[^/]*$") or "./"
end

-- The source of a module in the policy's own folder, and what to call it.
local function read_module(folder, name)
  if not name:match("^[%w_-][%w_.-]*$") or name:find("..", 1, true) then return nil end
  local path = name:gsub("%.", "/")
  for _, file in ipairs({ path .. ".lua", path .. "/init.lua" }) do
    local source = host.read(folder .. file)
    if source then return source, file end
  end
  return nil, host.exists(folder .. path .. ".so")
end

-- What people are likely to try; for others the answer is the plain "not found".
local written_in_c = {
  ffi = true, io = true, debug = true, package = true, lfs = true, socket = true, ["socket.core"] = true, lpeg = true,
  posix = true, ["cjson.safe"] = true, ["kemibus.core"] = true,
}

local function not_found(folder, name, is_c)
  if is_c or written_in_c[name] then
    error(("module '%s' is written in C, which a policy cannot use: it would bind to whichever Lua this process loaded "
      .. "first, and that may be app_lua's"):format(name), 3)
  end
  error(("module '%s' not found: a policy can require cjson, kemibus.* and files of Lua in %s"):format(name, folder), 3)
end

local function require_in(env, folder)
  local loaded, loading = { cjson = host.cjson() }, {}
  return function(name)
    if type(name) ~= "string" then error("require: a string is needed, not " .. type(name), 2) end
    if loaded[name] ~= nil then return loaded[name] end
    if loading[name] then error(("module '%s' requires itself"):format(name), 2) end
    local source, file = host.sources[name], name:gsub("%.", "/") .. ".lua"
    if not source then source, file = read_module(folder, name) end
    if not source then not_found(folder, name, file) end
    local chunk, problem = load(source, "@" .. file, "t", env)
    if not chunk then error(problem, 0) end
    jit_off(chunk, true)
    loading[name] = true
    local ok, result = pcall(chunk, name)
    loading[name] = nil
    if not ok then error(result, 0) end
    loaded[name] = result == nil and true or result
    return loaded[name]
  end
end

-- Runs a policy file and returns its table. Errors are one line, with the place in the file.
local function load_policy(file)
  local source, problem = host.read(file)
  if not source then error(problem, 0) end
  local env = environment()
  env.require = require_in(env, folder_of(file))
  local chunk
  chunk, problem = load(source, "@" .. file:match("[^/]*$"), "t", env)
  if not chunk then error(problem, 0) end
  jit_off(chunk, true)
  local ok, policy = guarded(chunk)
  if not ok then error(policy, 0) end
  return policy
end

return load_policy, guarded
