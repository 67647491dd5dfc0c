-- The examples in the documentation: Kamailio reads each kamailio.cfg, Lua each script. Nothing of them is run.
local files = require "support.files"
local kamailio = require "support.kamailio"
local pages = require "support.pages"

-- Of Kamailio's own, what examples use.
local modules = {
  "tm", "sl", "pv", "xlog", "textops", "siputils", "usrloc", "registrar", "sqlops", "app_lua", "kazoo", "nats",
}

-- A piece of kamailio.cfg sets a parameter, loads a module or has a route. What else calls one of our functions, with
-- a string in quotes, is a piece that nobody could read for itself.
local function is_cfg(code)
  code = "\n" .. code
  return code:find("\nmodparam%(") or code:find("\nloadmodule") or code:find("\n[%a_]*route[^\n]*{\n")
end

local function is_lua(code)
  return code:find("KSR.", 1, true) or code:find("%f[%w]function[ (]")
end

local function is_call(code)
  return code:find('%f[%w]kazoo_[%l_]+%("') or code:find('%f[%w]nats_[%l_]+%("')
end

local function configuration(code)
  local lines = {
    "#!KAMAILIO", "listen=udp:127.0.0.1:5060", ('mpath="%s/:%s/"'):format(kamailio.our_modules, kamailio.stock_modules()),
  }
  for _, name in ipairs(modules) do
    local load = ('loadmodule "%s.so"'):format(name)
    if not code:find(load, 1, true) then lines[#lines + 1] = load end
  end
  return table.concat(lines, "\n") .. "\n" .. code
end

local function each_block(visit)
  for _, page in ipairs(pages.all()) do
    for _, block in ipairs(pages.code_blocks(pages.read(page))) do visit(page, block) end
  end
end

describe("An example in the documentation", function()
  it("of kamailio.cfg is accepted by Kamailio", function()
    local folder, checked, faults = files.new_folder("docs-examples"), 0, {}
    each_block(function(page, block)
      if not is_cfg(block.text) then return end
      local path = files.write(folder .. "/kamailio.cfg", configuration(block.text))
      local output, ok = files.run(("kamailio -c -E -f %s -Y %s"):format(files.quote(path), files.quote(folder)))
      checked = checked + 1
      if not ok or not output:find("config file ok", 1, true) then
        faults[#faults + 1] = ("%s:%d\n%s\n%s"):format(page, block.line, block.text, output)
      end
    end)
    assert(#faults == 0, table.concat(faults, "\n"))
    assert(checked > 100, checked .. " examples")
  end)

  it("of Lua is accepted by Lua", function()
    local checked = 0
    each_block(function(page, block)
      if is_cfg(block.text) or not is_lua(block.text) then return end
      local chunk, message = loadstring(block.text, ("=%s:%d"):format(page, block.line))
      checked = checked + 1
      assert(chunk, message)
    end)
    assert(checked > 10, checked .. " examples")
  end)

  it("that calls our functions is among these", function()
    each_block(function(page, block)
      local read = is_cfg(block.text) or is_lua(block.text)
      assert(read or not is_call(block.text), ("%s:%d\n%s"):format(page, block.line, block.text))
    end)
  end)
end)
