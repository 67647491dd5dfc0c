-- spec/fault/run, shortened, for the faults that kazoo/faults_spec.lua and nats/fault_spec.lua do not have.
local files = require "support.files"

local function has_line(output, title, verdict)
  for line in output:gmatch("[^\n]+") do
    if line:find(title, 1, true) == 1 and line:find(verdict, 1, true) then return true end
  end
  return false
end

-- Each fault has a line that begins so and says ok. A call that waits for a broker takes as long as the fault, seconds; so
-- much time a machine that is shared with others may take from any call. Of the 5 ms, kazoo/faults_spec.lua makes sure.
local CALL_MS = 500

local function finds_all_well(arguments, titles)
  local output, _, status = files.run(("spec/fault/run --call %d %s"):format(CALL_MS, arguments))
  print(output)
  assert.equal(0, status)
  for _, title in ipairs(titles) do assert.is_true(has_line(output, title, "  ok"), title) end
end

describe("spec/fault/run", function()
  it("finds nothing lost, nothing out of order and no slow call", function()
    finds_all_well("--seconds 5 reset half_open quorum2 worker", {
      "connections reset", "half-open", "quorum queue, 2 nodes", "worker killed",
    })
  end)

  it("finds the same over NATS, except for what core NATS may lose with a process that dies", function()
    finds_all_well("--seconds 4 nats_killed js_killed nats_reset js_reset js_leader_ours nats_group js_durable", {
      "nats-server killed, back after 2 s: nats_publish", "nats-server killed, back after 2 s: nats_js_publish",
      "connections reset every second: nats_publish", "connections reset every second: nats_js_publish",
      "3 nodes, the leader", "one of two Kamailios of a queue group", "one of two Kamailios of a durable consumer",
    })
  end)

  it("finds nothing lost over NATS on a link that loses all packets", function()
    finds_all_well("--seconds 7 nats_half_open js_half_open js_durable_half_open", {
      "half-open, no packet for 6 s: nats_publish", "half-open, no packet for 6 s: nats_js_publish",
      "half-open, no packet for 6 s: a durable consumer",
    })
  end)

  it("finds no loss over JetStream when its server is frozen", function()
    finds_all_well("--seconds 7 js_frozen", { "nats-server frozen for 6 s: nats_js_publish" })
  end)

  it("refuses an unknown fault", function()
    local output, _, status = files.run("spec/fault/run earthquake")
    assert.equal(2, status)
    assert.matches("what is earthquake%?", output)
  end)
end)
