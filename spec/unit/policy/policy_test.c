/* policy/policy: which route a message runs, and what a policy that misbehaves costs: its own message only. */
#include "policy/policy.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "check.h"
#include "core/log.h"

/* -- a host with a policy file, and what it asked for and logged -- */

static char asked[4096];   /* the names, in their order */
static const char *routes; /* those that exist: "a b c" */
static char logged[8192];
static char file[] = "/tmp/kemibus-policy-XXXXXX.lua";

static int route_index(const char *name, void *context)
{
	(void)context;
	if (strlen(asked) + strlen(name) + 2 < sizeof asked) {
		strcat(asked, *asked ? " " : "");
		strcat(asked, name);
	}
	char all[1024], *rest = all;
	snprintf(all, sizeof all, "%s", routes);
	int i = 0;
	for (char *word = strtok_r(all, " ", &rest); word; word = strtok_r(NULL, " ", &rest), i++)
		if (strcmp(word, name) == 0)
			return i;
	return -1;
}

static void keep_line(enum kb_log_level level, const char *line)
{
	(void)level;
	if (strlen(logged) + strlen(line) + 2 < sizeof logged) {
		strcat(logged, line);
		strcat(logged, "\n");
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

/* The limit of time is out of reach: on a busy machine it would be the first that a policy exceeds. */
static struct kb_policy_config config_for(const char *bus, const char *policy)
{
	struct kb_policy_config config = {
		.bus = bus, .route_index = route_index, .instructions_max = 1000 * 1000, .seconds_max = 1000};
	*asked = *logged = 0;
	if (policy) {
		write_file(file, policy);
		config.file = file;
	}
	return config;
}

static struct kb_policy *open_config(const struct kb_policy_config *config)
{
	struct kb_buf error = {0};
	struct kb_policy *policy = kb_policy_open(config, &error);
	if (!policy) {
		fprintf(stderr, "%.*s\n", KB_SLICE_FMT(kb_buf_slice(&error)));
		exit(1);
	}
	kb_policy_add_subscription(policy, 0,
		&(struct kb_policy_subscription){.exchange = "dialoginfo", .queue = "q", .subject = "calls.*", .group = "g"});
	kb_policy_add_subscription(
		policy, 1, &(struct kb_policy_subscription){.event_key = "My_Key", .event_subkey = "My_Sub", .subject = "x"});
	return policy;
}

static struct kb_policy *open_host(const char *bus, const char *policy)
{
	struct kb_policy_config config = config_for(bus, policy);
	return open_config(&config);
}

static int route_bytes(struct kb_policy *policy, uint32_t subscription, struct kb_slice payload)
{
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("ex"),
		.key = KB_SLICE_LITERAL("calls.new"),
		.origin = {.subscription = subscription}};
	return kb_policy_route(policy, &m, payload);
}

static int route_text(struct kb_policy *policy, uint32_t subscription, const char *payload)
{
	return route_bytes(policy, subscription, kb_slice_from(payload));
}

static const char update[] = "{\"Event-Category\":\"presence\",\"Event-Name\":\"MWI_Update\",\"Expires\":5}";

/* -- the defaults -- */

static void asks_for_the_five_names_in_order(void)
{
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "";
	CHECK(route_text(policy, 0, update) == KB_POLICY_NO_ROUTE);
	CHECK_TEXT(asked, "kazoo:consumer-event-presence-mwi-update kazoo:consumer-event-presence "
					  "kazoo:consumer-event-event-category-event-name kazoo:consumer-event-event-category "
					  "kazoo:consumer-event");
	kb_policy_close(policy);
}

static void takes_the_first_that_exists(void)
{
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "other kazoo:consumer-event kazoo:consumer-event-presence";
	CHECK(route_text(policy, 0, update) == 2);
	CHECK(route_text(policy, 0, "{\"Event-Category\":\"x\"}") == 1);
	CHECK(route_text(policy, 0, update) == 2); /* remembered */
	CHECK(route_text(policy, 0, "{}") == 1);
	kb_policy_close(policy);
}

static void lets_a_subscription_replace_the_keys(void)
{
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "";
	CHECK(route_text(policy, 1, "{\"Event-Category\":\"no\",\"My_Key\":7,\"My_Sub\":null}") == KB_POLICY_NO_ROUTE);
	CHECK_TEXT(asked, "kazoo:consumer-event-7-my-sub kazoo:consumer-event-7 kazoo:consumer-event-my-key-my-sub "
					  "kazoo:consumer-event-my-key kazoo:consumer-event");
	kb_policy_close(policy);
}

static void takes_the_default_keys_from_the_configuration(void)
{
	struct kb_policy_config config = config_for("kazoo", NULL);
	config.event_key = "A";
	config.event_subkey = "B";
	struct kb_policy *policy = open_config(&config);
	routes = "kazoo:consumer-event-a-b";
	CHECK(route_text(policy, 0, "{\"Event-Category\":\"presence\"}") == 0);
	kb_policy_close(policy);
}

static void names_the_events_of_the_module(void)
{
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("connection"),
		.key = KB_SLICE_LITERAL("open"),
		.origin = {.subscription = KB_ORIGIN_EVENT}};
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "kazoo:consumer-event-connection-open nats:connected";
	CHECK(kb_policy_route(policy, &m, kb_slice(NULL, 0)) == 0);
	kb_policy_close(policy);

	policy = open_host("nats", NULL);
	m.exchange = KB_SLICE_LITERAL("connected");
	m.key = kb_slice(NULL, 0);
	CHECK(kb_policy_route(policy, &m, kb_slice(NULL, 0)) == 1);
	kb_policy_close(policy);
}

static void asks_a_policy_for_the_events_of_the_module(void)
{
	static const char text[] =
		"return { route_names = function(e) return { table.concat({ e.key, tostring(e.subkey), tostring(e.subject),\n"
		"  tostring(e.exchange), tostring(e.routing_key), tostring(e.redelivered), e.text }, '|') } end }";
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("connection"),
		.key = KB_SLICE_LITERAL("open"),
		.origin = {.subscription = KB_ORIGIN_EVENT}};
	struct kb_policy *policy = open_host("kazoo", text);
	routes = "";
	CHECK(kb_policy_route(policy, &m, kb_slice(NULL, 0)) == KB_POLICY_NO_ROUTE);
	CHECK_TEXT(asked, "connection|open|nil|nil|nil|false|");
	kb_policy_close(policy);

	policy = open_host("nats", text);
	m.exchange = KB_SLICE_LITERAL("connected");
	m.key = kb_slice(NULL, 0);
	CHECK(kb_policy_route(policy, &m, kb_slice(NULL, 0)) == KB_POLICY_NO_ROUTE);
	CHECK_TEXT(asked, "connected|nil|nil|nil|nil|false|");
	kb_policy_close(policy);
}

static void check_tried(struct kb_policy *policy, const char *wanted)
{
	for (int i = 0; i < 2; i++) { /* what was found is remembered */
		struct kb_buf names = {0};
		CHECK(route_text(policy, 0, update) == KB_POLICY_NO_ROUTE);
		kb_policy_tried(policy, &names);
		kb_buf_append_byte(&names, 0);
		CHECK_TEXT(names.p, wanted);
		kb_buf_free(&names);
	}
	kb_policy_close(policy);
}

static void says_which_routes_it_has_looked_for(void)
{
	routes = "";
	check_tried(open_host("nats", NULL), "nats:calls.*, nats:calls-new, nats:calls-any");
	check_tried(open_host("kazoo", NULL),
		"kazoo:consumer-event-presence-mwi-update, kazoo:consumer-event-presence, "
		"kazoo:consumer-event-event-category-event-name, kazoo:consumer-event-event-category, kazoo:consumer-event");
	check_tried(open_host("nats", "return { route_names = function() return { 'a', 'b' } end }"), "a, b");
}

static void names_a_nats_route_after_the_subscription(void)
{
	static const char bytes[] = "\0\xff{not json";
	struct kb_policy *policy = open_host("nats", NULL);
	routes = "nats:calls.*";
	CHECK(route_bytes(policy, 0, kb_slice(bytes, sizeof bytes)) == 0);
	CHECK(route_text(policy, 1, "") == KB_POLICY_NO_ROUTE);
	kb_policy_close(policy);
}

/* -- any bytes from the bus -- */

static void says_what_is_no_object(void)
{
	static const char *const texts[] = {"", "[]", "[{}]", "1", "\"x\"", "null", "true", "{", "{\"a\":}", "{} x",
		"{'a':1}", "{\"a\":\"\\ud800\"}", "{\"a\":\"", "{\"a\":\"\\", "{\"a\":\"\\u12", "{\"a\":01}", "{\"a\":-}",
		"{\"a\" 1}", "{,}", "{\"a\":1,}", "\xff\xfe{}"};
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "kazoo:consumer-event";
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		CHECK(route_text(policy, 0, texts[i]) == KB_POLICY_UNREADABLE);
		CHECK(route_text(policy, 0, "{}") == 0);
	}
	CHECK(route_bytes(policy, 0, kb_slice("{\"a\":\"\0\"}", 9)) == KB_POLICY_UNREADABLE);
	CHECK_TEXT(logged, "");
	kb_policy_close(policy);
}

static void survives_nesting_without_end(void)
{
	static char text[40001];
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "kazoo:consumer-event";
	memset(text, '[', sizeof text - 1);
	CHECK(route_text(policy, 0, text) == KB_POLICY_UNREADABLE);
	for (size_t i = 0; i + 5 < sizeof text; i += 5)
		memcpy(text + i, "{\"a\":", 5);
	CHECK(route_text(policy, 0, text) == KB_POLICY_UNREADABLE);
	CHECK(route_text(policy, 0, "{}") == 0);
	kb_policy_close(policy);
}

static void asks_for_hostile_keys_as_they_are(void)
{
	struct kb_policy *policy = open_host("kazoo", NULL);
	struct kb_buf text = {0};
	routes = "kazoo:consumer-event-event-category-event-name";
	kb_buf_printf(&text, "{\"Event-Category\":\"%0600d\",\"Event-Name\":\"\\u0000%%s%%n\"}", 7);
	CHECK(route_bytes(policy, 0, kb_buf_slice(&text)) == 0);
	kb_buf_clear(&text);
	kb_buf_printf(&text, "{\"Event-Category\":\"%0300000d\"}", 7);
	CHECK(route_bytes(policy, 0, kb_buf_slice(&text)) == 0);
	CHECK(route_text(policy, 0, "{\"Event-Category\":{\"a\":1},\"Event-Name\":[]}") == 0);
	CHECK(route_text(policy, 0, "{\"Event-Category\":\"\\u0000\",\"Event-Name\":\"\\u0000\"}") == 0);
	CHECK_TEXT(logged, "");
	kb_buf_free(&text);
	kb_policy_close(policy);
}

static void remembers_a_bounded_number_of_names(void)
{
	struct kb_policy_config config = config_for("kazoo", NULL);
	config.memory_max = 512 * 1024; /* the host may hold four times that */
	struct kb_policy *policy = open_config(&config);
	routes = "kazoo:consumer-event";
	for (int i = 0; i < 100 * 1000; i++) {
		char text[128];
		snprintf(text, sizeof text, "{\"Event-Category\":\"%d\",\"Event-Name\":\"%d\"}", i, i * 7);
		CHECK(route_text(policy, 0, text) == 0);
	}
	CHECK_TEXT(logged, "");
	kb_policy_close(policy);
}

static void logs_a_payload_that_memory_cannot_hold(void)
{
	struct kb_policy_config config = config_for("kazoo", NULL);
	config.memory_max = 512 * 1024;
	struct kb_policy *policy = open_config(&config);
	struct kb_buf text = {0};
	routes = "kazoo:consumer-event";
	kb_buf_append(&text, "{\"a\":[0", 7);
	for (int i = 0; i < 200 * 1000; i++)
		kb_buf_append(&text, ",{}", 3);
	kb_buf_append(&text, "]}", 2);
	CHECK(route_bytes(policy, 0, kb_buf_slice(&text)) == KB_POLICY_UNREADABLE);
	CHECK_CONTAINS(logged, "not enough memory");
	CHECK(route_text(policy, 0, "{}") == 0);
	kb_buf_free(&text);
	kb_policy_close(policy);
}

/* -- a policy of the operator's -- */

static void shows_the_event_to_a_policy(void)
{
	struct kb_policy *policy = open_host("kazoo",
		"return { route_names = function(e) return { table.concat({ e.bus, e.key_name, e.subkey_name, e.key, "
		"e.subkey,\n"
		"  e.exchange, e.routing_key, tostring(e.subject), e.subscription.queue, tostring(e.redelivered),\n"
		"  e.payload.Expires, e.text }, '|'):gsub(' ', '') .. '' } end }");
	routes = "";
	CHECK(route_text(policy, 0, update) == KB_POLICY_NO_ROUTE);
	CHECK_TEXT(logged, "");
	CHECK_CONTAINS(
		asked, "kazoo|Event-Category|Event-Name|presence|MWI_Update|ex|calls.new|nil|q|false|5|{\"Event-Category\"");
	kb_policy_close(policy);
}

static void shows_a_nats_event_to_a_policy(void)
{
	struct kb_policy *policy = open_host("nats",
		"return { route_names = function(e) return { table.concat({ e.bus, e.subject, e.subscription.subject,\n"
		"  e.subscription.group, type(e.payload), tostring(e.key_name), tostring(e.routing_key), #e.text }, '|') } end "
		"}");
	routes = "";
	route_text(policy, 0, "{}");
	CHECK_TEXT(asked, "nats|calls.new|calls.*|g|table|nil|nil|2");
	*asked = 0;
	route_bytes(policy, 0, kb_slice("\0\1\2", 3));
	CHECK_TEXT(asked, "nats|calls.new|calls.*|g|nil|nil|nil|3");
	CHECK_TEXT(logged, "");
	kb_policy_close(policy);
}

static void lets_a_policy_choose_for_what_is_no_object(void)
{
	struct kb_policy *policy = open_host("kazoo", "return { route_names = function(e)\n"
												  "  if e.payload then return { 'array-' .. #e.payload } end\n"
												  "  if e.text == 'raw' then return { e.text } end\n"
												  "end }");
	routes = "raw array-2";
	CHECK(route_text(policy, 0, "raw") == 0);
	CHECK(route_text(policy, 0, "[1,2]") == 1);
	CHECK(route_text(policy, 0, "other") == KB_POLICY_UNREADABLE);
	kb_policy_close(policy);
}

static void takes_keys_from_a_policy_and_names_by_default(void)
{
	struct kb_policy *policy =
		open_host("kazoo", "return { event_key = function(p, s) return s.exchange, p.Expires and 'exp' end }");
	routes = "kazoo:consumer-event-dialoginfo-exp kazoo:consumer-event-dialoginfo";
	CHECK(route_text(policy, 0, update) == 0);
	CHECK(route_text(policy, 0, "{}") == 1);
	kb_policy_close(policy);
}

static void serves_by_default_when_a_policy_has_no_opinion(void)
{
	struct kb_policy *policy = open_host("kazoo", "return { route_names = function() end }");
	routes = "kazoo:consumer-event-presence";
	CHECK(route_text(policy, 0, update) == 0);
	CHECK_TEXT(logged, "");
	kb_policy_close(policy);

	policy = open_host("kazoo", "return { route_names = function() return {} end }");
	CHECK(route_text(policy, 0, update) == KB_POLICY_UNWANTED);
	kb_policy_close(policy);
}

static void keeps_the_event_of_another_message_apart(void)
{
	struct kb_policy *policy = open_host("nats", "local first\n"
												 "return { route_names = function(e)\n"
												 "  if first then return { tostring(first.text) } end\n"
												 "  first = e\n"
												 "end }");
	routes = "nil nats:calls.*";
	CHECK(route_text(policy, 0, "one") == 1);
	CHECK(route_text(policy, 0, "two") == 0);
	kb_policy_close(policy);
}

/* -- policies that fail on a message -- */

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

/* -- what a policy can reach -- */

static void check_expression(const char *expression, const char *wanted)
{
	char text[1024];
	snprintf(text, sizeof text, "return { route_names = function(event) return { tostring(%s) } end }", expression);
	struct kb_policy *policy = open_host("kazoo", text);
	routes = "";
	route_text(policy, 0, "{}");
	CHECK_TEXT(logged, "");
	CHECK_TEXT(asked, wanted);
	kb_policy_close(policy);
}

static void gives_policies_a_world_without_harm(void)
{
	static const char *const absent[] = {"io", "debug", "package", "ffi", "jit", "os.execute", "os.exit", "os.remove",
		"os.getenv", "string.dump", "('').dump", "dofile", "loadfile", "getfenv", "setfenv", "newproxy",
		"collectgarbage", "module", "_G.io", "load('\\27LJ\\2')", "loadstring('\\27LJ\\2')",
		"load(function() return nil end, 'x', 'b', nil) == 1 or nil"};
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		check_expression(absent[i], "nil");
	check_expression("getmetatable('')", "false");
	check_expression("pcall(setmetatable, '', {})", "false");
	check_expression("load('return _G.io')()", "nil");
	check_expression("load('return x', 'n', 't', { x = 5 })()", "5");
	check_expression("loadstring('return 1 + 1')()", "2");
	check_expression("load(('return 5'):gmatch('.'))()", "5");
	check_expression(
		"select(2, pcall(load, function() return 5 end)):match('must return a string')", "must return a string");
	check_expression("select(2, coroutine.resume(coroutine.create(function() return 7 end)))", "7");
	check_expression("select(2, pcall(coroutine.wrap(function() error('in', 0) end)))", "in");
	check_expression("setmetatable({}, { __tostring = function() return 'shown' end })", "shown");
	check_expression("(function() local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) "
					 "return table.concat(t) end)()",
		"321");
	check_expression("select(2, xpcall(function() error('a', 0) end, function(m) return m .. 'b' end))", "ab");
	check_expression(
		"require('cjson').encode({ 1, { a = '/\\n' }, require('cjson').null })", "[1,{\"a\":\"\\/\\n\"},null]");
	check_expression("require('cjson').decode('{\"a\":[1.5,\"\\\\u00e9\"]}').a[2]", "\xc3\xa9");
	check_expression("require('kemibus.routing_key').encode('a.b')", "a%2Eb");
	check_expression("require('kemibus').json.get({ a = 1 }, 'a')", "1");
	check_expression("select(2, pcall(require, 'ffi')):match('app_lua') and 'refused'", "refused");
	check_expression("select(2, pcall(require, '../x')):match('not found')", "not found");
	check_expression("select(2, pcall(require, 'nothing.here')):match('not found')", "not found");
	check_expression("bit.band(7, 2) .. math.max(1, 2) .. type(os.time())", "22number");
}

static void keeps_the_default_out_of_reach(void)
{
	struct kb_policy *policy = open_host("kazoo", "string.lower = function() while true do end end\n"
												  "string.gsub, string.format = string.lower, string.lower\n"
												  "local routes = require('kemibus.routes')\n"
												  "routes.event_key, routes.route_names = nil, nil\n"
												  "routes.kazoo_names = string.lower\n"
												  "table.concat, ipairs, next = nil, nil, nil\n"
												  "require('cjson').decode = nil\n"
												  "return {}");
	routes = "kazoo:consumer-event-presence-mwi-update";
	CHECK(route_text(policy, 0, update) == 0);
	CHECK_TEXT(logged, "");
	kb_policy_close(policy);
}

static void lets_a_policy_log(void)
{
	struct kb_policy *policy = open_host(
		"kazoo", "print('one', 2, nil)\nlog('warning', 'two %s\\nlines')\nreturn { route_names = function() end }");
	CHECK_TEXT(logged, "one?2?nil\ntwo %s?lines\n");
	kb_policy_close(policy);
}

/* -- files that do not load -- */

static void check_refusal(const char *text, const char *wanted)
{
	struct kb_policy_config config = config_for("kazoo", text);
	struct kb_buf error = {0};
	struct kb_policy *policy = kb_policy_open(&config, &error);
	CHECK(policy == NULL);
	kb_buf_append_byte(&error, 0);
	CHECK_CONTAINS(error.p, file);
	CHECK_CONTAINS(error.p, wanted);
	CHECK(strchr(error.p, '\n') == NULL);
	kb_buf_free(&error);
	kb_policy_close(policy);
}

static void refuses_files_that_do_not_load(void)
{
	check_refusal("return {\n  event_key = function( end\n}", ".lua:2: ");
	check_refusal("x = nil\nlocal y = x.z", ".lua:2: attempt to index global 'x' (a nil value)");
	check_refusal("", "the file returns nothing, not a table of functions");
	check_refusal("return 5", "the file returns a number, not a table");
	check_refusal(
		"return { evnet_key = function() end }", "unknown entry 'evnet_key': a policy has event_key and route_names");
	check_refusal("return { event_key = 'Event-Category' }", "event_key is a string, not a function");
	check_refusal("while true do end", ".lua:1: exceeds the instruction limit");
	check_refusal("return ('x'):rep(1e9)", "exceeds the memory limit");
	check_refusal("require 'lfs'", "module 'lfs' is written in C");
	check_refusal("return require 'missing.module'", "module 'missing.module' not found: a policy can require");
	check_refusal("\33LJ\2", "attempt to load");
	check_refusal("error({})", "error value is a table, not a string");
}

static void names_a_file_that_is_not_there(void)
{
	struct kb_policy_config config = config_for("kazoo", NULL);
	struct kb_buf error = {0};
	config.file = "/tmp/kemibus-no-such-file.lua";
	CHECK(kb_policy_open(&config, &error) == NULL);
	kb_buf_append_byte(&error, 0);
	CHECK_CONTAINS(error.p, "/tmp/kemibus-no-such-file.lua: No such file or directory");
	kb_buf_clear(&error);
	config.file = "/tmp";
	CHECK(kb_policy_open(&config, &error) == NULL);
	kb_buf_append_byte(&error, 0);
	CHECK_CONTAINS(error.p, "directory");
	kb_buf_free(&error);
}

static void requires_files_beside_the_policy(void)
{
	char folder[] = "/tmp/kemibus-policy-dir-XXXXXX", path[128], module[128];
	if (!mkdtemp(folder))
		abort();
	snprintf(path, sizeof path, "%s/policy.lua", folder);
	snprintf(module, sizeof module, "%s/names.lua", folder);
	write_file(path, "local n = require 'names'\nreturn { route_names = function() return { n.one, n.count() } end }");
	write_file(module, "local n = 0\nreturn { one = ..., count = function()\n n = n + 1 return 'c' .. n end }");
	struct kb_policy_config config = config_for("kazoo", NULL);
	config.file = path;
	struct kb_policy *policy = open_config(&config);
	routes = "";
	route_text(policy, 0, "{}");
	route_text(policy, 0, "{}");
	CHECK_TEXT(asked, "names c1 c2"); /* names once: it is remembered that there is none */
	kb_policy_close(policy);

	write_file(module, "return\n {}..1");
	struct kb_buf error = {0};
	CHECK(kb_policy_open(&config, &error) == NULL);
	kb_buf_append_byte(&error, 0);
	CHECK_CONTAINS(error.p, "names.lua:2: attempt to concatenate");
	kb_buf_free(&error);
	remove(path);
	remove(module);
	remove(folder);
}

/* -- for ever -- */

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
	if (mkstemps(file, 4) < 0)
		abort();
	kb_log_set_sink(keep_line);
	asks_for_the_five_names_in_order();
	takes_the_first_that_exists();
	lets_a_subscription_replace_the_keys();
	takes_the_default_keys_from_the_configuration();
	names_the_events_of_the_module();
	asks_a_policy_for_the_events_of_the_module();
	says_which_routes_it_has_looked_for();
	names_a_nats_route_after_the_subscription();
	says_what_is_no_object();
	survives_nesting_without_end();
	asks_for_hostile_keys_as_they_are();
	remembers_a_bounded_number_of_names();
	logs_a_payload_that_memory_cannot_hold();
	shows_the_event_to_a_policy();
	shows_a_nats_event_to_a_policy();
	lets_a_policy_choose_for_what_is_no_object();
	takes_keys_from_a_policy_and_names_by_default();
	serves_by_default_when_a_policy_has_no_opinion();
	keeps_the_event_of_another_message_apart();
	logs_errors_with_their_place();
	refuses_results_of_the_wrong_kind();
	stops_what_runs_too_long();
	stops_what_runs_too_long_by_the_clock();
	stops_what_nests_in_c();
	stops_what_eats_memory();
	holds_the_limits_on_every_message();
	gives_the_default_a_payload_of_its_own();
	gives_policies_a_world_without_harm();
	keeps_the_default_out_of_reach();
	lets_a_policy_log();
	refuses_files_that_do_not_load();
	names_a_file_that_is_not_there();
	requires_files_beside_the_policy();
	does_not_grow();
	remove(file);
	return check_failures ? 1 : 0;
}
