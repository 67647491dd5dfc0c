-- docs/ says what the tables of the modules say: nothing is missing, and nothing is made up.
local pages = require "support.pages"
local tables = require "support.module_tables"

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- A number as a reader sees it first: "4 for each" is 4, "`_INBOX`" is _INBOX.
local function begins_with(text, value)
  text = text:gsub("`", "")
  local rest = text:match("^" .. tostring(value):gsub("%p", "%%%0") .. "(.?)")
  return rest and not rest:find("%w")
end

local function check_parameter(page, text, code)
  local facts = pages.facts(text)
  local function fact(name) return assert(facts[name], ("%s: no line \"- %s: ...\""):format(page, name)) end
  assert(begins_with(fact "Type", code.kind), ("%s: it is %s, not %s"):format(page, code.kind, facts.Type))
  assert.equal(code.repeatable == true, fact("Type"):find("repeatable") ~= nil, page .. ": repeatable")
  assert(code.default == nil or begins_with(fact "Default", code.default),
    ("%s: the default is %s, not %s"):format(page, tostring(code.default), fact "Default"))
  local least, most = fact("Range"):match("^(%d+) %l+ (%d+)")
  if code.range then
    assert.same(code.range, { tonumber(least), tonumber(most) }, page .. ": range")
  else
    assert.is_nil(least, page .. " tells of a range that the code does not have")
  end
  fact "Source"
  assert.equal(code.without_effect == true, text:find("without an effect", 1, true) ~= nil, page .. ": effect")
end

-- Every modparam of the page's parameter is one that the module takes; the pages of what is added to another parameter
-- have theirs there.
local function check_examples(page, text, module, name, code)
  local found = text:find("where the example is", 1, true) ~= nil
  for value in text:gmatch(('modparam%%("%s", "%s", ([^\n]*)%%)'):format(module, name)) do
    local number = tonumber(value)
    found = true
    assert.equal(code.kind == "integer", number ~= nil, ("%s: the example has %s"):format(page, value))
    assert(not code.range or (number >= code.range[1] and number <= code.range[2]), page .. ": out of range: " .. value)
  end
  assert(found, page .. " has no example")
end

-- The function that a KEMI function is another form of: the one with the longest name that it begins with.
local function native_of(module, kemi_name, functions)
  local full, best = module == "nats" and "nats_" .. kemi_name or kemi_name, ""
  for name in pairs(functions) do
    if full:sub(1, #name) == name and #name > #best then best = name end
  end
  return best
end

for _, module in ipairs { "kazoo", "nats" } do
  describe("docs/" .. module, function()
    local folder = "docs/" .. module
    local readme = pages.read(folder .. "/README.md")
    local function page(kind, name) return pages.read(("%s/%s/%s.md"):format(folder, kind, name)) end

    -- One page for each, one row of the index for each, and no others.
    local function check_pages(kind, known, label_of)
      local labels, index = {}, pages.index(readme, kind)
      assert.same(sorted(known), sorted(pages.names(folder .. "/" .. kind)))
      for name in pairs(known) do
        labels[name] = label_of and label_of(name, index[name]) or name
        assert.equal("# " .. labels[name], page(kind, name):match("^[^\n]*"), folder .. ": title of the page " .. name)
      end
      assert.same(labels, index)
    end

    it("has a page for each parameter, with its type, default and range", function()
      local parameters = tables.parameters(module)
      check_pages("parameters", parameters)
      for name, code in pairs(parameters) do
        local path, text = ("%s/parameters/%s.md"):format(folder, name), page("parameters", name)
        check_parameter(path, text, code)
        check_examples(path, text, module, name, code)
      end
    end)

    it("has a page for each function, with all numbers of parameters", function()
      local functions = tables.functions(module)
      check_pages("functions", functions)
      for name, arities in pairs(functions) do
        local found = {}
        for _, call in ipairs(pages.calls(pages.first_code(page("functions", name)), name)) do found[call.arity] = true end
        assert.same(arities, found, name)
        local facts = pages.facts(page("functions", name))
        assert(facts.Routes and facts.Source, name .. ": Routes or Source is missing")
      end
    end)

    it("has the KEMI functions, in the list and on the page of the function that each is a form of", function()
      local functions, expected, found = tables.functions(module), {}, {}
      local kemi = tables.kemi(module)
      for name in pairs(functions) do expected[name], found[name] = {}, {} end
      for name, arity in pairs(kemi) do expected[native_of(module, name, functions)][name .. "/" .. arity] = true end
      for name in pairs(functions) do
        local part = assert(pages.section(page("functions", name), "KEMI"), name .. " has no section KEMI")
        for _, call in ipairs(pages.calls(part, "KSR%.%l+%.[%w_]+")) do
          found[name][call.name:match("[^.]+$") .. "/" .. call.arity] = true
        end
        assert(next(expected[name]) or part:find("^\nNone%."), name .. " has no KEMI function, and should say so")
      end
      assert.same(expected, found)
      local listed = {}
      for call in pairs(pages.first_column(pages.read(folder .. "/kemi.md"))) do
        local name, list = call:match("^KSR%." .. module .. "%.([%w_]+)(%b())$")
        if name then listed[name] = list == "()" and 0 or select(2, list:gsub(",", "")) + 1 end
      end
      assert.same(kemi, listed)
    end)

    it("has a page for each variable", function()
      check_pages("variables", tables.variables(module), function(name, label)
        assert.equal("$" .. name, label and label:match("^%$%w+"))
        return label
      end)
      for name in pairs(tables.variables(module)) do
        local facts = pages.facts(page("variables", name))
        assert(facts.Type and facts.Null and facts.Source, name .. ": Type, Null or Source is missing")
      end
    end)

    it("has a page for each transformation", function()
      check_pages("transformations", tables.transformations(module), function(name, label)
        assert.equal(name, label and label:match("^{([%w.]+)"))
        return label
      end)
      for name in pairs(tables.transformations(module)) do
        assert.truthy(pages.facts(page("transformations", name)).Type, name)
      end
    end)

    it("has a page for each event that the module raises", function()
      local names = {}
      for event in pairs(tables.events(module)) do names[event:match(":(.*)$")] = true end
      check_pages("events", names, function(name) return module .. ":" .. name end)
      for name in pairs(names) do
        local text = page("events", name)
        local facts = pages.facts(text)
        assert(facts.Payload and facts.Source, name .. ": Payload or Source is missing")
        assert(text:find(("event_route[%s:"):format(module), 1, true), name .. ": no example")
      end
    end)

    it("has a page for each RPC command, with every field of its answer", function()
      local commands = tables.commands(module)
      check_pages("rpc", commands)
      for name, fields in pairs(commands) do
        local text = page("rpc", name)
        for field in pairs(fields) do
          assert(text:find("%f[%w_]" .. field .. "%f[^%w_]"), ("%s: the field %s"):format(name, field))
        end
        assert(pages.facts(text).Parameters and text:find("    # kamcmd " .. name .. "\n", 1, true), name .. ": no sample")
      end
    end)

    it("has the statistics", function()
      local text = pages.read(folder .. "/statistics.md")
      assert.same(sorted(tables.statistics(module)), sorted(pages.first_column(text)))
    end)

    it("has only log lines that the modules write", function()
      local texts = tables.texts()
      local function is_written(line)
        local without_name = line:gsub("^[%l_]+: ", "")
        for _, pattern in ipairs(texts) do
          if line:find(pattern) or without_name:find(pattern) then return true end
        end
      end
      for line in pairs(pages.first_column(pages.read(folder .. "/log-lines.md"))) do
        assert(is_written(line), folder .. "/log-lines.md: nothing writes " .. line)
      end
    end)

    it("leads to each of its pages from its README", function()
      local linked = {}
      for _, link in ipairs(pages.links(folder .. "/README.md")) do linked[link.path] = true end
      for _, path in ipairs(pages.all()) do
        local inside = path:match("^" .. folder .. "/(.*)$")
        assert(not inside or inside == "README.md" or linked[path], path)
      end
    end)
  end)
end

describe("kemibus.routes", function()
  it("knows the events of the module nats", function()
    local events = {}
    for name in pairs(require("kemibus.routes").NATS_EVENTS) do events["nats:" .. name] = true end
    events["nats:SUBJECT"] = true
    assert.same(sorted(tables.events "nats"), sorted(events))
  end)
end)

describe("docs/kazoo/events", function()
  it("has the fields of the payloads of the module's own events", function()
    for kind, fields in pairs(tables.kazoo_event_fields()) do
      for name in pairs(pages.names("docs/kazoo/events")) do
        if name:find("^consumer%-event%-" .. kind) then
          local payload = pages.read("docs/kazoo/events/" .. name .. ".md"):match("\n%- Payload: (.-)\n%- ")
          for field in pairs(fields) do
            assert(payload:find("`" .. field .. "`", 1, true), ("%s: the field %s"):format(name, field))
          end
        end
      end
    end
  end)
end)

describe("docs/kazoo/functions/kazoo_subscribe.md", function()
  local text = pages.read("docs/kazoo/functions/kazoo_subscribe.md")
  local function row(field)
    return assert(text:match("\n| `" .. field:gsub("%-", "%%-") .. "` |[^|]*|[^|]*|([^\n]*)"), "no row " .. field)
  end

  it("has the fields of a description", function()
    local known = tables.description_fields("read_field", "read_handling", "read_queue_flags")
    assert.same(sorted(known), sorted(pages.first_column(text:match("\n| field |.-\n\n"))))
  end)

  -- A definition takes its name from a field of either name; only `name` is told of.
  it("has the fields of the definitions in it", function()
    local function known(reader)
      local fields = tables.description_fields(reader)
      fields.exchange, fields.queue = nil, nil
      return sorted(fields)
    end
    local function documented(field)
      local fields = {}
      for name in (row(field):match("^[^:]* of the") or ""):gmatch("`([%w_]+)`") do fields[name] = true end
      return sorted(fields)
    end
    assert.same(known "read_exchange_definition", documented "exchange-def")
    assert.same(known "read_queue_definition", documented "queue-def")
    assert.matches("with the fields of `exchange%-def`", row "exchange-bindings")
    for _, name in ipairs(known "read_source_field") do
      assert(row("exchange-bindings"):find("'" .. name .. "':", 1, true), "exchange-bindings: " .. name)
    end
  end)
end)

describe("the documentation", function()
  it("has the log lines that brokers cause", function()
    local function has(module, pattern)
      for line in pairs(pages.first_column(pages.read(("docs/%s/log-lines.md"):format(module)))) do
        if line:find(pattern) then return true end
      end
    end
    local of = { amqp = { "kazoo" }, nats = { "nats" } } -- the loops that drive any broker belong to both
    for _, line in ipairs(tables.broker_log_lines()) do
      local found = false
      for _, module in ipairs(of[line.folder] or { "kazoo", "nats" }) do
        found = found or has(module, line.pattern)
      end
      assert(found, ("%s: no log-lines.md has %s"):format(line.path, line.pattern))
    end
  end)

  it("has no dead link", function()
    for _, page in ipairs(pages.all()) do
      for _, link in ipairs(pages.links(page)) do
        assert(pages.exists(link.path), ("%s links to %s, which does not exist"):format(page, link.target))
        assert(not link.anchor or pages.anchors(pages.read(link.path))[link.anchor],
          ("%s links to %s: there is no such heading"):format(page, link.target))
      end
    end
  end)

  it("has no line that is too long to read, but in tables", function()
    for _, page in ipairs(pages.all()) do
      for line in pages.read(page):gmatch("[^\n]+") do
        local _, chars = line:gsub("[^\128-\191]", "")
        assert(line:find("^|") or chars <= 140, page .. ": " .. line)
      end
    end
  end)

  it("has each page that a log line refers to", function()
    for _, file in ipairs { "kazoo/brokers", "kazoo/settings", "nats/security" } do
      for path in pages.read("src/kamailio/" .. file .. ".c"):gmatch("docs/[%w_/.]+") do
        assert(pages.exists(path), ("src/kamailio/%s.c: %s"):format(file, path))
      end
    end
  end)
end)

describe("lua/kemibus", function()
  local files = { "init", "json", "kemi", "routes", "routing_key" }

  -- LDoc: `---` begins the comment that documents what follows.
  it("says of every public function what it takes and returns", function()
    for _, name in ipairs(files) do
      local text = pages.read(("lua/kemibus/%s.lua"):format(name))
      assert.truthy(text:find("^%-%-%- .-\n%-%- @module "), name .. ".lua has no module comment")
      for comment, func, list in text:gmatch("([^\n]*\n)function (%w+%.[%w_]+)(%b())") do
        assert.truthy(comment:find("^%-%-"), func .. " has no comment")
        local block = text:match("(\n%-%-%- [^\n]*\n[%-%- @%w%p\n]-)function " .. func:gsub("%.", "%%.") .. "%(") or ""
        assert.truthy(block ~= "", func .. " has no comment that begins with ---")
        for parameter in list:gmatch("[%w_]+") do
          assert.truthy(block:find("@t?param[^\n]*%f[%w_]" .. parameter .. "%f[^%w_]"), func .. ": " .. parameter)
        end
        assert.truthy(block:find("@t?return") or block:find("@raise"), func .. " does not say what it returns")
      end
    end
  end)
end)
