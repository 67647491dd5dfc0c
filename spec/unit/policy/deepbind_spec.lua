-- The policy host beside another Lua in the same process: spec/unit/policy/deepbind.c.
describe("the policy host", function()
  local function run(steps)
    local pipe = assert(io.popen("build/spec/deepbind build/spec/deepbind_module.so " .. steps .. " 2>&1"))
    local lines = {}
    for line in pipe:lines() do lines[#lines + 1] = line end
    pipe:close()
    return lines
  end

  local puc, routed = 'lua: nil [1,{"a":2}]', "module: route 7"

  it("has its own Lua when app_lua's is loaded first", function()
    assert.same({ puc, routed, puc, routed }, run("lua module lua module"))
  end)

  it("has its own Lua when it is loaded first", function()
    assert.same({ routed, puc, routed, puc }, run("module lua module lua"))
  end)

  it("reports that it got the other Lua", function()
    local lines = run("lua module-")
    assert.equal(puc, lines[1])
    assert.matches("^module: lua_%* symbols of this process belong to another Lua than LuaJIT: .*RTLD_DEEPBIND", lines[2])
  end)
end)
