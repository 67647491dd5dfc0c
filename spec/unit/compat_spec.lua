-- What spec/compat stands on.
local canonical = require "compat.canonical"
local collector = require "compat.collector"
local meant = require "compat.meant"
local pages = require "support.pages"
local random = require "compat.random"

describe("docs/compat.md", function()
  it("has the differences that spec/compat takes as meant, and no other", function()
    local listed = {}
    for name in pages.read("docs/compat.md"):gmatch("\n## ([%w%-]+)") do
      assert.is_not_nil(meant.by_name[name], name)
      listed[name] = true
    end
    for _, entry in ipairs(meant.list) do assert.is_true(listed[entry.name], entry.name) end
  end)
end)

describe("compat.random", function()
  it("makes the same of the same seed, and something else of another", function()
    local function some(seed)
      local r, list = random.new(seed, "x"), {}
      for i = 1, 20 do list[i] = r:number(1, 1000) end
      return list
    end
    assert.same(some(1), some(1))
    assert.are_not.same(some(1), some(2))
  end)

  it("stays within its bounds", function()
    local r = random.new(7, "bounds")
    for _ = 1, 1000 do
      local n = r:number(3, 5)
      assert.is_true(n >= 3 and n <= 5)
    end
  end)
end)

describe("compat.canonical", function()
  local function of(text) return canonical.write(canonical.parse(text)) end

  it("has one text for all ways to write the same", function()
    assert.equal('{"a":[1,"x/y"],"b":null}', of ' { "b" : null, "a":[ 1 , "x\\/y" ] } ')
    assert.equal(of '"\226\130\172\240\159\152\128"', of '"\\u20ac\\ud83d\\ude00"')
  end)

  it("keeps numbers as they are written", function() assert.equal("[1.0,1e3,-0]", of "[1.0, 1e3, -0]") end)

  it("refuses what is not strict JSON", function()
    for _, text in ipairs { "", "{", "{'a':1}", "[1,]", '{"a":1}x', '{"a"}',
      "{,}" } do assert.is_nil(canonical.parse(text), text) end
  end)
end)

describe("compat.collector", function()
  local none = { of = function() return nil end }

  local function differs(payload)
    return payload:find("x", 1, true) and { stock = "1", ours = "2" } or nil
  end

  it("makes the case of a difference as small as it can be", function()
    local found = collector.new(none)
    found:difference {
      part = "p", kind = "k", stock = "1", ours = "2", case = { payload = '{"a":"x","b":[1,2,3]}', path = "" },
      again = function(case) return differs(case.payload) end,
    }
    assert.equal("x", found.order[1].case.payload)
  end)

  it("has one entry for all differences of a kind, and counts them", function()
    local found = collector.new(none)
    for i = 1, 3 do found:difference { part = "p", kind = "k", stock = "1", ours = "2",
      case = { payload = ("x"):rep(4 - i) } } end
    assert.equal(1, #found.order)
    assert.equal(3, found.order[1].count)
    assert.equal("x", found.order[1].case.payload)
  end)

  it("sets those apart that are meant", function()
    local found = collector.new { of = function() return "on-purpose" end }
    found:difference { part = "p", kind = "k", stock = "1", ours = "2", case = { payload = "" } }
    assert.equal(0, found.total)
    assert.equal(1, found.meant["on-purpose"])
  end)
end)
