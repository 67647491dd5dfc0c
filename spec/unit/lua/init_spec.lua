describe("kemibus", function()
  local kemibus = require "kemibus"

  it("loads its parts when they are first used", function()
    for _, name in ipairs({ "core", "json", "kemi", "routes", "routing_key" }) do
      assert.equal(require("kemibus." .. name), kemibus[name])
    end
  end)

  it("has nothing else", function() assert.is_nil(kemibus.nothing) end)
end)
