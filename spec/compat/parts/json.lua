-- JSON read and words encoded in every use that a script can make of them: a SIP MESSAGE brings the payload, its reply
-- says what each use came to.
local meant = require "compat.meant"
local pair = require "compat.pair"
local payloads = require "compat.payloads"
local random = require "compat.random"

local json = { name = "json" }

-- In what follows, @ is the variable with its transformation. Each leaves its result in $var(o).
local value_uses = {
  { "quotes", '$var(o) = $_s([@]);' },
  { "alone", '$var(o) = @;' },
  { "plus", '$var(o) = "a" + @ + "b";' },
  { "plus 1", '$var(o) = @ + 1;' },
  { "$var", '$var(x) = "before"; $var(x) = @; $var(o) = $_s([$var(x)]);' },
  { "$var + 1", '$var(x) = @; $var(o) = $var(x) + 1;' },
  { "$avp", '$(avp(x)[*]) = $null; $avp(x) = @; $var(o) = $_s([$(avp(x)[*])]);' },
  { "$avp + 1", '$(avp(x)[*]) = $null; $avp(x) = @; $var(o) = $avp(x) + 1;' },
  { "$xavp", '$xavp(x) = $null; $xavp(x=>y) = @; $var(o) = $_s([$xavp(x=>y)]);' },
  { "$sht", '$sht(t=>x) = "before"; $sht(t=>x) = @; $var(o) = $_s([$sht(t=>x)]);' },
  { "key of $sht", '$sht(t=>k-@) = "1"; route(KEYS);' },
  { "$_s", '$var(o) = $_s({"Msg-ID" : "@"});' },
  { "== empty", 'if (@ == "") $var(o) = "yes";' },
  { "!= empty", 'if (@ != "") $var(o) = "yes";' },
  { "== $null", 'if (@ == $null) $var(o) = "yes";' },
  { "!= $null", 'if (@ != $null) $var(o) = "yes";' },
  { "== text", 'if (@ == "confirmed") $var(o) = "yes";' },
  { "!= text", 'if (@ != "confirmed") $var(o) = "yes";' },
  { "== 5", 'if (@ == 5) $var(o) = "yes";' },
  { "> 60", 'if (@ > 60) $var(o) = "yes";' },
  { "=~", 'if (@ =~ "^c") $var(o) = "yes";' },
  { "truth", 'if (@) $var(o) = "yes";' },
  { "not", 'if (!@) $var(o) = "yes";' },
  { "strempty", 'if (strempty(@)) $var(o) = "yes";' },
  { "defined", 'if (defined @) $var(o) = "yes";' },
  { "strlen", '$var(o) = "" + strlen(@);' },
  { "$var == text", '$var(x) = @; if ($var(x) == "confirmed") $var(o) = "yes";' },
  { "$var != empty", '$var(x) = @; if ($var(x) != "") $var(o) = "yes";' },
  { "$avp == $null", '$(avp(x)[*]) = $null; $avp(x) = @; if ($avp(x) == $null) $var(o) = "yes";' },
  { "switch", [[switch (@) {
    case "confirmed": $var(o) = "c"; break;
    case "": $var(o) = "e"; break;
    default: $var(o) = "d";
  }]] },
}

-- More transformations behind: # is what stands inside of $(...).
local chained = {
  { "{s.len}", '$var(o) = $_s([$(#{s.len})]);' },
  { "{s.int}", '$var(o) = $_s([$(#{s.int})]);' },
  { "{kz.encode}", '$var(o) = $_s([$(#{kz.encode})]);' },
  { "{kz.json} again", '$var(o) = $_s([$(#{kz.json,a})]);' },
  { "{s.substr}", '$var(o) = $_s([$(#{s.substr,0,2})]);' },
}

local sources = { { "rb", "$rb" }, { "var(j)", "$var(j)" }, { "avp(j)", "$avp(j)" } }

local function fill(use, inside)
  local code = use[2]:gsub("#", function() return inside end)
  return (code:gsub("@", function() return "$(" .. inside .. ")" end))
end

local function report(name, code)
  return ('$var(o) = "";\n%s\n$var(out) = $var(out) + "%s:" + $(var(o){s.encode.hexa}) + "\\n";\n'):format(code, name)
end

-- What scripts do with a count.
local counted = {
  quotes = true, alone = true, plus = true, ["plus 1"] = true, ["$var"] = true, ["$avp + 1"] = true, ["== empty"] = true,
  ["== $null"] = true, ["== 5"] = true, ["> 60"] = true,
}

-- All uses of {kz.json,path} and {kz.json.count,path}, the payload being in $rb, and a few of other places.
local function reading_uses(path)
  local parts = {}
  local inside = ("rb{kz.json,%s}"):format(path)
  for _, uses in ipairs { value_uses, chained } do
    for _, use in ipairs(uses) do parts[#parts + 1] = report("{kz.json} " .. use[1], fill(use, inside)) end
  end
  for _, source in ipairs(sources) do
    parts[#parts + 1] = report("{kz.json} of " .. source[2], fill(value_uses[1], ("%s{kz.json,%s}"):format(source[1], path)))
  end
  for _, use in ipairs(value_uses) do
    if counted[use[1]] then
      parts[#parts + 1] = report("{kz.json.count} " .. use[1], fill(use, ("rb{kz.json.count,%s}"):format(path)))
    end
  end
  return table.concat(parts)
end

local targets = {
  { "$var", "$var(x)" }, { "$avp", "$avp(x)" }, { "$xavp", "$xavp(x=>y)" }, { "$sht", "$sht(t=>x)" }, { "$du", "$du" },
}

-- Functions that put something into a variable, which has something before, or nothing.
local function function_uses(format, name)
  local parts = {}
  for _, target in ipairs(targets) do
    local call = format:format(target[2])
    local before = target[1] == "$du" and "sip:before@127.0.0.1" or "before"
    local clear = target[1] == "$var" and "$var(x) = 0;" or target[1] == "$avp" and "$(avp(x)[*]) = $null;"
      or target[1] == "$xavp" and "$xavp(x) = $null;" or target[2] .. " = $null;"
    local all = target[1] == "$avp" and "$(avp(x)[*])" or target[2]
    parts[#parts + 1] = report(("%s %s"):format(name, target[1]),
      ('%s %s = "%s"; %s; $var(rc) = $rc; $var(o) = $_s($var(rc) [%s]);'):format(clear, target[2], before, call, all))
    parts[#parts + 1] = report(("%s %s, empty before"):format(name, target[1]),
      ('%s %s; $var(rc) = $rc; $var(o) = $_s($var(rc) [%s]); if (%s == $null) $var(o) = $var(o) + "null";'):format(
        clear, call, all, target[2]))
  end
  return table.concat(parts)
end

local function encoding_uses()
  local parts = {}
  for _, use in ipairs(value_uses) do parts[#parts + 1] = report("{kz.encode} " .. use[1], fill(use, "rb{kz.encode}")) end
  parts[#parts + 1] = report("{kz.encode} of no header", '$var(o) = $_s([$(hdr(X-No){kz.encode})]);')
  parts[#parts + 1] = report("kazoo_encode expression",
    'kazoo_encode("x." + $rb, "$var(x)"); $var(rc) = $rc; $var(o) = $_s($var(rc) $var(x));')
  parts[#parts + 1] = report("kazoo_encode unquoted",
    'kazoo_encode($rb, "$var(x)"); $var(rc) = $rc; $var(o) = $_s($var(rc) $var(x));')
  parts[#parts + 1] = function_uses('kazoo_encode("$rb", "%s")', "kazoo_encode")
  return table.concat(parts)
end

local settings = [[
loadmodule "htable.so"
modparam("htable", "htable", "t=>size=4;")
max_while_loops=1000
request_route {
  $var(out) = "";
  $var(j) = $rb;
  $avp(j) = $rb;
  $var(p) = $(hdr(X-Path){s.decode.hexa});
  $var(route) = $rU;
  route($var(route));
  set_reply_body("$var(out)", "text/plain");
  sl_send_reply("200", "OK");
  exit;
}
route[KEYS] {
  sht_iterator_start("i", "t");
  while (sht_iterator_next("i")) {
    if ($shtitkey(i) =~ "^k-") $var(o) = $var(o) + "[" + $shtitkey(i) + "]";
  }
  sht_iterator_end("i");
  sht_rm_name("t", "sw", "k-");
}
]]

local function configuration(literal_paths)
  local parts = { "pv_buffer_size=262144\n", settings }
  local function route(name, body) parts[#parts + 1] = ("route[%s] {\n%s}\n"):format(name, body) end
  route("READ", reading_uses("$var(p)"))
  route("FUNCTION", function_uses('kazoo_json("$rb", "$var(p)", "%s")', "kazoo_json")
    .. report("kazoo_json unquoted",
      'kazoo_json($rb, $var(p), "$var(x)"); $var(rc) = $rc; $var(o) = $_s($var(rc) $var(x));'))
  route("KEYS_OF", function_uses('kazoo_json_keys("$rb", "$var(p)", "%s")', "kazoo_json_keys"))
  route("ENCODE", encoding_uses())
  for i, path in ipairs(literal_paths) do
    route("LITERAL" .. i, reading_uses(path) .. function_uses(('kazoo_json("$rb", "%s", "%%s")'):format(path:gsub("%%",
      "%%%%")), "kazoo_json"))
  end
  return table.concat(parts)
end

-- ---- cases

local LITERALS = 40
local LONGEST_WORD = 90 -- else the reply, which has it in all uses, is too long for UDP

local function literal_paths(r)
  local paths = { "Channels[0].switch_url", "Event-Name", "missing" }
  while #paths < LITERALS do
    local _, node = payloads.make(r)
    local path = payloads.path(r, node)
    if path ~= "" and not ("." .. path):find("..", 1, true) and payloads.plain_path(path) then paths[#paths + 1] = path end
  end
  return paths
end

local routes = { { 40, "READ" }, { 20, "FUNCTION" }, { 5, "KEYS_OF" }, { 10, "ENCODE" }, { 25, "LITERAL" } }

-- A path with an empty key in it, and an empty one for the function, kill Debian's module.
local function kills(case)
  if case.path == "" then return case.route == "FUNCTION" end
  return case.route ~= "ENCODE" and ("." .. case.path):find("..", 1, true) ~= nil
end

-- kazoo_json_keys of what is no object kills Debian's module.
local function keys_case(r, case, node)
  local path, is_object = payloads.object_path(r, node)
  case.path = path
  case.ours_only = not is_object or case.payload:find("^%s*{") == nil or case.spoilt
  if case.ours_only and r:chance(50) then case.path = payloads.path(r, node) end
end

local function make_case(r, paths)
  local payload, node, spoilt = payloads.make(r)
  local case = { route = r:weighted(routes), payload = payload, path = payloads.path(r, node), spoilt = spoilt }
  if case.route == "LITERAL" then
    local i = r:number(1, #paths)
    case.route, case.path, case.literal = "LITERAL" .. i, paths[i], true
  elseif case.route == "KEYS_OF" then
    keys_case(r, case, node)
  elseif case.route == "ENCODE" and r:chance(50) then
    case.payload = r:chance(50) and r:bytes(r:number(0, 12), 0, 255) or r:bytes(r:number(1, 12), 32, 126)
  end
  if not case.literal and case.route ~= "KEYS_OF" then case.ours_only = kills(case) end
  if case.route == "ENCODE" then case.payload = case.payload:sub(1, LONGEST_WORD) end
  return case
end

local function fields(case)
  return { route = case.route, body = case.payload, headers = { "X-Path: " .. pair.hex(case.path) } }
end

local function results(body)
  local found, order = {}, {}
  for name, value in body:gmatch("([^\n]-):(%x*)\n") do
    found[name] = pair.unhex(value)
    order[#order + 1] = name
  end
  return found, order
end

-- What differs between two replies: a list of {use, stock, ours}; the second result says that one died.
local function compare(replies)
  if type(replies.stock) ~= "string" or type(replies.ours) ~= "string" then return {}, replies end
  if replies.stock == replies.ours then return {} end
  local stock, order = results(replies.stock)
  local ours = results(replies.ours)
  local found = {}
  for _, use in ipairs(order) do
    if stock[use] ~= ours[use] then found[#found + 1] = { use = use, stock = stock[use], ours = ours[use] or "nothing" } end
  end
  return found
end

local function described(both, case, one)
  return {
    part = json.name, kind = one.use, stock = one.stock, ours = one.ours, case = case,
    again = case.route ~= "KEYS_OF" and function(other)
      if kills(other) then return nil end
      for _, now in ipairs((compare(both:ask(fields(other))))) do
        if now.use == one.use then return now end
      end
    end,
  }
end

local function run_case(both, case, collector)
  collector:count(json.name)
  if case.ours_only then
    local body, word = both:ask_one("ours", fields(case))
    return collector:count_ours_only(json.name, case, body, word)
  end
  local found, died = compare(both:ask(fields(case)))
  if died then collector:died(json.name, case, died) end
  local seen = {} -- one cause shows in many uses of a function or transformation
  for _, one in ipairs(found) do
    local family = one.use:match("^%S+")
    if not seen[family] then seen[family] = not collector:difference(described(both, case, one)) end
  end
end

function json.run(options, collector)
  local r = random.new(options.seed, "json")
  local paths = literal_paths(r)
  local both = pair.start { cfg = function(side) return pair.kazoo(side) .. configuration(paths) end }
  for _, case in ipairs(meant.cases(json.name)) do run_case(both, case, collector) end
  for _ = 1, options.cases do run_case(both, make_case(r, paths), collector) end
  both:forget()
end

return json
