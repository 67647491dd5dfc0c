-- What the quickstart writes: titles, who sent what to whom, JSON.
local show = {}

local coloured = (os.getenv("QUICKSTART_COLOUR") or "") ~= ""
local codes = { bold = "1", dim = "2", green = "32" }

local function paint(code, text)
  if not coloured then return text end
  return ("\27[%sm%s\27[0m"):format(codes[code], text)
end

local function line(text)
  io.stdout:write(text, "\n")
  io.stdout:flush()
end

function show.title(text)
  line("\n" .. paint("bold", text))
end

function show.server(name, address, seconds, note)
  line(("  %-12s %-38s %4.1f s  %s"):format(name, address, seconds, paint("dim", note or "")))
end

function show.arrow(from, to, what)
  line(("  %-9s -> %-9s %s"):format(from, to, what))
end

local indent = (" "):rep(25)

-- The members of a flat object as they stand in the text, one string each: `"key":value`.
local function members(text)
  local inner = text:match("^%s*{(.*)}%s*$")
  if not inner then return nil end
  local list = {}
  for member in (inner:gsub(',"', '\0"') .. "\0"):gmatch("(%Z+)%z") do list[#list + 1] = member end
  return list
end

-- A flat JSON object, a member a line; those named in `apart` come last, under a remark.
function show.json(text, remark, apart)
  local list, is_apart, last = members(text), {}, {}
  if not list then return line(indent .. text) end
  for _, name in ipairs(apart or {}) do is_apart[name] = true end
  for _, member in ipairs(list) do
    local pretty = indent .. member:gsub('^("[^"]*"):', "%1: ")
    if is_apart[member:match('^"([^"]*)"')] then
      last[#last + 1] = pretty
    else
      line(paint("green", pretty))
    end
  end
  if #last == 0 then return end
  line(paint("dim", indent .. "-- " .. remark))
  for _, pretty in ipairs(last) do line(paint("dim", pretty)) end
end

function show.block(text)
  line((("\n" .. text):gsub("\n([^\n])", "\n  %1")))
end

return show
