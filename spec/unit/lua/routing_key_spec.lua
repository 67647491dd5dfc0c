local core = require "kemibus.core"
local routing_key = require "kemibus.routing_key"

describe("kemibus.routing_key", function()
  for word, wanted in pairs({
    [""] = "",
    ["abcXYZ019-_~"] = "abcXYZ019-_~",
    ["example.com"] = "example%2Ecom",
    ["a b"] = "a+b",
    ["sip:1@h;x=1"] = "sip%3A1%40h%3Bx%3D1",
    ["#"] = "#",
    ["*"] = "*",
    ["##"] = "%23%23",
    ["a*"] = "a%2A",
    ["%"] = "%25",
    ["é"] = "%C3%A9",
    ["\0\255"] = "%00%FF",
  }) do
    it(("encodes %q"):format(word), function() assert.equal(wanted, routing_key.encode(word)) end)
  end

  it("does what the modules do, for every pair of bytes", function()
    for a = 0, 255 do
      local row = {}
      for b = 0, 255 do row[b + 1] = string.char(a, b) end
      local word = table.concat(row)
      assert.equal(core.encode(word), routing_key.encode(word))
      assert.equal(core.encode(string.char(a)), routing_key.encode(string.char(a)))
    end
  end)

  it("refuses a value that is not a string", function()
    assert.error_matches(function() routing_key.encode(nil) end, "a string is needed, not nil")
    assert.error_matches(function() routing_key.encode(5) end, "a string is needed, not number")
  end)
end)
