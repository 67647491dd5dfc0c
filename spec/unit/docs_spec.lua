-- docs/ says what the tables of the modules say: nothing is missing, and nothing is made up.
local function read(path)
  local file = assert(io.open(path, "r"), path .. ": run from the top folder")
  local text = file:read("*a")
  file:close()
  return text
end

-- The body of a C table, from its name to the closing brace in the first column.
local function c_table(text, name)
  return assert(text:match("%f[%w_]" .. name .. "%[%]%s*=%s*(%b{})"), "no table " .. name)
end

local function add_all(set, text, pattern)
  for name in text:gmatch(pattern) do set[name] = true end
  return set
end

local function parameters_of(module, prefix)
  local text = c_table(read(("src/kamailio/%s_settings.c"):format(module)), prefix .. "_parameters")
  local names = add_all({}, text, '{%s*"([%w_]+)"')
  return add_all(names, text, 'ACCEPTED_%u+%(([%w_]+)%)')
end

-- In docs: the part from a heading of that level to the next one of it.
local function section(doc, title)
  return assert(("\n" .. doc .. "\n## "):match("\n## " .. title .. "\n(.-)\n## "), "no section " .. title)
end

-- The names in backquotes in the first column of the tables.
local function first_column(text)
  local names = {}
  for cell in text:gmatch("\n| ([^|]*) |") do add_all(names, cell, "`([^`]+)`") end
  return names
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function functions_of(text)
  local found = {}
  for name, arity in c_table(text, "functions"):gmatch('{"([%w_]+)",[^,]+,%s*(%d)') do found[name .. "/" .. arity] = true end
  return found
end

-- "name(a, b [, c])" in a heading stands for two arities; "by the name `other`" for the same ones of another name.
local function documented_functions(text)
  local found = {}
  local function add(name, list)
    local required, optional = list:match("^([^%[]*)%[?(.*)$")
    local _, commas = required:gsub(",", "")
    local _, more = optional:gsub(",", "")
    if list == "" then commas = -1 end
    for arity = commas + 1, commas + 1 + more do found[name .. "/" .. arity] = true end
  end
  for part in (text:gsub("\n### ", "\1") .. "\1"):gmatch("([^\1]+)\1") do
    local heading, body = part:match("^([^\n]*)\n(.*)$")
    local other = (body or ""):match("by the name `([%w_]+)`")
    for name, list in (heading or ""):gmatch("([%w_]+)(%b())") do
      add(name, list:sub(2, -2))
      if other then add(other, list:sub(2, -2)) end
    end
  end
  return found
end

for module, prefix in pairs { kazoo = "kz", nats = "kn" } do
  describe("docs/" .. module .. ".md", function()
    local doc = read(("docs/%s.md"):format(module))
    local source = read(("src/kamailio/%s_mod.c"):format(module))

    it("has the parameters", function()
      assert.same(sorted(parameters_of(module, prefix)), sorted(first_column(section(doc, "Parameters"))))
    end)

    it("has the functions, with their numbers of parameters", function()
      assert.same(sorted(functions_of(source)), sorted(documented_functions("\n" .. section(doc, "Functions"))))
    end)

    it("has the variables", function()
      local names = add_all({}, c_table(source, "variables"), '{{"([%w_]+)"')
      local documented = {}
      for name in pairs(first_column(section(doc, "Variables"))) do documented[name:match("^%$([%w_]+)")] = true end
      assert.same(sorted(names), sorted(documented))
    end)

    it("has the statistics", function()
      local table = c_table(read(("src/kamailio/%s_stats.c"):format(module)), prefix .. "_statistics")
      assert.same(sorted(add_all({}, table, '{"([%w_]+)",')), sorted(first_column(section(doc, "Statistics"))))
    end)

    it("has the RPC commands, and every field of their answers", function()
      local source_of_commands = read(("src/kamailio/%s_rpc.c"):format(module))
      local text = section(doc, "RPC")
      local commands = add_all({}, c_table(source_of_commands, "commands"), '{"([%w_.]+)",')
      assert.same(sorted(commands), sorted(first_column(text)))
      local shared = read("src/kamailio/report.c")
      local not_of = { -- nats has no zones and exchanges, and each has words of its own for outcomes
        nats = { "add_zone", "add_queue_outcomes" }, kazoo = { "add_stream_outcomes" },
      }
      for _, name in ipairs(not_of[module]) do shared = shared:gsub("static void " .. name .. "%b()%s*%b{}", "") end
      if module == "nats" then shared = shared:gsub('"exchange"', "") end
      local fields = add_all({}, shared .. source_of_commands, 'structure, "(%l[%l_]+)"')
      for field in pairs(add_all(fields, shared .. source_of_commands, 'structure, "[s{]", "([%l_]+)"')) do
        assert(text:find("%f[%w_]" .. field .. "%f[^%w_]"), "the field " .. field)
      end
    end)

    it("has the KEMI functions, with their numbers of parameters", function()
      local names, documented = {}, {}
      for name, types in c_table(source, "kemi"):gmatch('KEMI%(%s*"([%w_]+)",%s*[%w_]+,%s*(%b{})%)') do
        local _, n = types:gsub("SR_KEMIP_", "")
        names[name .. "/" .. n] = true
      end
      for call in pairs(first_column(section(doc, "KEMI"))) do
        local name, list = call:match("^KSR%." .. module .. "%.([%w_]+)%((.*)%)$")
        local _, commas = list:gsub(",", "")
        documented[name .. "/" .. (list == "" and 0 or commas + 1)] = true
      end
      assert.same(sorted(names), sorted(documented))
    end)
  end)
end

describe("docs/kazoo.md", function()
  local doc = read("docs/kazoo.md")

  it("has the transformations", function()
    local prefix = c_table(read("src/kamailio/kazoo_mod.c"), "transformations"):match('{{"(%w+)"')
    local names, documented = {}, {}
    for name in c_table(read("src/kamailio/transformations.c"), "known"):gmatch('{{"([%w.]+)",') do
      names[prefix .. "." .. name] = true
    end
    for name in pairs(first_column(section(doc, "Transformations"))) do documented[name:match("^{([%w.]+)")] = true end
    assert.same(sorted(names), sorted(documented))
  end)

  it("says which parameters have no effect", function()
    local text = c_table(read("src/kamailio/kazoo_settings.c"), "kz_parameters")
    local part = assert(doc:match("\n### Accepted, without an effect yet\n(.-)\n## "))
    assert.same(sorted(add_all({}, text, 'ACCEPTED_%u+%(([%w_]+)%)')), sorted(first_column(part)))
  end)

  it("says which fields kazoo_subscribe knows", function()
    local source, names = read("src/kamailio/kazoo_description.c"), {}
    for _, reader in ipairs { "read_field", "read_handling", "read_queue_flags" } do
      add_all(names, source:match(reader .. "%b()%s*(%b{})"), 'IS%("([%w_-]+)"%)')
    end
    local part = assert(doc:match("\n### kazoo_subscribe.-\n(.-)\n### "))
    assert.same(sorted(names), sorted(first_column(part)))
  end)

  -- A definition takes its name from a field of either name; only `name` is told of.
  it("says which fields the definitions in it know", function()
    local source = read("src/kamailio/kazoo_description.c")
    local aliases = { exchange = true, queue = true }
    local function known(reader)
      local names = {}
      for name in source:match(reader .. "%b()%s*(%b{})"):gmatch('IS%("([%w_-]+)"%)') do
        if not aliases[name] then names[name] = true end
      end
      return sorted(names)
    end
    local function documented(field)
      local row = assert(doc:match("\n| `" .. field .. "` |[^|]*|[^|]*|([^\n]*)"), "no row " .. field)
      return row, sorted(add_all({}, row:match("^[^:]* of the") or "", "`([%w_]+)`"))
    end
    assert.same(known "read_exchange_definition", select(2, documented "exchange%-def"))
    assert.same(known "read_queue_definition", select(2, documented "queue%-def"))
    local bindings = documented "exchange%-bindings"
    assert.matches("with the fields of `exchange%-def`", bindings)
    for _, name in ipairs(known "read_source_field") do
      assert(bindings:find("'" .. name .. "':", 1, true), "exchange-bindings: " .. name)
    end
  end)

  it("has the events that the module fires, and no others of its own", function()
    local publisher, names = read("src/broker/publisher.c"), {}
    for _, file in ipairs { "event", "subscribe" } do
      add_all(names, read(("src/kamailio/kazoo_%s.c"):format(file)), '"(kazoo:[%l-]+)"')
    end
    local function add(name) names["kazoo:consumer-event-" .. name] = true end
    for what in publisher:gmatch('kb_own_event_message%([^,]+, "([%l-]+)"') do add("message-" .. what) end
    for one, other in publisher:gmatch('kb_own_event_connection%([^,]+, [^?]+ %? "([%l-]+)" : "([%l-]+)"') do
      add("connection-" .. one)
      add("connection-" .. other)
    end
    local open, closed = publisher:match('"%%s%-%%s", l%->own%.connection, open %? "(%l+)" : "(%l+)"')
    for _, name in ipairs { "publisher", "questions" } do
      add(("connection-%s-%s"):format(name, open))
      add(("connection-%s-%s"):format(name, closed))
    end
    for one, other in read("src/broker/consumer.c"):gmatch('put_event%(l, open %? "(%l+)" : "(%l+)"%)') do
      add("connection-" .. one)
      add("connection-" .. other)
    end
    local documented = {}
    for name in pairs(first_column(section(doc, "Events"))) do
      if not name:find("%u") then documented[name] = true end -- KEY and its like stand for what a payload says
    end
    assert.same(sorted(names), sorted(documented))
  end)
end)

describe("docs/nats.md", function()
  it("has the events that the module fires, and no others of its own", function()
    local names = add_all({}, read("src/kamailio/nats_event.c"), '"(nats:[%l-]+)"')
    for name in read("src/broker/nats.c"):gmatch('kb_nats_tell%(b, "([%l-]+)"%)') do names["nats:" .. name] = true end
    local documented = {}
    for name in pairs(first_column(section(read("docs/nats.md"), "Events"))) do
      if name:find("^nats:[%l-]+$") then documented[name] = true end
    end
    assert.same(sorted(names), sorted(documented))
    assert.truthy(names["nats:connected"] and names["nats:lame-duck"])
  end)
end)

describe("the documentation", function()
  local pages = { "README.md" }
  for _, name in ipairs { "architecture", "faults", "kazoo", "nats", "policies" } do
    pages[#pages + 1] = ("docs/%s.md"):format(name)
  end

  it("links to what exists", function()
    for _, page in ipairs(pages) do
      local folder = page:match("^(.*/)") or ""
      for target in read(page):gmatch("%]%(([^)#]+)[^)]*%)") do
        if not target:find("^https?:") then
          local path = folder .. target
          local exists = io.open(path)
          assert(exists, ("%s links to %s, which does not exist"):format(page, target))
          exists:close()
        end
      end
    end
  end)

  it("has no line that is too long to read, but in tables", function()
    for _, page in ipairs(pages) do
      for line in read(page):gmatch("[^\n]+") do
        local _, chars = line:gsub("[^\128-\191]", "")
        assert(line:find("^|") or chars <= 140, page .. ": " .. line)
      end
    end
  end)
end)

describe("lua/kemibus", function()
  local files = { "init", "json", "kemi", "routes", "routing_key" }

  -- LDoc: `---` begins the comment that documents what follows.
  it("says of every public function what it takes and returns", function()
    for _, name in ipairs(files) do
      local text = read(("lua/kemibus/%s.lua"):format(name))
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
