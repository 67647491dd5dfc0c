-- spec/compat/run, shortened: the same configuration on Debian's modules and on ours.
local pair = require "compat.pair"
local suite = require "compat.suite"

describe("A configuration for Debian's modules", function()
  teardown(pair.stop_brokers)

  it("does the same with ours in 500 made-up cases, but for what docs/compat.md has", function()
    local found = suite.run { cases = 500, seed = 1, parts = suite.parts }
    local text, well = suite.report(found, suite.parts)
    print(text)
    assert(well, text)
  end)
end)
