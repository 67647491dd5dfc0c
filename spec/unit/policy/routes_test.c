/* policy/policy without a file: which route a message runs. */
#include "scene.h"

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

int main(void)
{
	begin_scene();
	asks_for_the_five_names_in_order();
	takes_the_first_that_exists();
	lets_a_subscription_replace_the_keys();
	takes_the_default_keys_from_the_configuration();
	names_the_events_of_the_module();
	asks_a_policy_for_the_events_of_the_module();
	says_which_routes_it_has_looked_for();
	names_a_nats_route_after_the_subscription();
	return end_scene();
}
