-- spec/compat/run, shortened: the same configuration on Debian's modules and on ours. Which differences there are is for
-- spec/compat/run to say, as long as docs/compat.md has a list of open ones.
local pair = require "compat.pair"
local suite = require "compat.suite"

describe("A configuration for Debian's modules", function()
  teardown(pair.stop_brokers)

  it("gets a reply from ours in 500 made-up cases, those that kill Debian's among them", function()
    local found = suite.run { cases = 500, seed = 1, parts = suite.parts }
    local text = suite.report(found, suite.parts)
    print(text)
    assert.is_falsy(found.ours_died, text)
  end)
end)
