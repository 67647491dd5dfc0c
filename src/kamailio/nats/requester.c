#include "kamailio/nats/requester.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus/publisher.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/glue/kemi.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/request_slots.h"
#include "kamailio/glue/route_calls.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/broker.h"
#include "kamailio/nats/kv_buckets.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/broker.h"
#include "nats/reply_inbox.h"

enum {
	REPLY_MAX = 1024 * 1024 + 128 * 1024, /* bytes of address space for each request: max_payload, and headers */
	BATCH = 16                            /* requests of one process before the next has its turn */
};

static bool is_wanted, is_suspending;
static struct kb_outbox *outbox;
static struct kb_replies *replies;
static size_t most; /* requests for which transactions are suspended */
static char inbox[KN_INBOX_BYTES];

struct kb_outbox *kn_requester_outbox(void)
{
	return outbox;
}

struct kb_replies *kn_requester_replies(void)
{
	return replies;
}

size_t kn_requester_most(void)
{
	return most;
}

const char *kn_requester_inbox(void)
{
	return inbox;
}

/* -- starting -- */

static bool routes_send_requests(void)
{
	static const char *const functions[] = {
		"nats_request", "nats_kv_get", "nats_kv_put", "nats_kv_create", "nats_kv_update", "nats_kv_delete", NULL};
	return kn_settings()->n_buckets || kb_kemi_is_present() || kb_route_calls_any(functions);
}

bool kn_requester_init(bool suspending)
{
	char id[KB_UUID_SHORT_CHARS];
	size_t processes = (size_t)get_max_procs();
	most = (size_t)kn_settings()->async_requests;
	is_suspending = suspending;
	is_wanted = suspending || routes_send_requests();
	if (!is_wanted)
		return true;
	kb_uuid_make_short(id);
	snprintf(inbox, sizeof inbox, "%s.%.*s", kn_settings()->inbox_prefix, (int)sizeof id, id);
	outbox = kb_outbox_create(processes, (size_t)kn_settings()->outbox_bytes, 1);
	replies = suspending ? kb_request_slots_create(
							   "nats_async_requests", &most, (size_t)kn_settings()->async_workers, REPLY_MAX)
						 : kb_replies_create(processes, processes, 1, REPLY_MAX);
	if (!outbox || (!replies && !suspending))
		LM_ERR("nats_outbox_size: cannot allocate shared memory for requests: %s\n", strerror(errno));
	kb_counts_add_outbox(outbox);
	kb_counts_set_replies(replies);
	return outbox && replies;
}

/* -- the process -- */

static void on_tick(void *context)
{
	kb_process_tick(context);
	if (kb_replies_are_open(replies))
		kn_kv_buckets_request(outbox, inbox);
}

static void run(struct kb_nats_reply_inbox *replies_to)
{
	static const char name[] = "kamailio requester";
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH | KB_ROLE_CONSUME, name);
	config.traffic = kn_stats_connection(name);
	kb_traffic_list(config.traffic, kb_nats_reply_inbox_subscription(replies_to), 1, false);
	kb_requester_run(&(struct kb_requester){.bus = &kb_nats_reply_inbox,
		.context = replies_to,
		.replies = replies,
		.own_reply = kn_kv_buckets_replied,
		.connection = kn_kv_buckets_forget,
		.publisher = {.api = &kb_nats,
			.config = config,
			.outbox = outbox,
			.batch = BATCH,
			.tick = on_tick,
			.stop = kb_process_stop}});
}

static void requester_main(void *argument)
{
	struct kb_nats_reply_inbox *replies_to = kb_nats_reply_inbox_create(inbox);
	(void)argument;
	if (replies_to)
		run(replies_to);
	kb_nats_reply_inbox_free(replies_to);
}

int kn_requester_processes(void)
{
	return 1;
}

/* The line is also for the processes of async.c. */
bool kn_requester_fork(void)
{
	int unused = !is_wanted + (is_suspending ? 0 : kn_settings()->async_workers);
	if (unused)
		LM_INFO("nats: starting %d processes fewer than announced: the configuration does not use them\n", unused);
	return !is_wanted || kb_process_fork(KB_PROCESS_BARE, "nats requester", requester_main, NULL) == 0;
}
