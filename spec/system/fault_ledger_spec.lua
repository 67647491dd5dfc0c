-- spec/fault/run, shortened, for the faults that kazoo_faults_spec.lua does not have.
local files = require "support.files"

local function has_line(output, title, verdict)
  for line in output:gmatch("[^\n]+") do
    if line:find(title, 1, true) == 1 and line:find(verdict, 1, true) then return true end
  end
  return false
end

describe("spec/fault/run", function()
  it("finds nothing lost, nothing out of order and no slow call", function()
    local output, _, status = files.run("spec/fault/run --seconds 5 reset half_open quorum2 worker")
    print(output)
    assert.equal(0, status)
    for _, title in ipairs { "connections reset", "half-open", "quorum queue, 2 nodes", "worker killed" } do
      assert.is_true(has_line(output, title, "  ok"), title)
    end
  end)

  it("refuses what it does not know", function()
    local output, _, status = files.run("spec/fault/run earthquake")
    assert.equal(2, status)
    assert.matches("what is earthquake%?", output)
  end)
end)
