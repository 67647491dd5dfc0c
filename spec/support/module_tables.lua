-- What the C sources of a module say it has: its parameters, functions, variables, events and the like, with what can
-- be read of each. The documentation is held against it.
local module_tables = {}

local function read(path)
  local file = assert(io.open(path, "r"), path .. ": run from the top folder")
  local text = file:read("*a")
  file:close()
  return text
end

local function source(name) return read("src/kamailio/" .. name .. ".c") end

-- The text between the braces of a C table.
local function c_table(text, name)
  return assert(text:match("%f[%w_]" .. name .. "%[%]%s*=%s*(%b{})"), "no table " .. name)
end

-- The body of the C function of that name, whose closing brace is in the first column.
local function c_function(text, name)
  return assert(text:match("%f[%w_]" .. name .. "%b()%s*({.-\n})"), "no function " .. name)
end

local function add_all(set, text, pattern)
  for name in text:gmatch(pattern) do set[name] = true end
  return set
end

-- -- parameters --

local prefixes = { kazoo = "kz", nats = "kn" }

-- Constants of an enum: "enum { A = 1, B = 2 };", also "#define A 1".
local function constants(text)
  local values = {}
  for name, value in text:gmatch("(%u[%u%d_]+)%s*=%s*(%d+)") do values[name] = tonumber(value) end
  for name, value in text:gmatch("#define%s+(%u[%u%d_]+)%s+(%d+)\n") do values[name] = tonumber(value) end
  return values
end

local function evaluate(expression, known)
  expression = expression:gsub("^%s+", ""):gsub("%s+$", "")
  local base, shift = expression:match("^(%d+) << (%d+)$")
  if base then return tonumber(base) * 2 ^ tonumber(shift) end
  if expression:find("^[%d%s%*]+$") then return assert(loadstring("return " .. expression))() end
  return expression:match('^"(.*)"$') or expression:match("^'(.)'$") or known[expression] or expression
end

-- Fields of `static struct ... settings = { ... }`, the two of a timeout as NAME.sec and NAME.micro.
local function defaults(text, known)
  local found = {}
  local body = text:match("\nstatic struct [%w_]+ settings = (%b{})")
  for field, value in body:gmatch("%.([%w_]+) = ([^{},\n]+),") do found[field] = evaluate(value, known) end
  for field, sec, micro in body:gmatch("%.([%w_]+) = {(%d+), (%d+)}") do
    found[field .. ".sec"], found[field .. ".micro"] = tonumber(sec), tonumber(micro)
  end
  return found
end

local function ranges(text, known)
  local found = {}
  local function add(name, least, most) found[name] = { evaluate(least, known), evaluate(most, known) } end
  for name, least, most in text:gmatch('kb_settings_in_range%("([%w_]+)",%s*[^,]+,%s*([^,]+),%s*([^,%)]+)%)') do
    add(name, least, most)
  end
  for name in text:gmatch('is_process_count%("([%w_]+)"') do
    add(name, c_function(text, "is_process_count"):match("value, (%d+), ([%w_]+)%)"))
  end
  for _, check in ipairs { "timeout_in_range", "is_timeout" } do
    for name in text:gmatch("%f[%w_]" .. check .. '%(%s*"([%w_]+)"') do
      local body = c_function(text, "timeout_in_range")
      add(name .. "_sec", body:match("t%.sec, (%d+), (%d+)"))
      add(name .. "_micro", body:match("t%.micro, (%d+), (%d+)"))
    end
  end
  return found
end

-- By name: kind ("integer" or "string"), repeatable, default (nil: what the code works out), range, without_effect.
function module_tables.parameters(module)
  local text = source(module .. "/settings")
  local known = constants(read(("src/kamailio/%s/settings.h"):format(module)) .. text)
  known.NAME = "kamailio" -- of the core: what the server is called
  local default, range = defaults(text, known), ranges(text .. (module == "nats" and source "nats/security" or ""), known)
  local list, found = c_table(text, prefixes[module] .. "_parameters"), {}
  local function add(name, c_type, where)
    local kind = c_type == "INT" and "integer" or "string"
    local field = where:match("&settings%.([%w_.]+)")
    local value = field and default[field]
    if field and value == nil then value = kind == "integer" and 0 or "none" end
    if value == "NOT_SET" then value = nil end
    found[name] = { kind = kind, repeatable = where:find("add_") ~= nil, default = value, range = range[name] }
  end
  for name, c_type, where in list:gmatch('{"([%w_]+)", PARAM_(%u+)([^}]*)}') do add(name, c_type, where) end
  for c_type, name in list:gmatch("ACCEPTED_(%u+)%(([%w_]+)%)") do
    found[name] = { kind = c_type == "INT" and "integer" or "string", without_effect = true, default = "none" }
  end
  return found
end

-- -- functions, variables, transformations, statistics --

-- By name: a set of numbers of parameters.
function module_tables.functions(module)
  local found = {}
  for name, arity in c_table(source(module .. "/module"), "functions"):gmatch('{"([%w_]+)",[^,]+,%s*(%d)') do
    found[name] = found[name] or {}
    found[name][tonumber(arity)] = true
  end
  return found
end

-- By name: the number of parameters.
function module_tables.kemi(module)
  local found = {}
  for name, types in c_table(source(module .. "/module"), "kemi"):gmatch('KEMI%(%s*"([%w_]+)",%s*[%w_]+,%s*(%b{})%)') do
    found[name] = select(2, types:gsub("SR_KEMIP_", ""))
  end
  return found
end

function module_tables.variables(module)
  return add_all({}, c_table(source(module .. "/module"), "variables"), '{{"([%w_]+)"')
end

function module_tables.transformations(module)
  local text = source(module .. "/module")
  if not text:find("transformations[]", 1, true) then return {} end
  local prefix, found = c_table(text, "transformations"):match('{{"(%w+)"'), {}
  local known = c_table(source "kazoo/transformations", "known")
  for name in known:gmatch('{{"([%w.]+)",') do found[prefix .. "." .. name] = true end
  return found
end

function module_tables.statistics(module)
  return add_all({}, c_table(source(module .. "/stats"), prefixes[module] .. "_statistics"), '{"([%w_]+)",')
end

-- -- RPC --

local function fields_of(...)
  local found = {}
  for _, body in ipairs { ... } do
    add_all(found, body, 'structure, "(%l[%l_]+)"')
    add_all(found, body, 'structure, "[s{]", "([%l_]+)"')
  end
  return found
end

-- What a field is called that depends on the module: kind == KB_REPORT_QUEUES ? "exchange" : "stream".
local function add_names(found, body, module)
  for of_kazoo, of_nats in body:gmatch('KB_REPORT_QUEUES %? "(%l+)" : "(%l+)"') do
    found[module == "kazoo" and of_kazoo or of_nats] = true
  end
  return found
end

-- By command: the set of the fields of its answer.
function module_tables.commands(module)
  local text, report, found = source(module .. "/rpc"), source "glue/report", {}
  local zone = module == "kazoo" and c_function(report, "add_zone") or ""
  local outcomes = module == "kazoo" and "add_queue_outcomes" or "add_stream_outcomes"
  local of_answer = {
    kb_report_statistics = function() return module_tables.statistics(module) end,
    kb_report_connections = function()
      return fields_of(c_function(report, "add_connection"), c_function(report, "add_since"), zone)
    end,
    kb_report_subscriptions = function()
      local fields = fields_of(c_function(report, "add_state"), c_function(report, outcomes), zone,
        c_function(report, "add_subscription"))
      return add_names(fields, c_function(report, "add_names"), module)
    end,
    kb_report_requests = function()
      return fields_of(c_function(report, "kb_report_requests"), c_function(report, "add_times"),
        c_function(report, "add_buckets"), c_function(text, module == "kazoo" and "show_queries" or "show_requests"))
    end,
    kb_policy_reload_rpc = function() return {} end,
  }
  for command, handler in c_table(text, "commands"):gmatch('{"([%w_.]+)", ([%w_]+),') do
    local answer = c_function(text, handler):match("(kb_[%w_]+)%(rpc, context")
    found[command] = assert(of_answer[answer], command .. " answers with " .. tostring(answer))()
  end
  return found
end

-- -- events --

local function kazoo_events()
  local publisher, names = "", {}
  for _, part in ipairs { "publisher", "flights", "lanes", "consumer" } do
    publisher = publisher .. read(("src/bus/%s.c"):format(part))
  end
  for _, file in ipairs { "event", "mod_init" } do add_all(names, source("kazoo/" .. file), '"(kazoo:[%l-]+)"') end
  local function add(name) names["kazoo:consumer-event-" .. name] = true end
  for what in publisher:gmatch('kb_own_event_message%([^,]+, "([%l-]+)"') do add("message-" .. what) end
  for one, other in publisher:gmatch('kb_own_event_connection%([^,]+, [^?]+ %? "([%l-]+)" : "([%l-]+)"') do
    add("connection-" .. one)
    add("connection-" .. other)
  end
  local open, closed = publisher:match('"%%s%-%%s", l%->own%.connection, open %? "(%l+)" : "(%l+)"')
  for _, name in ipairs { "publisher", "requester" } do
    add(("connection-%s-%s"):format(name, open))
    add(("connection-%s-%s"):format(name, closed))
  end
  return names
end

local function nats_events()
  local text = source "nats/event"
  local names = add_all({}, text, '"(nats:[%l-]+)"')
  local notices = read "src/nats/notices.c" .. read "src/nats/lame_duck.c"
  for name in notices:gmatch('kb_nats_notices_tell%(b, "([%l-]+)"%)') do names["nats:" .. name] = true end
  if text:find('"nats:%s", s->routing[0]', 1, true) then names["nats:SUBJECT"] = true end
  return names
end

function module_tables.events(module)
  return module == "kazoo" and kazoo_events() or nats_events()
end

-- The fields that every payload of the module's own events has, by the kind of the event.
function module_tables.kazoo_event_fields()
  local text, found = read("src/bus/own_event.c"), {}
  for _, kind in ipairs { "connection", "message" } do
    local body = c_function(text, "kb_own_event_" .. kind):gsub("if %b()\n[^\n]*\n", "")
    found[kind] = add_all(add_all({}, c_function(text, "begin"), 'add%(json, "([%w_-]+)"'), body, 'add%(&json, "([%w_-]+)"')
  end
  return found
end

-- -- descriptions of kazoo_subscribe --

-- The fields that a reader of kazoo/description.c knows.
function module_tables.description_fields(...)
  local text, found = source "kazoo/description", {}
  for _, reader in ipairs { ... } do add_all(found, c_function(text, reader), 'IS%("([%w_-]+)"%)') end
  return found
end

-- -- log lines --

-- A format as a pattern for what it becomes: anything may stand for what is put into it. nil for one that says little.
local function pattern_of(format)
  local text = format:gsub("\\n", ""):gsub("%%[%-%.%d%*]*[hlz]*%a", "\1")
  if select(2, text:gsub("%a", "")) < 8 then return nil end
  return "^" .. text:gsub("[^%w%s\1]", "%%%0"):gsub("\1", ".*") .. "$"
end

-- Texts of one file, those that are written in several pieces as one; a quote within one is \2 until literals() has it.
local function joined(text)
  text = text:gsub('\\"', "\2"):gsub("'[\"\2]'", "''")
  return (text:gsub('" PRIu64 "', "d"):gsub('" #name[%s\\]+"', "%%s"):gsub('"%s*\n%s*"', ""))
end

local function literals(text)
  return coroutine.wrap(function()
    for literal in text:gmatch('"([^"\n]*)"') do coroutine.yield((literal:gsub("\2", '"'))) end
  end)
end

local function each_source(folder, visit)
  local pipe = assert(io.popen(("find src/%s -name '*.c' | sort"):format(folder)))
  for path in pipe:lines() do visit(path, joined(read(path))) end
  pipe:close()
end

-- Patterns for every text in the sources.
function module_tables.texts()
  local found = {}
  each_source("", function(_, text)
    for literal in literals(text) do found[#found + 1] = pattern_of(literal) end
  end)
  return found
end

-- What brokers give reason to log, from the level notice on: {folder, path, pattern} of each line.
function module_tables.broker_log_lines()
  local found = {}
  for _, folder in ipairs { "net", "bus", "amqp", "nats" } do
    each_source(folder, function(path, text)
      for arguments in text:gmatch("%f[%w_]kb_log[_%l]*(%b())") do
        local level, format = arguments:match("KB_LOG_(%u+)"), literals(arguments)()
        local pattern = format and level ~= "INFO" and level ~= "DEBUG" and pattern_of(format)
        if pattern then found[#found + 1] = { folder = folder, path = path, pattern = pattern } end
      end
    end)
  end
  return found
end

return module_tables
