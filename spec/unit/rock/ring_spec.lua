-- src/core/ring.c, both sides in one process.
local core = require "kemibus.core"

describe("kemibus.core ring", function()
  local ring

  before_each(function() ring = core.ring(4096) end)
  after_each(function() ring:close() end)

  it("starts empty", function()
    assert.is_true(ring:empty())
    assert.equal(0, ring:used())
    assert.is_nil(ring:next())
    assert.is_nil(ring:harvest())
    assert.equal(2048 - 8, ring:record_max())
  end)

  it("carries records in order and their outcomes back", function()
    for i = 1, 5 do assert.is_true(ring:put("record " .. i)) end
    local handles = {}
    for i = 1, 5 do
      local bytes, handle = ring:next()
      assert.equal("record " .. i, bytes)
      handles[i] = handle
    end
    assert.is_nil(ring:next())
    for _, i in ipairs({ 3, 1, 2, 5 }) do ring:settle(handles[i], i == 3 and "rejected" or "done") end
    assert.same({ "record 1", "done" }, { ring:harvest() })
    assert.same({ "record 2", "done" }, { ring:harvest() })
    assert.same({ "record 3", "rejected" }, { ring:harvest() })
    assert.is_nil(ring:harvest())
    ring:settle(handles[4], "requeue")
    assert.same({ "record 4", "requeue" }, { ring:harvest() })
    assert.same({ "record 5", "done" }, { ring:harvest() })
    assert.is_nil(ring:harvest())
    assert.is_true(ring:empty())
  end)

  it("carries any bytes, and none", function()
    for _, bytes in ipairs({ "", "\0", ("\255"):rep(1001), "x" }) do
      assert.is_true(ring:put(bytes))
      local got, handle = ring:next()
      assert.equal(bytes, got)
      ring:settle(handle, "done")
    end
  end)

  it("is bounded", function()
    local n = 0
    while ring:put(("x"):rep(100)) do n = n + 1 end
    assert.equal(math.floor(4096 / 112), n)
    assert.is_false(ring:put(("x"):rep(100)))
    local _, handle = ring:next()
    ring:settle(handle, "done")
    assert.is_false(ring:put(("x"):rep(100))) -- settled, not yet reclaimed
    ring:reclaim()
    assert.is_true(ring:put(("x"):rep(40)))
  end)

  it("refuses a record that never fits and takes the longest one that always does", function()
    assert.is_false(ring:put(("x"):rep(ring:record_max() + 1)))
    for i = 1, 50 do
      assert.is_true(ring:put(("x"):rep(i)))
      ring:settle(select(2, ring:next()), "done")
      ring:reclaim()
      assert.is_true(ring:put(("y"):rep(ring:record_max())), "at round " .. i)
      ring:settle(select(2, ring:next()), "done")
      ring:reclaim()
    end
  end)

  it("shows unsettled records again", function()
    for i = 1, 4 do ring:put("r" .. i) end
    local handles = {}
    for i = 1, 3 do handles[i] = select(2, ring:next()) end
    ring:settle(handles[2], "done")
    ring:rewind()
    local seen = {}
    for bytes in function() return ring:next() end do seen[#seen + 1] = bytes end
    assert.same({ "r1", "r3", "r4" }, seen)
  end)

  it("counts unsettled records", function()
    ring:put("12345678")
    ring:put("x")
    assert.equal(16 + 16, ring:used())
    ring:settle(select(2, ring:next()), "done")
    assert.equal(16, ring:used())
  end)

  -- A model beside the ring: every byte that goes in comes out once, in order, through thousands of laps.
  for _, harvests in ipairs({ true, false }) do
    it("holds what it promises under a random load, " .. (harvests and "with harvest" or "with reclaim"), function()
      local state = 7
      local function random(n)
        state = (state * 1103515245 + 12345) % 2147483648
        return math.floor(state / 65536) % n + 1
      end
      local outcomes = { "done", "rejected", "requeue" }
      local written, taken, settled, harvested, open = 0, 0, 0, 0, {}
      local outcome_of = {}
      local function body(i) return i .. ":" .. ("b"):rep((i * 37) % 700) end
      for _ = 1, 200000 do
        local action = random(5)
        if action <= 2 then
          if ring:put(body(written + 1)) then written = written + 1 end
        elseif action == 3 then
          local bytes, handle = ring:next()
          if bytes then
            taken = taken + 1
            assert(bytes == body(taken))
            open[#open + 1] = { taken, handle }
          end
        elseif action == 4 and #open > 0 then
          local record = table.remove(open, random(#open))
          local outcome = outcomes[random(3)]
          outcome_of[record[1]] = outcome
          ring:settle(record[2], outcome)
          settled = settled + 1
        elseif harvests then
          local bytes, outcome = ring:harvest()
          if bytes then
            harvested = harvested + 1
            assert(bytes == body(harvested))
            assert(outcome == outcome_of[harvested])
          end
        else
          ring:reclaim()
        end
        assert(ring:used() <= 4096)
      end
      assert.is_true(settled > 10000)
      assert.equal(settled + #open, taken)
      if harvests then assert.is_true(harvested > 10000) end
    end)
  end

  it("refuses calls once it is closed", function()
    ring:close()
    assert.error_matches(function() ring:put("x") end, "the ring is closed")
    ring:close()
  end)
end)
