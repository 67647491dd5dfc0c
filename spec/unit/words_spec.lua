-- One word for one thing: what operators read holds to the glossary of docs/architecture.md.
local pages = require "support.pages"
local words = require "support.words"

local function files(command)
  local list, pipe = {}, assert(io.popen(command))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  assert(#list > 0, command .. ": nothing found")
  return list
end

local function assert_clean(paths, text_of)
  local found = {}
  for _, path in ipairs(paths) do words.look(path, text_of(pages.read(path)), found) end
  assert(#found == 0, ("%d old words:\n%s"):format(#found, table.concat(found, "\n")))
end

local function found_in(text)
  local found = {}
  words.look("x", text, found)
  return found
end

describe("The glossary", function()
  it("is kept by log lines, error texts and descriptions of statistics", function()
    assert_clean(files "find src -name '*.[ch]' | sort", words.of_c)
  end)

  it("is kept by what Lua code says", function()
    assert_clean(files "find lua src/policy -name '*.lua' | sort", words.of_lua)
  end)

  it("is kept by the documentation", function()
    assert_clean(files "echo README.md; find docs -name '*.md' | sort", words.prose)
  end)
end)

describe("The search for old words", function()
  it("finds a word with its line, and says what to write", function()
    assert.same({ "x:2: question -> request" }, found_in("one\ntwo Question two"))
    assert.same({ "x:1: under way -> in flight" }, found_in("all of them under\nway"))
  end)

  it("leaves longer words and names alone", function()
    assert.same({}, found_in("questionable unanswered answers_unmatched queries_answered masks basket"))
  end)

  it("tells a bad negation from a good one", function()
    assert.same({ "x:1: is no number -> is not a" }, found_in("it is no number"))
    assert.same({}, found_in("there is no number, it is no longer there, they are no more"))
  end)

  it("does not look at code of a page", function()
    assert.same({}, found_in(words.prose("`answer` [page](answers.md)\n\n    ask()\n    answer()\n\nend")))
    assert.same({ "x:5: ask -> " .. "request, send a request, want, require" },
      found_in(words.prose("see\n\n    answer()\n\nask `answer`")))
  end)

  it("looks at strings of sources that say something, and not at comments", function()
    assert.same({ "x:2: anew -> again; reloaded" },
      found_in(words.of_c('/* an "answer it" */ f("answer");\ng("loaded \\"anew\\"\\n"); // "the question"')))
    assert.same({ "x:2: whoever -> who it is: the application, every user, ..." },
      found_in(words.of_lua('f("ask") -- "the question"\nerror("whoever \'it\' is")')))
  end)
end)
