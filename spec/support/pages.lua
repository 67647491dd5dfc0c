-- The pages of the documentation, and what stands where in them.
local pages = {}

local function lines_of(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

function pages.read(path)
  local file = assert(io.open(path, "r"), path .. ": run from the top folder")
  local text = file:read("*a")
  file:close()
  return text
end

function pages.exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- Every page that a reader may open.
function pages.all()
  return lines_of("ls README.md CHANGELOG.md && find docs -name '*.md' | sort")
end

-- Names of the pages in a folder, without their ending.
function pages.names(folder)
  local names = {}
  for _, file in ipairs(lines_of(("find %s -name '*.md' 2>/dev/null"):format(folder))) do
    names[file:match("([^/]+)%.md$")] = true
  end
  return names
end

-- The part from a heading of the second level to the next one.
function pages.section(text, title)
  return ("\n" .. text .. "\n## "):match("\n## " .. title .. "\n(.-)\n## ")
end

-- "- Type: integer" and its like before the first section, as a table by what stands before the colon.
function pages.facts(text)
  local facts = {}
  for key, value in ("\n" .. text:gsub("\n## .*", "")):gmatch("\n%- (%u[%l ]+): ([^\n]+)") do facts[key] = value end
  return facts
end

-- Each call in a block of code: name and number of parameters.
function pages.calls(block, pattern)
  local calls = {}
  for name, list in ("\n" .. block):gmatch("\n    (" .. pattern .. ")(%b())") do
    calls[#calls + 1] = { name = name, arity = list == "()" and 0 or select(2, list:gsub(",", "")) + 1 }
  end
  return calls
end

-- Every block of code of a page: its text without the indentation, and the number of its first line.
function pages.code_blocks(text)
  local blocks, block, number, after_blank = {}, nil, 0, true
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    local code = line:match("^    (.*)$")
    if code and (block or after_blank) then
      if not block then
        block = { line = number, text = "" }
        blocks[#blocks + 1] = block
      end
      block.text = block.text .. code .. "\n"
    elseif block and line == "" then
      block.text = block.text .. "\n"
    else
      block = nil
    end
    after_blank = line == ""
  end
  return blocks
end

-- The block of code that follows the title.
function pages.first_code(text)
  return text:match("^# [^\n]+\n\n(    .-)\n\n") or ""
end

-- The names in backquotes in the first column of the tables.
function pages.first_column(text)
  local names = {}
  for cell in ("\n" .. text):gmatch("\n| ([^|]*) |") do
    for name in cell:gmatch("`([^`]+)`") do names[name] = true end
  end
  return names
end

-- Of tables whose rows begin with [`label`](folder/page.md): page and label.
function pages.index(text, folder)
  local rows = {}
  for label, page in text:gmatch("\n| %[`([^`]+)`%]%(" .. folder .. "/([^)]+)%.md%)") do rows[page] = label end
  return rows
end

-- As GitHub makes them of headings.
function pages.anchors(text)
  local anchors = {}
  for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do
    local anchor = heading:lower():gsub("%[([^%]]*)%]%b()", "%1"):gsub("[^%w%s_-]", ""):gsub(" ", "-")
    anchors[anchor] = true
  end
  return anchors
end

-- Where the links of a page lead: path and anchor, each perhaps nil. Code is not looked at.
function pages.links(path)
  local links, folder = {}, path:match("^(.*/)") or ""
  local text = ("\n" .. pages.read(path)):gsub("\n    [^\n]*", "\n"):gsub("`[^`\n]*`", "`")
  for target in text:gmatch("%]%(([^)]+)%)") do
    if not target:find("^https?:") then
      local file, anchor = target:match("^([^#]*)#?(.*)$")
      local full = file == "" and path or folder .. file
      repeat
        local shorter = full:gsub("[^/]+/%.%./", "", 1)
        local done = shorter == full
        full = shorter
      until done
      links[#links + 1] = { target = target, path = full, anchor = anchor ~= "" and anchor or nil }
    end
  end
  return links
end

return pages
