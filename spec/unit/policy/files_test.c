/* policy/policy: files that load, and those that do not. */
#include "scene.h"

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

int main(void)
{
	begin_scene();
	refuses_files_that_do_not_load();
	names_a_file_that_is_not_there();
	requires_files_beside_the_policy();
	return end_scene();
}
