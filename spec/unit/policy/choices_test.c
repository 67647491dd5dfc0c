/* policy/policy with a file of the operator's: what it is shown, and what it may choose. */
#include "scene.h"

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

int main(void)
{
	begin_scene();
	shows_the_event_to_a_policy();
	shows_a_nats_event_to_a_policy();
	lets_a_policy_choose_for_what_is_no_object();
	takes_keys_from_a_policy_and_names_by_default();
	serves_by_default_when_a_policy_has_no_opinion();
	keeps_the_event_of_another_message_apart();
	return end_scene();
}
