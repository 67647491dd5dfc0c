/* What the policy costs for each message: nanoseconds, for the default and for policies of an operator. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "policy/policy.h"

enum { MESSAGES = 300000, ROUNDS = 5 };

static const char event[] = "{\"Event-Category\":\"presence\",\"Event-Name\":\"update\",\"Event-Package\":\"dialog\","
							"\"From\":\"sip:1001@example.com\","
							"\"From-User\":\"1001\",\"From-Realm\":\"example.com\",\"To\":\"sip:1002@example.com\","
							"\"Call-ID\":\"a84b4c76e66710\","
							"\"Direction\":\"initiator\",\"State\":\"confirmed\",\"Expires\":3600,\"Msg-ID\":\"3f1c\"}";

static int route_index(const char *name, void *context)
{
	return strcmp(name, context) == 0 ? 0 : -1;
}

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *write_policy(const char *text)
{
	static const char path[] = "/tmp/kemibus-bench-policy.lua";
	FILE *file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
	return path;
}

static double best_ns(struct kb_policy *policy, struct kb_slice payload)
{
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("dialoginfo"), .key = KB_SLICE_LITERAL("BLF-host")};
	double best = 1e9;
	for (int round = 0; round < ROUNDS; round++) {
		double start = seconds();
		for (int i = 0; i < MESSAGES; i++)
			if (kb_policy_route(policy, &m, payload) != 0)
				abort();
		double ns = (seconds() - start) / MESSAGES * 1e9;
		best = ns < best ? ns : best;
	}
	return best;
}

static void measure(const char *name, const char *bus, const char *existing, const char *policy_text)
{
	struct kb_policy_config config = {.bus = bus, .route_index = route_index, .context = (void *)existing};
	struct kb_policy_subscription s = {.exchange = "dialoginfo", .queue = "q", .subject = "calls.*"};
	struct kb_buf error = {0};
	if (policy_text)
		config.file = write_policy(policy_text);
	struct kb_policy *policy = kb_policy_open(&config, &error);
	if (!policy) {
		printf("%.*s\n", KB_SLICE_FMT(kb_buf_slice(&error)));
		exit(1);
	}
	kb_policy_add_subscription(policy, 0, &s);
	printf("%-44s %6.0f ns\n", name, best_ns(policy, KB_SLICE_LITERAL(event)));
	kb_policy_close(policy);
	if (config.file)
		remove(config.file);
}

int main(void)
{
	static const char names[] = "return { route_names = function(event) return { event.routing_key, 'x' } end }";
	static const char keys[] = "return { event_key = function(p) return p['Event-Category'], p.State end }";
	static const char subjects[] = "return { route_names = function(event) return { event.subject } end }";
	static const char reads[] = "return { route_names = function(e) return { e.payload.State } end }";
	printf("policy, for each message (a payload of %zu bytes, CPU time)\n", sizeof event - 1);
	measure("kazoo, default", "kazoo", "kazoo:consumer-event-presence-update", NULL);
	measure("kazoo, policy with event_key", "kazoo", "kazoo:consumer-event-presence-confirmed", keys);
	measure("kazoo, policy with route_names", "kazoo", "BLF-host", names);
	measure("nats, default", "nats", "nats:calls.*", NULL);
	measure("nats, policy with route_names", "nats", "BLF-host", subjects);
	measure("nats, policy that reads the payload", "nats", "confirmed", reads);
	return 0;
}
