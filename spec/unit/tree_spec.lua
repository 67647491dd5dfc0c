-- The tree under src/ tells where a function lives: its name begins with those of its folder and file, its header is that
-- of its file, and files do not need each other in a circle. No file of the project, specs among them, is too long.
local MAX_LINES = 400

-- What names of public functions begin with, by folder; the name of the file follows.
local prefixes = {
  core = "kb_",
  net = "kb_",
  bus = "kb_",
  amqp = "kb_amqp_",
  nats = "kb_nats_",
  policy = "kb_",
  rock = "kb_rock_",
  ["kamailio/glue"] = "kb_",
  ["kamailio/kazoo"] = "kz_",
  ["kamailio/nats"] = "kn_",
}

-- Functions that are named or declared otherwise, by file, with the reason.
local exceptions = {
  ["kamailio/kazoo/module.c"] = { mod_register = "the core finds it by this name" },
  ["kamailio/nats/module.c"] = { mod_register = "the core finds it by this name" },
  ["rock/core.c"] = { luaopen_kemibus_core = "Lua finds it by this name" },
}

local function is_exception(path, name) return exceptions[path] ~= nil and exceptions[path][name] ~= nil end

local function read(path)
  local file = assert(io.open(path, "r"), path .. ": run from the top folder")
  local text = file:read("*a")
  file:close()
  return text
end

-- C without comments, and with nothing in its texts.
local function bare(text)
  local parts, at = {}, 1
  local ends = { ["/*"] = "%*/", ["//"] = "\n", ['"'] = '"', ["'"] = "'" }
  while true do
    local first = text:find("[/\"']", at)
    if not first then break end
    local mark = text:match("^/[*/]", first) or text:match("^[\"']", first)
    parts[#parts + 1] = text:sub(at, first - 1)
    if not mark then
      parts[#parts + 1] = "/"
      at = first + 1
    else
      local from, last = first + #mark
      repeat
        local start, stop = text:find(ends[mark], from)
        last, from = stop, stop + 1
        local escapes = #text:sub(1, start - 1):match("\\*$")
      until #mark == 2 or escapes % 2 == 0
      parts[#parts + 1] = mark == "//" and "\n" or #mark == 1 and mark .. mark or ""
      at = last + 1
    end
  end
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts)
end

local function without_preprocessor(text) return (text:gsub("\\\n", " "):gsub("%f[^\n%z]%s*#[^\n]*", "")) end

-- The functions that a file declares (";") or defines ("{"), static ones left out unless they are inline in a header.
local function functions_of(text)
  local declared, defined = {}, {}
  text = without_preprocessor(text):gsub("%b{}", "{}"):gsub("__attribute__%s*%b()", "")
  for statement, last in text:gmatch("([^;{}]*)([;{])") do
    local before, name = statement:match("^%s*(.-)%f[%w_]([%l_][%w_]*)%s*%b()%s*$")
    local is_function = name and before:find("%w") and not before:find("[=()]") and not before:find("typedef")
    local is_static = is_function and before:find("%f[%w_]static%f[^%w_]")
    if is_function and not is_static then (last == ";" and declared or defined)[name] = true end
    if is_static and before:find("%f[%w_]inline%f[^%w_]") then declared[name] = "inline" end
  end
  return declared, defined
end

local function includes_of(text)
  local found = {}
  for path in text:gmatch('#include "([^"]+)"') do found[#found + 1] = path end
  return found
end

-- What `find` prints, a list.
local function find(arguments)
  local list, pipe = {}, assert(io.popen("find " .. arguments .. " | sort"))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function load_tree()
  local files = {}
  for _, line in ipairs(find "src -name '*.[ch]'") do
    local path = line:match("^src/(.*)")
    local raw = read("src/" .. path)
    local text = bare(raw)
    local declared, defined = functions_of(text)
    files[path] = {
      folder = path:match("^(.*)/"),
      name = path:match("([^/]+)%.[ch]$"),
      is_header = path:find("%.h$") ~= nil,
      text = text,
      declared = declared,
      defined = defined,
      includes = includes_of(raw),
    }
  end
  return files
end

local files = load_tree()

local function sorted_paths()
  local list = {}
  for path in pairs(files) do list[#list + 1] = path end
  table.sort(list)
  return list
end

local function check(complaints) assert.equal("", table.concat(complaints, "\n")) end

-- A name in singular and plural: replies is also reply, message is also messages.
local function forms(name)
  local list = { name, name .. "s" }
  if name:find("ies$") then list[#list + 1] = name:gsub("ies$", "y") end
  if name:find("y$") then list[#list + 1] = name:gsub("y$", "ies") end
  if name:find("s$") then list[#list + 1] = name:sub(1, -2) end
  if name:find("es$") then list[#list + 1] = name:sub(1, -3) end
  return list
end

local function is_named_after(func, file)
  local prefix = prefixes[file.folder]
  for _, form in ipairs(forms(file.name)) do
    for _, full in ipairs { prefix .. form, prefix:sub(1, -2) == "kb_" .. form and "kb_" .. form or nil } do
      if func:sub(1, #full) == full and not func:sub(#full + 1):find("^%l") then return true end
    end
  end
  return false
end

-- The strongly connected parts of a graph that have more than one node (Tarjan's algorithm); edges[from][to] = reason.
local function circles(edges)
  local index, low, stack, on_stack, count, found = {}, {}, {}, {}, 0, {}
  local function visit(node)
    count = count + 1
    index[node], low[node] = count, count
    stack[#stack + 1], on_stack[node] = node, true
    for to in pairs(edges[node] or {}) do
      if not index[to] then
        visit(to)
        low[node] = math.min(low[node], low[to])
      elseif on_stack[to] then
        low[node] = math.min(low[node], index[to])
      end
    end
    if low[node] ~= index[node] then return end
    local part = {}
    repeat
      local member = table.remove(stack)
      on_stack[member] = nil
      part[#part + 1] = member
    until member == node
    if #part > 1 then found[#found + 1] = part end
  end
  for _, node in ipairs(sorted_paths()) do if not index[node] then visit(node) end end
  return found
end

local function describe_circle(part, edges)
  local inside, reasons = {}, {}
  table.sort(part)
  for _, node in ipairs(part) do inside[node] = true end
  for _, node in ipairs(part) do
    for to, reason in pairs(edges[node] or {}) do
      if inside[to] then reasons[#reasons + 1] = ("  %s needs %s: %s"):format(node, to, reason) end
    end
  end
  table.sort(reasons)
  return "a circle:\n" .. table.concat(reasons, "\n")
end

local function check_circles(edges)
  local complaints = {}
  for _, part in ipairs(circles(edges)) do complaints[#complaints + 1] = describe_circle(part, edges) end
  check(complaints)
end

-- What the spec sees is what the compiler sees: a function of each kind is found.
describe("the spec of the tree", function()
  it("finds the functions of a header", function()
    local declared = functions_of(bare [[
/* int no(void); */
#define MACRO(x) call(x)
struct s { int (*callback)(int); };
const char *kb_a_text(const char *what, bool (*each)(void *)); // said so
static inline int kb_a_small(int n) { return other(n) + '"'; }
int kb_a_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern struct s kb_a_table;
]])
    assert.same({ kb_a_text = true, kb_a_small = "inline", kb_a_print = true }, declared)
  end)

  it("finds the functions of a source file", function()
    local _, defined = functions_of(bare "static int a(void)\n{\n\tb();\n}\n\nvoid kb_a_go(int n)\n{\n\tif (n) {\n\t}\n}\n")
    assert.same({ kb_a_go = true }, defined)
  end)

  it("finds circles", function()
    local paths = sorted_paths()
    local a, b, c = paths[1], paths[2], paths[3]
    assert.equal(1, #circles { [a] = { [b] = "x" }, [b] = { [a] = "y", [c] = "z" } })
    assert.equal(0, #circles { [a] = { [b] = "x", [c] = "y" }, [b] = { [c] = "z" } })
  end)
end)

describe("the project", function()
  it("has no file that is too long", function()
    local complaints = {}
    for _, path in ipairs(find "src lua spec examples tools -type f ! -path '*/corpus/*'") do
      local lines = select(2, read(path):gsub("\n", ""))
      if lines > MAX_LINES then complaints[#complaints + 1] = ("%s has %d lines"):format(path, lines) end
    end
    check(complaints)
  end)
end)

describe("src", function()
  it("has a prefix for each folder", function()
    for _, path in ipairs(sorted_paths()) do assert.truthy(prefixes[files[path].folder], path) end
  end)

  it("names public functions after their folder and file", function()
    local complaints = {}
    for _, path in ipairs(sorted_paths()) do
      local file, names = files[path], {}
      for name in pairs(file.is_header and file.declared or file.defined) do
        if not is_exception(path, name) and not is_named_after(name, file) then names[#names + 1] = name end
      end
      table.sort(names)
      for _, name in ipairs(names) do complaints[#complaints + 1] = ("%s: %s"):format(path, name) end
    end
    check(complaints)
  end)

  it("declares functions in the header of their file and nowhere else", function()
    local complaints = {}
    for _, path in ipairs(sorted_paths()) do
      local file = files[path]
      local other = files[path:gsub("%.[ch]$", file.is_header and ".c" or ".h")]
      for name, how in pairs(file.is_header and file.declared or {}) do
        if how ~= "inline" and not (other and other.defined[name]) then
          complaints[#complaints + 1] = ("%s declares %s, which its .c file does not define"):format(path, name)
        end
      end
      for name in pairs(file.is_header and {} or file.defined) do
        if not is_exception(path, name) and not (other and other.declared[name]) then
          complaints[#complaints + 1] = ("%s defines %s, which its header does not declare"):format(path, name)
        end
      end
    end
    table.sort(complaints)
    check(complaints)
  end)

  it("has no headers that include each other in a circle", function()
    local edges = {}
    for path, file in pairs(files) do
      edges[path] = {}
      for _, included in ipairs(file.is_header and file.includes or {}) do edges[path][included] = "#include" end
    end
    check_circles(edges)
  end)

  it("has no files of one folder that call each other in a circle", function()
    local home, edges = {}, {}
    for path, file in pairs(files) do
      for name in pairs(file.defined) do home[name] = path end
    end
    for path, file in pairs(files) do
      edges[path] = {}
      for name in (file.is_header and "" or file.text):gmatch("%f[%w_]k[bnz]_[%w_]+") do
        local to = home[name]
        if to and to ~= path and files[to].folder == file.folder then edges[path][to] = name end
      end
    end
    check_circles(edges)
  end)
end)
