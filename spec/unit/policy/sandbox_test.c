/* policy/policy: what a policy can reach. */
#include "scene.h"

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

int main(void)
{
	begin_scene();
	gives_policies_a_world_without_harm();
	keeps_the_default_out_of_reach();
	lets_a_policy_log();
	return end_scene();
}
