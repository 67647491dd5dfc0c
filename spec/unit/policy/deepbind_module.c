/* A module like those of Kamailio, as far as the policy host is concerned. */
#include <stdio.h>
#include "policy/policy.h"

static int only_route(const char *name, void *context)
{
	(void)context;
	return strcmp(name, "kazoo:consumer-event-presence") == 0 ? 7 : -1;
}

/* What came of one message, or why there is no host; valid until the next call. */
__attribute__((visibility("default"))) const char *run_policy(void);

const char *run_policy(void)
{
	static char result[256];
	struct kb_policy_config config = {.bus = "kazoo", .route_index = only_route};
	struct kb_message m = {.origin = {.subscription = 0}};
	struct kb_buf error = {0};
	struct kb_policy *policy = kb_policy_open(&config, &error);
	if (policy)
		snprintf(result, sizeof result, "route %d",
			kb_policy_route(policy, &m, KB_SLICE_LITERAL("{\"Event-Category\":\"presence\",\"a\":[1,{}]}")));
	else
		snprintf(result, sizeof result, "%.*s", KB_SLICE_FMT(kb_buf_slice(&error)));
	kb_policy_close(policy);
	kb_buf_free(&error);
	return result;
}
