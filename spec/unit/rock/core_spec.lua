-- The rest of the rock's C module: headers, ids, arguments.
local core = require "kemibus.core"

describe("kemibus.core", function()
  describe("headers", function()
    for text, wanted in pairs({
      [""] = {},
      [" ; ;"] = {},
      ["k=v"] = { { "k", "v" } },
      ["k=v;k2=v2"] = { { "k", "v" }, { "k2", "v2" } },
      [" k = v ; k2 = v2; "] = { { "k", "v" }, { "k2", "v2" } },
      ["k="] = { { "k", "" } },
      ["k=a=b"] = { { "k", "a=b" } },
      ["k=v;k=w"] = { { "k", "v" }, { "k", "w" } },
      ["k=\0"] = { { "k", "\0" } },
    }) do
      it(("reads %q"):format(text), function() assert.same(wanted, core.headers(text)) end)
    end

    it("names the part that is not a header", function()
      assert.same({ nil, "no name and = in: 2048" }, { core.headers("2048") })
      assert.same({ nil, "no name and = in: b" }, { core.headers("a=1; b ;c=2") })
      assert.same({ nil, "no name and = in: =v" }, { core.headers("=v") })
    end)
  end)

  describe("uuid", function()
    it("is random, of version 4", function()
      local seen = {}
      for _ = 1, 100 do
        local id = core.uuid()
        assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", id)
        assert.is_nil(seen[id])
        seen[id] = true
      end
    end)
  end)

  it("raises for arguments of the wrong type", function()
    for _, call in ipairs({
      function() core.get({}, "a") end,
      function() core.get("{}", nil) end,
      function() core.get("{}", "a", "") end,
      function() core.get("{}", "a", "ab") end,
      function() core.count(nil, "a") end,
      function() core.keys() end,
      function() core.quote({}) end,
      function() core.encode(nil) end,
      function() core.headers({}) end,
      function() core.ring("x") end,
      function() core.ring(0) end,
      function() core.ring(2 ^ 40) end,
    }) do
      assert.has_error(call)
    end
  end)
end)
