/*
 * The LuaJIT host: Lua code chooses the route that a message runs, as an index of the caller's own.
 *
 *     open -> add_subscription* -> route* -> close
 *
 * One host for each process, made after the fork. All Lua runs protected: whatever a policy does, every call here
 * returns. A function of the operator's that fails, runs too long or takes too much memory is logged with its file and
 * line, and the default serves for that message.
 */
#ifndef KB_POLICY_POLICY_H
#define KB_POLICY_POLICY_H

#include "core/buf.h"
#include "core/message.h"

struct kb_policy;

/* What kb_policy_route() returns instead of an index. */
enum {
	KB_POLICY_NO_ROUTE = -1,   /* no route has one of the names */
	KB_POLICY_UNREADABLE = -2, /* the payload is not a JSON object, and only the default could name a route */
	KB_POLICY_UNWANTED = -3    /* the operator's policy has named no route */
};

/* Strings are NUL-terminated and read during kb_policy_open() only. */
struct kb_policy_config {
	const char *bus;  /* "kazoo" or "nats" */
	const char *file; /* the operator's policy (docs/policies.md), or NULL */
	const char *event_key,
		*event_subkey; /* of kazoo, where a subscription names none; NULL: Event-Category, Event-Name */

	/* The index of an existing route, 0 or above, or -1. The name comes from the bus and can be anything, but has no
	 * NUL byte inside. Called from inside kb_policy_route(); the result for a name is remembered. */
	int (*route_index)(const char *name, void *context);
	void *context;

	/* What one call of the operator's code may take; 0 stands for the default. */
	uint32_t instructions_max; /* of Lua, default 10 million: about 0.1 s */
	size_t memory_max;         /* bytes that the Lua state may hold while it runs, default 64 MiB */
	uint32_t seconds_max;      /* of real time, default 1 */
};

/* NULL when the policy file does not load: *error then holds one line that says where and why. The caller frees
 * *error. */
struct kb_policy *kb_policy_open(const struct kb_policy_config *config, struct kb_buf *error);
void kb_policy_close(struct kb_policy *policy); /* NULL is fine */

/* What policies see of a subscription. Strings are NUL-terminated and copied; NULL counts as "". */
struct kb_policy_subscription {
	const char *event_key, *event_subkey; /* "": the default */
	const char *exchange, *queue;         /* kazoo */
	const char *subject, *group;          /* nats */
};

/* Makes a subscription known under the index that kb_origin.subscription of its messages carries. False: out of memory.
 */
bool kb_policy_add_subscription(
	struct kb_policy *policy, uint32_t index, const struct kb_policy_subscription *subscription);

/* The index of the first route that exists among those named for the message, or one of the codes above.
 *
 * `payload` is what the route will see: for kazoo strict JSON as kb_json_rewrite() writes it. Events of the module's
 * own (origin.subscription is KB_ORIGIN_EVENT) are named by m->exchange and m->key: for kazoo as event key and subkey,
 * for nats `nats:<m->exchange>`; their payload may be empty. */
int kb_policy_route(struct kb_policy *policy, const struct kb_message *m, struct kb_slice payload);

/* Appends the names that the last KB_POLICY_NO_ROUTE has tried, with commas between. They may come from the bus. */
void kb_policy_tried(struct kb_policy *policy, struct kb_buf *names);

#endif
