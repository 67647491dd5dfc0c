local kazoo = require "support.kazoo"

-- $avp(result) is the one kind of variable that keeps the difference between null and empty.
local function tell(variable)
  return ('$var(rc) = $rc;\nif (%s == $null) { $var(out) = "<null>"; } else { $var(out) = %s; }'):format(
    variable, variable)
end

local routes = {
  kazoo_json = 'kazoo_json("$rb", "$hdr(X-Path)", "$avp(result)");' .. tell("$avp(result)"),
  kazoo_json_expression = 'kazoo_json($rb, $hdr(X-Path), "$avp(result)");' .. tell("$avp(result)"),
  kz_json = '$avp(result) = $(rb{kz.json,$hdr(X-Path)});' .. tell("$avp(result)"),
  kz_json_count = '$avp(result) = $(rb{kz.json.count,$hdr(X-Path)});' .. tell("$avp(result)"),
  literal = '$avp(result) = $(rb{kz.json,Channels[0].switch_url});' .. tell("$avp(result)"),
  literal_count = '$avp(result) = $(rb{kz.json.count,Channels});' .. tell("$avp(result)"),
  inside = '$var(i) = 1; $avp(result) = $(rb{kz.json,Channels[$var(i)].$hdr(X-Path)});' .. tell("$avp(result)"),
  chained = '$avp(result) = $(rb{kz.json,a}{kz.json,b}{s.toupper});' .. tell("$avp(result)"),
  in_string = '$var(out) = $_s(<$(rb{kz.json,a})|$(rb{kz.json,b})|$(rb{kz.json.count,c})>); $var(rc) = 1;',
  number = [[
    $var(out) = "";
    if ($(rb{kz.json,n}) == 41) { $var(out) = $var(out) + "equal "; }
    if ($(rb{kz.json,n}) == "41") { $var(out) = $var(out) + "text "; }
    if ($(rb{kz.json,n}) > 40) { $var(out) = $var(out) + "greater"; }]],
  du = 'kazoo_json("$rb", "Channels[0].switch_url", "$du");' .. tell("$du"),
  of_null = '$avp(result) = $(avp(nothing){kz.json,a});' .. tell("$avp(result)"),
  keys = [[
    kazoo_json_keys("$rb", "$hdr(X-Path)", "$avp(keys)");
    $var(rc) = $rc;
    $var(out) = $_s($cnt($avp(keys)):$(avp(keys)[*]));]],
  encode = 'kazoo_encode("$rb", "$var(encoded)"); $var(rc) = $rc; $var(out) = $var(encoded);',
  kz_encode = '$var(out) = $(rb{kz.encode}); $var(rc) = 1;',
  encode_into_key = '$var(out) = "call.status_req." + $(ci{kz.encode}); $var(rc) = 1;',
}

local channels = [[{'Channels' : [{'switch_url' : 'sip:one@a'}, {'switch_url' : 'sip:two@b'}], 'Number' : 17,
  'Float' : 2.50, 'Big' : 12345678901234567890, 'Text' : 'some "text"', 'Yes' : true, 'No' : false, 'Null' : null,
  'Empty' : '', 'dotted.key' : 'dots', 'Object' : {'a' : [1, 2, {'b' : 'c'}]}, 'caller%id' : 'percent',
  'nested' : {'with.dot' : {'x.y' : 'deep'}}, 'Umlaut' : 'K\u00f6ln', 'Line' : 'a\nb', 'Slash' : 'a\/b'}]]

describe("JSON in scripts", function()
  local server

  setup(function() server = kazoo.start { params = { amqp_connection = "amqp://127.0.0.1:1" }, routes = routes } end)

  teardown(function() server:stop() end)

  local function ask(route, body, path)
    return server:call(route, { body = body, headers = path and { "X-Path: " .. path } })
  end

  local found = {
    ["Number"] = "17", ["Float"] = "2.50", ["Big"] = "12345678901234567890", ["Text"] = 'some "text"',
    ["Yes"] = "true", ["No"] = "false", ["Null"] = "<null>", ["Empty"] = "", ["Missing"] = "<null>",
    ["Channels[0].switch_url"] = "sip:one@a", ["Channels[1].switch_url"] = "sip:two@b",
    ["Channels[2].switch_url"] = "<null>", ["Channels[1]"] = '{"switch_url":"sip:two@b"}',
    ["Channels"] = '[{"switch_url":"sip:one@a"},{"switch_url":"sip:two@b"}]', ["Object"] = '{"a":[1,2,{"b":"c"}]}',
    ["Object.a[2].b"] = "c", ["Object.a"] = '[1,2,{"b":"c"}]', ["Object.a[2].b.c"] = "<null>", ["Number.a"] = "<null>",
    ["dotted%key"] = "dots", ["dotted.key"] = "<null>", ["nested.with%dot.x%y"] = "deep", ["Umlaut"] = "K\195\182ln",
    ["Line"] = "a\nb", ["Slash"] = "a/b", ["Channels[x]"] = "<null>", ["Channels["] = "<null>",
    ["Channels[99999999999999999999]"] = "<null>", ["Channels[-1]"] = "<null>", ["number"] = "<null>",
  }
  for path, value in pairs(found) do
    it(("gives %s for the path %s, by function and transformation"):format(value:gsub("\n", "\\n"), path), function()
      for _, route in ipairs { "kazoo_json", "kazoo_json_expression", "kz_json" } do
        local _, out = ask(route, channels, path)
        assert.equal(route == "kz_json" and value == "<null>" and "" or value, out, route)
      end
    end)
  end

  it("returns 1 from kazoo_json for what is there, null or missing", function()
    for _, path in ipairs { "Text", "Null", "Missing" } do assert.equal(1, (ask("kazoo_json", channels, path))) end
  end)

  it("gives null from kazoo_json for what is no JSON, and an empty text from the transformation", function()
    for _, text in ipairs { "text", "{'a' : ", "[1, 2]" } do
      local rc, out = ask("kazoo_json", text, "a")
      assert.equal("1 <null>", rc .. " " .. out, text)
      assert.equal("", select(2, ask("kz_json", text, "a")))
    end
    server:wait_log("kazoo_json: the payload is not a JSON object")
  end)

  it("takes a path written into the configuration", function()
    assert.equal("sip:one@a", select(2, ask("literal", channels)))
    assert.equal("2", select(2, ask("literal_count", channels)))
  end)

  it("takes pseudo-variables inside a path", function()
    assert.equal("sip:two@b", select(2, ask("inside", channels, "switch_url")))
  end)

  it("sets $du as in the manual", function()
    local rc, out = ask("du", channels)
    assert.equal(1, rc)
    assert.equal("sip:one@a", out)
  end)

  it("chains with itself and with others", function()
    assert.equal("VALUE", select(2, ask("chained", "{'a' : {'b' : 'value'}}")))
    assert.equal("VALUE", select(2, ask("chained", [[{'a' : '{"b" : "value"}'}]])))
  end)

  it("can be used several times in one string", function()
    assert.equal("<one|two|3>", select(2, ask("in_string", "{'a' : 'one', 'b' : 'two', 'c' : [1, 2, 3]}")))
  end)

  it("gives numbers that compare as numbers and as text", function()
    assert.equal("equal text greater", select(2, ask("number", "{'n' : 41}")))
  end)

  it("gives null for null", function()
    assert.equal("<null>", select(2, ask("of_null", "x")))
  end)

  for path, count in pairs { Channels = "2", ["Object.a"] = "3", Object = "0", Text = "0", Missing = "0" } do
    it("counts " .. count .. " items at " .. path, function()
      assert.equal(count, select(2, ask("kz_json_count", channels, path)))
    end)
  end

  it("lists the keys of an object, one value each", function()
    local rc, out = ask("keys", "{'o' : {'one' : 1, 'two' : {'x' : 1}, 'th.ree' : []}}", "o")
    assert.equal(1, rc)
    assert.equal("3:", out:sub(1, 2))
    for _, key in ipairs { "one", "two", "th.ree" } do assert.is_truthy(out:find(key, 1, true), key) end
    assert.equal(-1, (ask("keys", "{'o' : [1]}", "o")))
    for _, text in ipairs { "no JSON", "{}", "{'o' : null}", "{'o' : {}}" } do
      assert.equal(1, (ask("keys", text, "o")))
    end
  end)

  it("takes any byte as json_escape_char", function()
    local other = kazoo.start {
      params = { amqp_connection = "amqp://127.0.0.1:1", json_escape_char = "^" }, routes = routes,
    }
    local function at(path)
      return select(2, other:call("kz_json", { body = channels, headers = { "X-Path: " .. path } }))
    end
    assert.equal("dots", at "dotted^key")
    assert.equal("percent", at "caller%id")
    assert.equal("", at "dotted%key")
    other:stop()
  end)
end)

-- What there is nothing to say of, in every use that scripts have: as Kamailio's own module has it.
describe("Nothing", function()
  local uses = {
    { "in a string", '$var(out) = $_s([%s]);' },
    { "in $_s", '$var(out) = $_s({"ID" : "%s"});' },
    { "in an expression", '$var(out) = "id-" + %s + "-";' },
    { "in a $var", '$var(x) = "before"; $var(x) = %s; $var(out) = $_s([$var(x)]);' },
    { "in a $var that is compared", [[$var(x) = %s;
      if ($var(x) == "confirmed") $var(out) = "confirmed"; else $var(out) = "other";]] },
    { "in an $avp", '$avp(x) = %s; $var(out) = $_s([$avp(x)]); $avp(x) = $null;' },
    { "in an $xavp", '$xavp(x=>a) = "before"; $xavp(x[0]=>a) = %s; $var(out) = $_s([$xavp(x=>a)]);' },
    { "in a hash table", '$sht(t=>k) = %s; $var(out) = $_s([$sht(t=>k)]);' },
    { "beside $null", 'if (%s == $null) $var(out) = "null"; else $var(out) = "no null";' },
    { "beside an empty text", 'if (%s == "") $var(out) = "empty"; else $var(out) = "not empty";' },
    { "in strempty", 'if (strempty(%s)) $var(out) = "empty"; else $var(out) = "not empty";' },
    { "in defined", 'if (defined %s) $var(out) = "defined"; else $var(out) = "undefined";' },
    { "beside 0", 'if (%s > 0) $var(out) = "more"; else $var(out) = "not more";' },
  }
  local empty = { "[]", '{"ID" : ""}', "id--", "[]", "other", "[]", "[]", "[]", "no null", "empty", "empty", "defined",
    "not more" }
  -- A transformation of null fails: it is empty in a string and null elsewhere. The core takes a $var of null for 0, and
  -- any text for 0 beside it.
  local failed = { "[]", '{"ID" : ""}', "id--", "[0]", "confirmed", "[<null>]", "[<null>]", "[<null>]", "null", "empty",
    "empty", "undefined", "not more" }
  local null = { "[<null>]", '{"ID" : "<null>"}', "id--", "[0]", "confirmed", "[<null>]", "[<null>]", "[<null>]", "null",
    "empty", "empty", "undefined", "not more" }
  -- Not an array: a number without a text.
  local no_items = { "[]", '{"ID" : ""}', "id-0-", "[0]", "confirmed", "[0]", "[0]", "[0]", "no null", "not empty",
    "not empty", "defined", "not more" }
  local values = {
    { "{kz.json} of a missing field", "(rb{kz.json,missing})", empty },
    { "{kz.json} of null", "(rb{kz.json,null})", empty },
    { "{kz.json} of an empty text", "(rb{kz.json,empty})", empty },
    { "{kz.json} beyond an array", "(rb{kz.json,list[7]})", empty },
    { "{kz.json} inside a missing field", "(rb{kz.json,missing.a[0]})", empty },
    { "{kz.json} of what is no JSON", "(ci{kz.json,a})", empty },
    { "{kz.json} with an empty path", "(rb{kz.json,})", empty },
    { "{kz.json} with an empty variable as path", "(rb{kz.json,$var(out)})", empty },
    { "{kz.json} of nothing found", "(rb{kz.json,missing}{kz.json,a})", empty },
    { "{kz.encode} of nothing found", "(rb{kz.json,missing}{kz.encode})", empty },
    { "{kz.json} of a null variable", "(hdr(X-None){kz.json,a})", failed },
    { "{kz.json.count} of a null variable", "(hdr(X-None){kz.json.count,a})", failed },
    { "{kz.encode} of a null variable", "(hdr(X-None){kz.encode})", failed },
    { "{kz.json} of $kzR before any reply", "(kzR{kz.json,a})", failed },
    { "{kz.json} of $kzE outside an event", "(kzE{kz.json,a})", failed },
    { "{kz.encode} of $kzRK outside an event", "(kzRK{kz.encode})", failed },
    { "$kzR before any reply", "kzR", null }, { "$kzE outside an event", "kzE", null },
    { "$kzRK outside an event", "kzRK", null }, { "$kzEx outside an event", "kzEx", null },
    { "$kzQueue outside an event", "kzQueue", null }, { "$kzHdr outside an event", "kzHdr(x)", null },
    { "{kz.json.count} of a missing field", "(rb{kz.json.count,missing})", no_items },
    { "{kz.json.count} of a text", "(rb{kz.json.count,empty})", no_items },
  }
  local body = '{"null":null,"empty":"","list":[1]}'

  local function start(params)
    local of_uses = {}
    for i, value in ipairs(values) do
      for j, use in ipairs(uses) do
        of_uses[("v%du%d"):format(i, j)] = use[2]:format("$" .. value[2]) .. " $var(rc) = 1;"
      end
    end
    return kazoo.start {
      params = params, routes = of_uses, settings = 'loadmodule "htable.so"\nmodparam("htable", "htable", "t=>size=4;")',
    }
  end

  local server

  setup(function() server = start { amqp_connection = "amqp://127.0.0.1:1" } end)

  teardown(function() server:stop() end)

  local function seen(of, i)
    local outs = {}
    for j in ipairs(uses) do outs[j] = select(2, of:call(("v%du%d"):format(i, j), { body = body })) end
    return outs
  end

  for i, value in ipairs(values) do
    it("is what " .. value[1] .. " gives, in every use", function()
      assert.same(value[3], seen(server, i))
    end)
  end

  it("is null from {kz.json} with json_missing", function()
    local other = start { amqp_connection = "amqp://127.0.0.1:1", json_missing = "null" }
    for i, value in ipairs(values) do
      local wanted = value[2]:find("kz.json,", 1, true) and null or value[3]
      if value[1]:find("an empty text", 1, true) then wanted = empty end
      if not value[1]:find("nothing found", 1, true) and value[3] ~= no_items then
        assert.same(wanted, seen(other, i), value[1])
      end
    end
    other:stop()
  end)

  local targets = { "$var(t)", "$avp(t)", "$xavp(t[0]=>a)", "$sht(t=>q)", "$du" }

  it("is null from kazoo_json in every kind of variable, and an empty text an empty one", function()
    local of_targets, wanted = {}, {
      missing = { "0", "<null>", "<null>", "<null>", "<null>" }, null = { "0", "<null>", "<null>", "<null>", "<null>" },
      empty = { "", "", "", "", "<null>" },
    }
    for path in pairs(wanted) do
      for i, target in ipairs(targets) do
        local set = target:gsub("%[0%]", "")
        of_targets[path .. i] = ([[%s = "sip:before@127.0.0.1"; kazoo_json("$rb", "%s", "%s"); $var(rc) = $rc;
          $var(out) = $_s(%s); $avp(t) = $null;]]):format(set, path, target, target)
      end
    end
    local other = kazoo.start {
      params = { amqp_connection = "amqp://127.0.0.1:1" }, routes = of_targets,
      settings = 'loadmodule "htable.so"\nmodparam("htable", "htable", "t=>size=4;")',
    }
    for path, outs in pairs(wanted) do
      for i, target in ipairs(targets) do
        local rc, out = other:call(path .. i, { body = body })
        assert.equal("1 " .. outs[i], rc .. " " .. out, path .. " in " .. target)
      end
    end
    other:stop()
  end)
end)

describe("Routing keys in scripts", function()
  local server

  setup(function() server = kazoo.start { params = { amqp_connection = "amqp://127.0.0.1:1" }, routes = routes } end)

  teardown(function() server:stop() end)

  local encoded = {
    ["abc-XYZ_09~"] = "abc-XYZ_09~", ["a.b"] = "a%2Eb", ["a b"] = "a+b", ["a@b:5060"] = "a%40b%3A5060", ["#"] = "#",
    ["*"] = "*", ["#a"] = "%23a", ["**"] = "%2A%2A", ["K\195\182ln"] = "K%C3%B6ln", ["100%"] = "100%25", ["+"] = "%2B",
  }
  for text, key in pairs(encoded) do
    it(("encode %s as %s"):format(text, key), function()
      for _, route in ipairs { "encode", "kz_encode" } do
        local rc, out = server:call(route, { body = text })
        assert.equal(key, out, route)
        assert.equal(1, rc)
      end
    end)
  end

  it("are composed as in the manual", function()
    local _, out = server:call("encode_into_key", { body = "x", call_id = "a.b@c" })
    assert.equal("call.status_req.a%2Eb%40c", out)
  end)
end)

describe("A configuration", function()
  local function refusal_of(body)
    local server, log = kazoo.try_start {
      params = { amqp_connection = "amqp://127.0.0.1:1" }, routes = { bad = body },
    }
    if server then server:stop() end
    return log or "it started"
  end

  it("with an unknown {kz...} gets a list of the known ones", function()
    assert.matches("unknown transformation {kz%.nothing}, expected {kz%.json,path}, {kz%.json%.count,path} or",
      refusal_of "$var(x) = $(rb{kz.nothing});")
  end)

  it("with a target that cannot be written does not start", function()
    assert.matches("parameter 3 must be", refusal_of 'kazoo_json("$rb", "a", "$ci");')
    assert.matches("parameter 2 must be", refusal_of 'kazoo_encode("$rb", "text");')
  end)
end)
