/* A host with a policy file, and what it asked for and logged, for the tests of policy/policy. */
#ifndef KB_SPEC_POLICY_SCENE_H
#define KB_SPEC_POLICY_SCENE_H

#include <stdlib.h>
#include <unistd.h>
#include "check.h"
#include "core/log.h"
#include "policy/policy.h"

static char asked[4096];   /* the names, in their order */
static const char *routes; /* those that exist: "a b c" */
static char logged[8192];
static char file[] = "/tmp/kemibus-policy-XXXXXX.lua";

static inline int route_index(const char *name, void *context)
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

static inline void keep_line(enum kb_log_level level, const char *line)
{
	(void)level;
	if (strlen(logged) + strlen(line) + 2 < sizeof logged) {
		strcat(logged, line);
		strcat(logged, "\n");
	}
}

static inline void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

/* The limit of time is out of reach: on a busy machine it would be the first that a policy exceeds. */
static inline struct kb_policy_config config_for(const char *bus, const char *policy)
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

static inline struct kb_policy *open_config(const struct kb_policy_config *config)
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

static inline struct kb_policy *open_host(const char *bus, const char *policy)
{
	struct kb_policy_config config = config_for(bus, policy);
	return open_config(&config);
}

static inline int route_bytes(struct kb_policy *policy, uint32_t subscription, struct kb_slice payload)
{
	struct kb_message m = {.exchange = KB_SLICE_LITERAL("ex"),
		.key = KB_SLICE_LITERAL("calls.new"),
		.origin = {.subscription = subscription}};
	return kb_policy_route(policy, &m, payload);
}

static inline int route_text(struct kb_policy *policy, uint32_t subscription, const char *payload)
{
	return route_bytes(policy, subscription, kb_slice_from(payload));
}

/* A payload of kazoo. */
static const char update[] = "{\"Event-Category\":\"presence\",\"Event-Name\":\"MWI_Update\",\"Expires\":5}";

/* Around the tests of a program: the file that config_for() writes, and the log. */
static inline void begin_scene(void)
{
	if (mkstemps(file, 4) < 0)
		abort();
	kb_log_set_sink(keep_line);
}

/* The status for the program to end with. */
static inline int end_scene(void)
{
	remove(file);
	return check_failures ? 1 : 0;
}

#endif
