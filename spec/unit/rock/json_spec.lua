-- src/core/json.c, through the rock's C module.
local cjson = require "cjson"
local core = require "kemibus.core"

describe("kemibus.core JSON", function()
  describe("rewrite", function()
    for text, wanted in pairs({
      ["{}"] = "{}",
      [" \t\r\n{ } \n"] = "{}",
      [ [[{'a':'b'}]] ] = [[{"a":"b"}]],
      [ [[{'a':"it's"}]] ] = [[{"a":"it's"}]],
      [ [[{'a':'say "x"'}]] ] = [[{"a":"say \"x\""}]],
      [ [[{'a':'it\'s'}]] ] = [[{"a":"it's"}]],
      [ [[{ "a" : [ 1 , -2.5e+3 , 007 , true , FALSE , Null ] }]] ] = [[{"a":[1,-2.5e+3,7,true,false,null]}]],
      [ [[{"a":1,}]] ] = [[{"a":1}]],
      [ [[{"a":[1,],}]] ] = [[{"a":[1]}]],
      ['{"a":"line\nbreak\ttab\1"}'] = [[{"a":"line\u000abreak\u0009tab\u0001"}]],
      ['{"a":"\0"}'] = [[{"a":"\u0000"}]],
      ['{"a":"\255\192\128"}'] = '{"a":"\239\191\189\239\191\189\239\191\189"}',
      ['{"a":"\237\160\128"}'] = '{"a":"\239\191\189\239\191\189\239\191\189"}',
      [ [[{"a":"\ud800","b":"\udc00x","c":"\ud800\ud800"}]] ] =
        '{"a":"\239\191\189","b":"\239\191\189x","c":"\239\191\189\239\191\189"}',
      [ [[{"a":"\ud83d\ude00 \u00E9"}]] ] = [[{"a":"\ud83d\ude00 \u00E9"}]],
      ['{"a":"é😀"}'] = '{"a":"é😀"}',
      [ [[{"a":1,"a":2,"b":3}]] ] = [[{"a":2,"b":3}]],
      [ [[{"a":1,'a':2}]] ] = [[{"a":2}]],
      ['{"\255":1,"\254":2,"\31":3,"\\u001f":4}'] = '{"\239\191\189":2,"\\u001f":4}',
      [ [[{"a":1,"\u0061":2,"b":{"c":1,"d":[{"e":1,"e":[2]}],"c":3}}]] ] = [[{"\u0061":2,"b":{"d":[{"e":[2]}],"c":3}}]],
      [ [[{"":1,'':2,"\"}":"x","\u0022}":"y","a":{"b":"{\"a\":1}"},"a":"}"}]] ] = [[{"":2,"\u0022}":"y","a":"}"}]],
      [ [[/*c*/{/**/"a"/***/:// line
        /*"*/1/*,*/, // and
        "b":[/**/1,2/* // */]}// end]] ] = [[{"a":1,"b":[1,2]}]],
      [ [[{"a":"/*c*/","b":"//"}]] ] = [[{"a":"/*c*/","b":"//"}]],
      [ [[{"a":NaN,"b":[nan,Infinity,-Infinity,-INFINITY]}]] ] = [[{"a":null,"b":[null,null,null,null]}]],
      [ [[{"a":1.,"b":-.5,"c":2e,"d":-2.5E+,"e":01.e3}]] ] = [[{"a":1.0,"b":-0.5,"c":2,"d":-2.5,"e":1.0e3}]],
      ['{"a":1}x'] = '{"a":1}', ['{"a":1}{"b":2}'] = '{"a":1}', ['{"a":1}\0'] = '{"a":1}', ['{"a":1}]'] = '{"a":1}',
      ["{\"a\":\"\127\"}"] = "{\"a\":\"\127\"}",
    }) do
      it(("writes %q strictly"):format(text), function()
        assert.equal(wanted, core.rewrite(text))
        assert.equal(wanted, core.rewrite(wanted)) -- and leaves that as it is
      end)
    end

    for _, text in ipairs({
      "", " ", "[]", "[{}]", "1", "-", "null", "true", '"x"', "'x'", "x", "{", "}", "{{}}", "{]", '{"a"}', '{"a":}', "{,}",
      '{"a":1,,"b":2}', '{"a":1 "b":2}', "{a:1}", "{1:2}", '{"a":"', '{"a":"\\', '{"a":"\\u12',
      '{"a":"\\x"}', '{"a":"\\u12g4"}', "{'a':'\\u'}", '{"a":-}', '{"a":-.}', '{"a":-.e1}', '{"a":.5}', '{"a":-NaN}',
      '{"a":inf}', "{/}", "{/*", "{/*/}", '{"a":1/*}', '{"a":1 // }', '/ {"a":1}', '{"a":+1}', '{"a":0x10}', '{"a":tru}',
      '{"a":truex}', '{"a":[1}', '{"a":[}', "\0", "{\0}", "\239\187\191{}", "{'a\":1}", "{\"a\\\0\":1}",
    }) do
      it(("refuses %q with a reason and a place"):format(text), function()
        local strict, reason, at = core.rewrite(text)
        assert.is_nil(strict)
        assert.is_string(reason)
        assert.is_true(at >= 0 and at <= #text)
      end)
    end

    it("bounds nesting", function()
      local function nested(n) return '{"a":' .. ("["):rep(n) .. ("]"):rep(n) .. "}" end
      assert.equal(nested(255), core.rewrite(nested(255)))
      assert.same({ nil, "nested too deeply", 260 }, { core.rewrite(nested(256)) })
      assert.equal("nested too deeply", select(2, core.rewrite(nested(20000))))
      assert.equal("nested too deeply", select(2, core.rewrite(('{"a":'):rep(20000))))
      assert.equal("nested too deeply", select(2, core.rewrite(("{'a':["):rep(20000))))
    end)

    it("keeps the last of equal keys among many", function()
      local first, last = {}, {}
      for i = 1, 1000 do
        first[i] = ('"a long key with the number %d and an end":%d'):format(i, -i)
        last[i] = ('"a long key with the number %d and an end":%d'):format(i, i)
      end
      local wanted = "{" .. table.concat(last, ",") .. "}"
      assert.equal(wanted, core.rewrite("{" .. table.concat(first, ",") .. "," .. table.concat(last, ",") .. "}"))
      assert.equal(wanted, core.rewrite(wanted))
    end)

    it("takes fields of any length", function()
      local long = ("x"):rep(300000)
      local key = ("k"):rep(600)
      local text = ('{"%s":"%s"}'):format(key, long)
      assert.equal(text, core.rewrite(text))
      assert.equal(long, (core.get(text, key)))
    end)

    describe("with edits", function()
      local function edit(text, ...) return (core.rewrite(text, { ... })) end

      it("adds what is absent", function()
        assert.equal('{"a":"b"}', edit("{}", { key = "a", value = "b" }))
        assert.equal('{"x":1,"a":"b"}', edit('{"x":1}', { key = "a", value = "b" }))
        assert.equal('{"a":"b"}', edit("{'a':null}", { key = "a", value = "b" }))
        assert.equal('{"\\u0061":1}', edit('{"\\u0061":1}', { key = "a", value = "b" }))
        assert.equal('{"a":5}', edit("{}", { key = "a", value = "5", number = true }))
      end)

      it("quotes keys and values", function()
        assert.equal('{"\\"":"\\\\\\u0000\\u000a"}', edit("{}", { key = '"', value = "\\\0\n" }))
      end)

      it("replaces any earlier value", function()
        assert.equal('{"b":2,"a":"x"}', edit('{"a":1,"b":2,"a":[3]}', { key = "a", value = "x", rule = "set" }))
        assert.equal('{"a":"x"}', edit("{}", { key = "a", value = "x", rule = "set" }))
      end)

      it("removes", function()
        assert.equal("{}", edit('{"a":1}', { key = "a", rule = "remove" }))
        assert.equal('{"b":2,"c":3}', edit('{"a":1,"b":2,"a":5,"c":3}', { key = "a", rule = "remove" }))
        assert.equal('{"b":{"a":1}}', edit('{"b":{"a":1}}', { key = "a", rule = "remove" }))
      end)

      it("applies several edits in order", function()
        assert.equal('{"k":0,"b":"2","c":"3"}',
          edit('{"a":1,"k":0}', { key = "a", rule = "remove" }, { key = "b", value = "2" },
            { key = "c", value = "3", rule = "set" }))
      end)

      it("refuses edits of the wrong kind", function()
        assert.has_error(function() core.rewrite("{}", { 5 }) end)
        assert.has_error(function() core.rewrite("{}", { { key = {} } }) end)
        assert.has_error(function() core.rewrite("{}", { { key = "a", rule = "other" } }) end)
        assert.has_error(function() core.rewrite("{}", "x") end)
        assert.has_error(function() core.rewrite(nil) end)
      end)
    end)
  end)

  describe("get", function()
    local text = [=[{'a':{"b":[10,{"c":"d"},[[5]] ]},"dot.key":1,"a%b":2,"s":"\u00e9\n\ud83d\ude00\ud800","n":null,"t":TRUE,
      "dup":1,"dup":2,"raw":{ 'x' : [ 1 , 2 ] },"":"empty","num":0012}]=]

    for path, wanted in pairs({
      ["a.b[0]"] = "10",
      ["a.b[1].c"] = "d",
      ["a.b[2][0][0]"] = "5",
      ["dot%key"] = "1",
      ["s"] = "é\n😀\239\191\189",
      ["t"] = "true",
      ["dup"] = "2",
      ["raw"] = '{"x":[1,2]}',
      ["num"] = "12",
      ["a.b[2]"] = "[[5]]",
    }) do
      it("finds " .. path, function() assert.equal(wanted, (core.get(text, path))) end)
    end

    for _, path in ipairs({
      "x", "a.x", "a.b[3]", "a.b[1].c.d", "a.b[", "a.b[]", "a.b[x]", "a.b[1", "a.b[99999999999999999999]", "a[0]", "[0]",
      "a.b.c", "a..b", "a.b[0][0]", "\0", ("x"):rep(100000), ("[0]"):rep(10000), ("a."):rep(10000),
    }) do
      it(("finds nothing at %q"):format(path:sub(1, 40)), function()
        assert.same({ nil, "none" }, { core.get(text, path) })
        assert.equal(0, core.count(text, path))
      end)
    end

    it("distinguishes null from a missing value", function() assert.same({ nil, "null" }, { core.get(text, "n") }) end)

    it("names the types", function()
      for value, name in pairs({
        ["1"] = "number", ["'x'"] = "string", ["{}"] = "object", ["[]"] = "array", ["true"] = "true", ["false"] = "false",
        ["null"] = "null", ["?"] = "none",
      }) do
        assert.equal(name, select(2, core.get("{'k':" .. value .. "}", "k")))
        assert.equal(name, select(2, core.get(" " .. value .. " ", "")))
      end
    end)

    it("reads arrays at the top", function()
      assert.equal("b", (core.get('["a","b"]', "[1]")))
      assert.equal(2, core.count('["a","b"]', ""))
    end)

    it("takes another escape", function()
      assert.equal("1", (core.get(text, "dot#key", "#")))
      assert.equal("2", (core.get(text, "a%b", "#")))
    end)

    for _, broken in ipairs({ "", "{", '{"k"', '{"k":', '{"x":[', '{"k":1', '{"x":1,"k":2', "[", "k", "\0" }) do
      it(("finds nothing in %q"):format(broken), function() assert.is_nil((core.get(broken, "k"))) end)
    end
  end)

  describe("keys", function()
    it("lists them decoded and in their order", function()
      assert.same({ "b", "a", "é\0", "a" }, core.keys([[{"b":1,'a':{"x":1},"\u00e9\u0000":[],"a":2}]]))
      assert.same({}, core.keys("{}"))
    end)

    it("gives an empty key for each item of an array", function() assert.same({ "", "" }, core.keys("[1,[2]]")) end)

    it("refuses any other value", function()
      for _, text in ipairs({ "", "5", '"x"', "{", "[1", '{"a":1', "{a:1}" }) do
        assert.same({ nil, "neither an object nor an array" }, { core.keys(text) })
      end
    end)
  end)

  describe("quote", function()
    it("makes a string of any bytes", function()
      assert.equal([["a\"\\\u0000\u001f/"]], core.quote("a\"\\\0\31/"))
      assert.equal('"é\239\191\189"', core.quote("é\255"))
      assert.equal('""', core.quote(""))
    end)
  end)

  -- Random documents from a fixed seed, written by hand so that strict, lenient and broken forms mix.
  describe("beside cjson", function()
    local state = 20260117
    local function random(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return math.floor(state / 65536) % n + 1
    end
    local function pick(list) return list[random(#list)] end

    local strings = { "", "a", "Event-Name", "\\n", "\\\\", '\\"', "\\u00e9", "\\ud83d\\ude00", "é", "{", "]", ",", "'" }
    local scalars = { "0", "-0", "1", "-1.5", "1e3", "2E-2", "123456789012345", "true", "false", "null" }
    local blanks = { "", "", " ", "\n", "\t " }

    local function text_of() return '"' .. pick(strings) .. pick(strings) .. '"' end

    local value_of
    local function list_of(open, close, item, depth)
      local items = {}
      for i = 1, random(4) - 1 do items[i] = pick(blanks) .. item(depth) .. pick(blanks) end
      return open .. table.concat(items, ",") .. close
    end
    local function object_of(depth)
      return list_of("{", "}", function(d) return text_of() .. pick(blanks) .. ":" .. pick(blanks) .. value_of(d) end, depth)
    end
    function value_of(depth)
      local kind = depth > 5 and random(2) or random(4)
      if kind == 1 then return pick(scalars) end
      if kind == 2 then return text_of() end
      if kind == 3 then return list_of("[", "]", value_of, depth + 1) end
      return object_of(depth + 1)
    end

    it("leaves the meaning of strict JSON as it is", function()
      for _ = 1, 3000 do
        local text = object_of(0)
        local strict = assert(core.rewrite(text))
        assert.same(cjson.decode(text), cjson.decode(strict))
      end
    end)

    it("reads the members that cjson reads", function()
      for _ = 1, 3000 do
        local text = object_of(0)
        for key, wanted in pairs(cjson.decode(text)) do
          if key ~= "" and not key:find("[.%[%%]") then
            local got, kind = core.get(text, key)
            if type(wanted) == "table" then
              assert.same(wanted, cjson.decode(got))
            elseif wanted == cjson.null then
              assert.equal("null", kind)
            elseif type(wanted) == "number" then
              assert.equal(wanted, tonumber(got))
            else
              assert.equal(tostring(wanted), got)
            end
          end
        end
      end
    end)

    it("writes what cjson reads, or refuses, for broken texts", function()
      local accepted = 0
      for _ = 1, 5000 do
        local text = object_of(0)
        for _ = 1, random(3) do
          local at = random(#text)
          text = text:sub(1, at - 1) .. pick({ "", "'", '"', "{", "}", "[", "]", ",", ":", "\\", "\0", "\255", "9", "x" })
            .. text:sub(at + random(2))
        end
        local strict, reason, at = core.rewrite(text)
        if strict then
          accepted = accepted + 1
          assert.is_table(cjson.decode(strict))
          assert.equal(strict, core.rewrite(strict))
        else
          assert.is_string(reason)
          assert.is_true(at <= #text)
        end
        core.get(text, "a[0].b")
        core.keys(text)
      end
      assert.is_true(accepted > 100)
    end)
  end)
end)
