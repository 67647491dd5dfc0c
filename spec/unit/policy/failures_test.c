/* policy/policy: what a policy that misbehaves costs: its own message only. */
#include "scene.h"

struct failure {
	const char *policy, *log;
};

static void check_failure_within(const struct failure *f, size_t memory_max)
{
	struct kb_policy_config config = config_for("kazoo", f->policy);
	config.memory_max = memory_max;
	struct kb_policy *policy = open_config(&config);
	routes = "kazoo:consumer-event-presence-mwi-update";
	CHECK(route_text(policy, 0, update) == 0);
	CHECK_CONTAINS(logged, f->log);
	CHECK_CONTAINS(logged, file);
	CHECK_CONTAINS(logged, "; using the default");
	CHECK(route_text(policy, 0, update) == 0);
	kb_policy_close(policy);
}

static void check_failure(const struct failure *f)
{
	check_failure_within(f, 4 * 1024 * 1024);
}

static void logs_errors_with_their_place(void)
{
	static const struct failure failures[] = {
		{"local function f(x) return x.y.z end\nreturn { event_key = function(p)\nreturn f(p), 1 end }",
			".lua:1: attempt to index field 'y' (a nil value)"},
		{"local function f(x) local a = x.y.z; return a end\nreturn { event_key = function(p)\nlocal k = f(p)\nreturn "
		 "k "
		 "end }",
			".lua:1 < "},
		{"return {\nroute_names = function() error({}) end }",
			"route_names (line 2): error value is a table, not a string"},
		{"return { route_names = function() error() end }", "error value is a nil, not a string"},
		{"return { route_names = function() error(setmetatable({}, { __tostring = function() while true do end end })) "
		 "end }",
			", not a string"},
		{"return { route_names = function() local function f() return 1 + f() end return f() end }", "stack overflow"},
		{"return { route_names = function(e) e.x() end }", "attempt to call field 'x' (a nil value)"},
		{"return { route_names = function(e) coroutine.wrap(function() error('inside') end)() end }", "inside"},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		check_failure(&failures[i]);
}

static void refuses_results_of_the_wrong_kind(void)
{
	static const struct failure failures[] = {
		{"return { route_names = function() return 5 end }",
			"route_names (line 1): returned a number: a list of route names is needed"},
		{"return { route_names = function() return 'x' end }", "returned a string: a list"},
		{"return { route_names = function() return false end }", "returned a boolean: a list"},
		{"return { route_names = function() return { 'a', 5 } end }", "a list whose item 2 is a number, not a string"},
		{"return { route_names = function() return { 'a', nil, 'c' } end }", "a list without an item 2 of 2"},
		{"return { route_names = function() return { name = 'a' } end }", "a list without an item 1 of 1"},
		{"return { event_key = function() return 5 end }",
			"event_key (line 1): returned a number: a key is a string or nil"},
		{"return { event_key = function() return 'a', {} end }", "returned a table: a key is a string or nil"},
		{"return { event_key = function() return false end }", "returned a boolean: a key is a string or nil"},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		check_failure(&failures[i]);
}

static void stops_what_runs_too_long(void)
{
	static const char instructions[] = "exceeds the instruction limit";
	static const struct failure failures[] = {
		{"return { route_names = function()\nwhile true do end\nend }", ".lua:2: exceeds the instruction limit"},
		{"return { event_key = function() repeat until false end }", instructions},
		{"return { route_names = function() while true do pcall(function() while true do end end) end end }",
			instructions},
		{"local function f() pcall(f) f() end return { route_names = f }", "so far"},
		{"return { route_names = function() while true do pcall(error) end end }", instructions},
		{"return { route_names = function() xpcall(function() while true do end end, function() while true do end end) "
		 "end }",
			instructions},
		{"return { route_names = function() coroutine.wrap(function() while true do end end)() end }", instructions},
		{"return { route_names = function() while true do coroutine.resume(coroutine.create(function() while true do "
		 "end "
		 "end)) end end }",
			instructions},
		{"return { route_names = function() local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end "
		 "})\n"
		 "while true do pcall(function() return t[1] end) end end }",
			"exceeds the"},
		{"return { route_names = function() load('while true do end')() end }", instructions},
		{"return { route_names = function() for i = 1, 1e9 do string.format('%d', i) end end }", instructions},
		{"return { route_names = function() table.sort({ 1, 2, 3 }, function() while true do end end) end }",
			instructions},
		{"return { route_names = function() (('x'):rep(100)):gsub('.', function() while true do end end) end }",
			instructions},
		{"return { route_names = function() local json = require('kemibus.json') while true do json.get({}, 'a.b') end "
		 "end }",
			instructions},
		{"return { route_names = function() table.move({}, 1, 2 ^ 40, 1) end }", "exceeds the"},
		{"return { route_names = function(e) while true do e.payload.x = nil end end }", instructions},
		{"return { route_names = function() load(function() while true do end end) while true do end end }",
			instructions},
		{"local t = setmetatable({}, { __tostring = tostring }) return { route_names = function() tostring(t) end }",
			instructions},
		{"local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end\n"
		 "return { route_names = function() tostring(t) end }",
			instructions},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		check_failure(&failures[i]);
}

/* The second one allocates its text only once, and few of its instructions take a second. */
static void stops_what_runs_too_long_by_the_clock(void)
{
	static const char *const policies[] = {"return { route_names = function()\nwhile true do end\nend }",
		"return { route_names = function()\nwhile true do local s = ('x'):rep(1e6) end\nend }"};
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		struct kb_policy_config config = config_for("kazoo", policies[i]);
		config.instructions_max = UINT32_MAX;
		config.seconds_max = 1;
		struct kb_policy *policy = open_config(&config);
		routes = "kazoo:consumer-event-presence-mwi-update";
		CHECK(route_text(policy, 0, update) == 0);
		CHECK_CONTAINS(logged, ".lua:2: exceeds the time limit; using the default");
		kb_policy_close(policy);
	}
}

/* The process's own stack ends with the process. */
static void stops_what_nests_in_c(void)
{
	static const char deep[] = "exceeds the call depth limit, probably in an endless recursion",
					  place[] = ".lua:1: exceeds the call depth limit";
	static const struct failure failures[] = {
		{"local function f() return (('x'):gsub('x', f)) end return { route_names = f }", place},
		{"local t t = setmetatable({}, { __index = function() return (('x'):gsub('x', t)) end })\n"
		 "return { route_names = function() return ('x'):gsub('x', t) end }",
			place},
		{"local function f() return coroutine.wrap(f)() end return { route_names = f }", deep},
		{"local function f() coroutine.wrap(f)() return {} end return { route_names = f }", place},
		{"local function f() coroutine.resume(coroutine.create(f)) f() end return { route_names = f }", place},
		{"local function f() coroutine.wrap(f)() error('no') end return { route_names = f }", place},
		{"local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return ('%s'):format(t) .. '' end\n"
		 "return { route_names = function() return tostring(t) end }",
			"; using the default"},
		{"local function f() table.sort({ 1, 2 }, f) end return { route_names = f }", place},
		{"local t = { table.sort } t[2] = t return { route_names = function() table.sort(t, table.sort) end }", place},
		{"local t, c = { 1, 2 }, coroutine.wrap(table.sort)\n"
		 "for i = 1, 50000 do t, c = { c, t }, coroutine.wrap(table.sort) end\n"
		 "return { route_names = function() table.sort(t, c) end }",
			deep},
		{"local function f() load(f) f() end return { route_names = f }", "so far"},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		check_failure_within(&failures[i], 0);
}

static void stops_what_eats_memory(void)
{
	static const char memory[] = "exceeds the memory limit";
	static const struct failure failures[] = {
		{"return { route_names = function() return { ('x'):rep(1e9) } end }", memory},
		{"return { route_names = function() local t = {} while true do t[#t + 1] = {} end end }", memory},
		{"local t = {} return { route_names = function() while true do t[#t + 1] = ('x'):rep(1000) .. #t end end }",
			memory},
		{"return { route_names = function() local s = 'x' while true do s = s .. s end end }", memory},
		{"return { route_names = function() while true do pcall(string.rep, 'x', 1e9) end end }", memory},
		{"local big = {} for i = 1, 1000 do big[i] = ('x'):rep(1000) end local all = {} for i = 1, 1000 do all[i] = "
		 "big end\n"
		 "return { route_names = function() return { require('cjson').encode(all) } end }",
			memory},
		{"return { route_names = function() local t = { 1 } for i = 1, 60 do t = { t, t } end\n"
		 "return { require('cjson').encode(t) } end }",
			memory},
	};
	for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
		check_failure(&failures[i]);
}

static void holds_the_limits_on_every_message(void)
{
	struct kb_policy_config config = config_for("kazoo", "local kept = {}\n"
														 "return { route_names = function(e)\n"
														 "  while true do kept[#kept + 1] = { e } end\n"
														 "end }");
	config.memory_max = 2 * 1024 * 1024;
	struct kb_policy *policy = open_config(&config);
	routes = "kazoo:consumer-event-presence-mwi-update";
	for (int i = 0; i < 1000; i++)
		CHECK(route_text(policy, 0, update) == 0);
	kb_policy_close(policy);
}

static void gives_the_default_a_payload_of_its_own(void)
{
	struct kb_policy *policy = open_host("kazoo", "return { event_key = function(p)\n"
												  "  p['Event-Category'] = nil\n"
												  "  setmetatable(p, { __index = function() while true do end end })\n"
												  "  error('half way')\n"
												  "end }");
	routes = "kazoo:consumer-event-presence-mwi-update";
	CHECK(route_text(policy, 0, update) == 0);
	CHECK_CONTAINS(logged, "half way");
	kb_policy_close(policy);
}

/* A leak inside of Lua would meet the bound; one outside is found by the sanitizer. */
static void does_not_grow(void)
{
	struct kb_policy_config config = config_for("kazoo", "return { route_names = function(e)\n"
														 "  if e.payload.Expires == 5 then error('no') end\n"
														 "end }");
	config.memory_max = 512 * 1024;
	struct kb_policy *policy = open_config(&config);
	routes = "kazoo:consumer-event-presence-mwi-update";
	for (int i = 0; i < 100 * 1000; i++) {
		CHECK(route_text(policy, 0, update) == 0);
		CHECK(strstr(logged, "memory") == NULL);
		*asked = *logged = 0;
	}
	kb_policy_close(policy);
}

int main(void)
{
	begin_scene();
	logs_errors_with_their_place();
	refuses_results_of_the_wrong_kind();
	stops_what_runs_too_long();
	stops_what_runs_too_long_by_the_clock();
	stops_what_nests_in_c();
	stops_what_eats_memory();
	holds_the_limits_on_every_message();
	gives_the_default_a_payload_of_its_own();
	does_not_grow();
	return end_scene();
}
