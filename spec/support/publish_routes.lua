-- The routes of kamailio.cfg that spec/system/kazoo/publish_spec.lua calls: each form that kazoo_publish is written in.
return {
  quoted = [[
    $var(exchange) = "pub"; $var(key) = "quoted"; $var(payload) = $rb;
    kazoo_publish("$var(exchange)", "$var(key)", "$var(payload)");]],
  unquoted = [[
    $var(exchange) = "pub"; $var(key) = "unquoted"; $var(payload) = $rb;
    kazoo_publish($var(exchange), $var(key), $var(payload));]],
  expression = [[
    $var(key) = "registration.success." + $(var(route){kz.encode}) + "." + $fU;
    kazoo_publish("pub", $var(key), $_s({"Event-Category" : "directory", "Username" : "$fU"}));]],
  quoted_hex = [[
    $var(payload) = $(rb{s.decode.hexa});
    kazoo_publish("pub", "k", "$var(payload)");]],
  unquoted_hex = [[
    $var(payload) = $(rb{s.decode.hexa});
    kazoo_publish("pub", "k", $var(payload));]],
  quoted_often = [[
    $var(i) = 0;
    while ($var(i) < 50) { kazoo_publish("pub", "k", "{'a':'$rb'}"); $var(rc) = $rc; $var(i) = $var(i) + 1; }]],
  transformed_kz = [[
    kazoo_publish("$(rb{kz.json,x})", "$(rb{kz.json,key})", "{'all' : '$(rb{kz.json,a}) $(rb{kz.json,b}) $(rb{kz.json,c})
      $(rb{kz.json,d}) $(rb{kz.json,e}) $(rb{kz.json,f}) $(rb{kz.json,g}) $(rb{kz.json,h}) $(rb{kz.json,i})'}");]],
  transformed_core = [[
    kazoo_publish("$(hdr(X-Exchange){s.tolower})", "$(hdr(X-Key){s.tolower})", "{'all' : '$(rU{s.toupper}) $(rU{s.tolower})
      $(rU{s.toupper}) $(rU{s.tolower}) $(rU{s.toupper}) $(rU{s.tolower}) $(rU{s.toupper}) $(rU{s.tolower})
      $(rU{s.toupper})'}");]],
  of_one_buffer = [[
    kazoo_publish("$timef(pub)", "$timef(one.buffer)", "{'a' : 1}", "$timef(b=2)");]],
  numbers = [[
    setflag(31); $var(digits) = "007"; $var(n) = -17;
    kazoo_publish("pub", "$mf", "$(rb{kz.json,payload})", "digits=$(var(digits){s.int})");
    kazoo_publish("pub", "$(var(digits){s.int})", "{'n' : 2}", "n=$var(n)");
    kazoo_publish("pub", "$var(n)", "{'n' : 3}");]],
  unreadable = [[
    $var(rc) = kazoo_publish("pub", "unreadable", "{'a' : 1}", "$(hdr(X-Note){s.trim})");]],
  mixed = [[
    kazoo_publish("pub", "mixed.$fU", "{'a' : '$fU'}", "x=$fU");]],
  in_condition = [[
    $var(rc) = 7;
    if (kazoo_publish("pub", "condition", "{'a' : 1}")) { $var(rc) = 1; }
    if (kazoo_publish("pub", "condition", "no JSON")) { $var(rc) = 8; }]],
  wide_number = [[
    kazoo_publish("pub", "number", "{'a' : 1}", "2048");]],
  large = [[
    $var(i) = 0;
    $var(text) = "0123456789abcdef";
    while ($var(i) < 15) {
      $var(text) = $var(text) + $var(text);
      $var(i) = $var(i) + 1;
    }
    $var(payload) = "{'text' : '" + $var(text) + "'}";
    kazoo_publish("pub", "large", $var(payload));]],
  one_in_ten_missing = [[
    $var(rc) = 1;
    $var(i) = 0;
    while ($var(i) < 10000) {
      $var(exchange) = "";
      if ($var(i) mod 10 == 0) $var(exchange) = "no such exchange";
      if (!kazoo_publish("$var(exchange)", "no such queue", "{'n' : $var(i)}")) $var(rc) = -1;
      $var(i) = $var(i) + 1;
    }]],
  sequence = [[
    lock("inside"); $shv(inside) = $shv(inside) + 1; unlock("inside");
    $var(i) = 0;
    while ($shv(inside) < 3 && $var(i) < 500) { usleep("10000"); $var(i) = $var(i) + 1; }
    $var(i) = 0;
    while ($var(i) < 500) {
      kazoo_publish("pub", "sequence", "{'pid' : $pp, 'n' : $var(i)}");
      $var(i) = $var(i) + 1;
    }]],
}
