/* policy/policy: any bytes that come from a bus. */
#include "scene.h"

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

static void runs_the_raw_route_for_what_is_no_object(void)
{
	struct kb_policy *policy = open_host("kazoo", NULL);
	routes = "kazoo:consumer-event kazoo:consumer-event-raw";
	CHECK(route_text(policy, 0, "{}") != route_text(policy, 0, ""));
	CHECK(route_text(policy, 0, "[]") == route_text(policy, 0, "") && route_text(policy, 0, "") >= 0);
	routes = "";
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

int main(void)
{
	begin_scene();
	says_what_is_no_object();
	runs_the_raw_route_for_what_is_no_object();
	survives_nesting_without_end();
	asks_for_hostile_keys_as_they_are();
	remembers_a_bounded_number_of_names();
	logs_a_payload_that_memory_cannot_hold();
	return end_scene();
}
