local cjson = require "cjson"
local core = require "kemibus.core"
local json = require "kemibus.json"

local text = [[{"Channels":[{"switch_url":"sip:a","n":[1,2,3]},{"switch_url":null}],"a.b":{"c":true},"":{"":7},
  "x[0]":"bracket","num":1.5,"empty":[],"off":false,"two%":"percent"}]]
local value = cjson.decode(text)

local cases = {
  { "Channels[0].switch_url", "sip:a" },
  { "Channels[1].switch_url", nil },
  { "Channels[2].switch_url", nil },
  { "Channels[0].n[2]", "3" },
  { "Channels[0].n[3]", nil },
  { "Channels[-1]", nil },
  { "Channels[x]", nil },
  { "Channels[0", nil },
  { "Channels[]", nil },
  { "Channels[00000000000000000000]", nil },
  { "Channels[999999999]", nil },
  { "a%b.c", "true" },
  { "a.b", nil },
  { "num", "1.5" },
  { "num.x", nil },
  { "num[0]", nil },
  { "off", "false" },
  { "Channels[0].n", "[1,2,3]" },
  { "missing", nil },
  { "missing.more[5]", nil },
}

describe("kemibus.json", function()
  for _, case in ipairs(cases) do
    it("reads " .. case[1] .. " as the modules do", function()
      assert.equal(case[2], json.text(json.get(value, case[1])))
      assert.equal(case[2], (core.get(text, case[1])))
    end)
  end

  it("gives the value itself for an empty path", function() assert.equal(value, json.get(value, "")) end)

  it("takes another escape", function()
    assert.is_true(json.get(value, "a#b.c", "#"))
    assert.is_true(json.get(value, "a^b.c", "^"))
    assert.is_nil(json.get(value, "a%b.c", "#"))
  end)

  it("counts the items of arrays only", function()
    for path, n in pairs({ Channels = 2, ["Channels[0].n"] = 3, empty = 0, num = 0, missing = 0, ["a%b"] = 0 }) do
      assert.equal(n, json.count(value, path))
      assert.equal(n, core.count(text, path))
    end
  end)

  it("writes null as nothing", function()
    assert.is_nil(json.text(nil))
    assert.is_nil(json.text(cjson.null))
  end)

  for _, number in ipairs {
    "0", "7", "-42", "123456789012345", "1733000000123456", "-1733000000123456", "9007199254740991", "1.5", "0.1", "-2.25",
  } do
    it("writes the number " .. number .. " as it was written", function()
      assert.equal(number, json.text(json.get(cjson.decode("[" .. number .. "]"), "[0]")))
    end)
  end

  it("writes numbers that a Lua number cannot hold with 14 digits", function()
    assert.equal("9.007199254741e+15", json.text(cjson.decode("[9007199254740992]")[1]))
    assert.equal("1e+20", json.text(cjson.decode("[100000000000000000000]")[1]))
    assert.equal("0.33333333333333", json.text(1 / 3))
  end)

  it("writes a value that is not a JSON number as nothing", function()
    assert.is_nil(json.text(cjson.decode("[1e999]")))
    for _, number in ipairs { 1e999, -1e999, 0 / 0 } do
      assert.is_nil(json.text(number))
      assert.is_nil(json.text({ number }))
    end
  end)

  it("cannot tell an empty array from an empty object, as core.get can", function()
    assert.equal("{}", json.text(cjson.decode("[]")))
    assert.equal("{}", json.text(cjson.decode("{}")))
    assert.equal("[]", (core.get('{"a":[]}', "a")))
  end)

  it("accepts values that are not tables", function()
    for _, scalar in ipairs({ "x", 5, true, cjson.null }) do assert.is_nil(json.get(scalar, "a")) end
  end)

  it("refuses wrong arguments", function()
    assert.error_matches(function() json.get({}, nil) end, "the path must be a string")
    assert.error_matches(function() json.get({}, "a", "ab") end, "one character")
    assert.error_matches(function() json.get({}, "a", "x") end, "one character of punctuation")
  end)
end)
