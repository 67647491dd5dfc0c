-- The glossary of docs/architecture.md, as a list of the words that it has replaced, and where they still stand.
local pages = require "support.pages"

local words = {}

-- Lua patterns for whole words, in lower case, and what to write instead. A blank stands for any white space.
words.old = {
  { "questions?", "request" },
  { "answers?", "reply" },
  { "answered", "replied to, or: that received its reply" },
  { "answering", "replying" },
  { "asks?", "request, send a request, want, require" },
  { "asked", "requested, sent, required" },
  { "asking", "requesting, sending requests" },
  { "anew", "again; reloaded" },
  { "there is none of", "none found, tried: ..." },
  { "no part of", "not a part of, unknown" },
  { "for nobody", "unmatched" },
  { "under way", "in flight" },
  { "on their way", "in flight" },
  { "on its way", "in flight" },
  { "whoever", "who it is: the application, every user, ..." },
  { "fell", "ended" },
  { "the connection stands", "the connection is open" },
  { "the subscription stands", "the subscription is active" },
  { "is no %a+", "is not a", except = { "longer", "more", "need" } },
  { "are no %a+", "are not", except = { "longer", "more" } },
}

-- -- texts without what is exempt; lines stay where they are --

local function blank(text) return (text:gsub("[^\n]", " ")) end

-- Prose of a page: no code, no targets of links.
function words.prose(text)
  local lines = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  for _, block in ipairs(pages.code_blocks(text)) do
    local number = block.line
    for _ in block.text:gmatch("\n") do
      lines[number] = ""
      number = number + 1
    end
  end
  return (table.concat(lines, "\n"):gsub("`[^`\n]*`", blank):gsub("%]%b()", blank):gsub("<[^<>\n]*>", blank))
end

local function end_of_string(text, at, quote)
  local last = at + 1
  while last < #text and text:sub(last, last) ~= quote do last = last + (text:sub(last, last) == "\\" and 2 or 1) end
  return last
end

local function end_of_comment(text, at, comments)
  for _, pattern in ipairs(comments) do
    local _, last = text:find("^" .. pattern, at)
    if last then return last end
  end
  return at
end

-- The strings of a source that say something: those with a blank in them. comments: the character that begins one, and
-- patterns for all of one.
local function strings(text, comments)
  local out, at = {}, 1
  while at <= #text do
    local first = text:find("[\"'" .. comments.begin .. "]", at) or #text + 1
    out[#out + 1] = blank(text:sub(at, first - 1))
    local quote = text:match("^[\"']", first)
    local last = quote and end_of_string(text, first, quote) or end_of_comment(text, first, comments)
    local piece = text:sub(first, last)
    out[#out + 1] = quote and piece:find(" ", 1, true) and piece:gsub("\\[nt]", "  ") or blank(piece)
    at = last + 1
  end
  return table.concat(out)
end

function words.of_c(text) return strings(text, { begin = "/", "//[^\n]*", "/%*.-%*/" }) end

function words.of_lua(text) return strings(text, { begin = "-", "%-%-[^\n]*" }) end

-- -- looking --

local function is_exempt(found, except)
  for _, word in ipairs(except or {}) do
    if found:find("%f[%a]" .. word .. "$") then return true end
  end
end

-- "there is no route" is good English.
local function follows_there(text, at) return text:sub(1, at - 1):find("%f[%a]there%s+$") ~= nil end

-- Adds "path:line: the old word -> what to write" to the list for each.
function words.look(path, text, list)
  local lower = text:lower()
  for _, old in ipairs(words.old) do
    local pattern, from = "%f[%w_]" .. old[1]:gsub(" ", "%%s+") .. "%f[^%w_]", 1
    while true do
      local first, last = lower:find(pattern, from)
      if not first then break end
      local found = lower:sub(first, last):gsub("%s+", " ")
      if not is_exempt(found, old.except) and not (old.except and follows_there(lower, first)) then
        local line = select(2, text:sub(1, first):gsub("\n", "")) + 1
        list[#list + 1] = ("%s:%d: %s -> %s"):format(path, line, found, old[2])
      end
      from = last + 1
    end
  end
end

return words
