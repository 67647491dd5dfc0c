#include <core/dprint.h>
#include <core/pt.h>
#include <core/sr_module.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus/publisher.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/route_calls.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/kv.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/asked.h"
#include "nats/broker.h"

enum {
	ANSWER_MAX = 1024 * 1024 + 128 * 1024, /* bytes of address space for each question: max_payload, and headers */
	ASKED = 8192,                          /* questions that are known by their subjects */
	BATCH = 16                             /* questions of one process before the next has its turn */
};

static bool want_requester, want_resumer;
static struct kb_outbox *outbox;
static struct kb_replies *replies;
static char inbox[KN_INBOX_BYTES];

/* -- what is wanted -- */

/* What a KEMI script will call is not known before it does. False and a log line: tm is missing. */
static bool look_what_is_wanted(void)
{
	static const char *const suspending[] = {KN_REQUEST_ASYNC, NULL};
	static const char *const waiting[] = {
		"nats_request", "nats_kv_get", "nats_kv_put", "nats_kv_create", "nats_kv_update", "nats_kv_delete", NULL};
	if (!kb_suspend_init(KN_REQUEST_ASYNC, suspending, &want_resumer))
		return false;
	want_requester = want_resumer || kn_settings()->n_buckets || kb_kemi_is_there() || kb_routes_call(waiting);
	return true;
}

struct kb_outbox *kn_question_outbox(void)
{
	return outbox;
}

struct kb_replies *kn_replies(void)
{
	return replies;
}

const char *kn_inbox(void)
{
	return inbox;
}

bool kn_requester_init(void)
{
	char id[KB_UUID_SHORT_CHARS];
	size_t processes = (size_t)get_max_procs();
	if (!look_what_is_wanted())
		return false;
	size_t suspended = want_resumer ? (size_t)kn_settings()->async_requests : 0;
	if (!want_requester)
		return true;
	kb_uuid_make_short(id);
	snprintf(inbox, sizeof inbox, "%s.%.*s", kn_settings()->inbox_prefix, (int)sizeof id, id);
	outbox = kb_outbox_create(processes, (size_t)kn_settings()->outbox_bytes, 1);
	replies = kb_replies_create(processes + suspended, processes, (size_t)kn_settings()->async_workers, ANSWER_MAX);
	if (!outbox || !replies)
		LM_ERR("nats_async_requests: no shared memory for %zu questions: %s\n", processes + suspended, strerror(errno));
	kb_counts_add_outbox(outbox);
	kb_counts_set_replies(replies);
	return outbox && replies;
}

/* -- the requester: the process that has the connection -- */

/* The words behind the last dot. */
static struct kb_slice id_of(struct kb_slice subject)
{
	const char *dot = memrchr(subject.p, '.', subject.n);
	return dot ? kb_slice(dot + 1, subject.n - (size_t)(dot + 1 - subject.p)) : subject;
}

/* The whole message goes into the slot, so that headers and status are there for the route. */
static bool on_answer(void *context, const struct kb_message *m)
{
	static struct kb_buf flat;
	static struct kb_log_limit too_long;
	(void)context;
	if (kn_buckets_answered(id_of(m->key), m))
		return true;
	size_t size = kb_message_size(m);
	kb_buf_clear(&flat);
	char *to = kb_buf_reserve(&flat, size);
	if (!to)
		return true; /* for want of memory the question ends at its deadline */
	kb_message_encode(m, to);
	if (size > kb_replies_answer_max(replies))
		kb_log_limited(&too_long, KB_LOG_ERROR, "nats: answer of %zu bytes dropped: there is room for %zu", size,
			kb_replies_answer_max(replies));
	kb_replies_answer(replies, id_of(m->key), kb_slice(to, size));
	return true;
}

static void answer_ourselves(struct kb_slice reply, struct kb_slice status)
{
	static struct kb_buf properties;
	kb_buf_clear(&properties);
	kb_headers_add(&properties, KB_SLICE_LITERAL("status"), status);
	on_answer(NULL, &(struct kb_message){.key = reply, .properties = kb_buf_slice(&properties)});
}

/* Longer than the server takes, which nobody else knows: whoever asked is not to wait for an answer. */
static void on_unsendable(void *context, const struct kb_message *question)
{
	(void)context;
	answer_ourselves(question->reply, KB_SLICE_LITERAL(KN_UNSENT));
}

static void on_sent(void *context, const struct kb_message *question)
{
	kb_nats_asked_note(context, question->key, id_of(question->reply));
}

static void end_forbidden(void *context, struct kb_slice id)
{
	(void)context;
	answer_ourselves(id, KB_SLICE_LITERAL(KN_FORBIDDEN));
}

static void on_forbidden(void *context, struct kb_slice subject, const char *reason)
{
	(void)reason;
	kb_nats_asked_end(context, subject, end_forbidden, NULL);
}

static void on_connection(void *context, bool open, const char *address)
{
	(void)context, (void)address;
	if (open)
		kb_replies_open(replies);
	else
		kb_replies_close(replies, NULL);
	kn_buckets_forget();
}

/* All answers come under one subject, whatever the connection. */
static const struct kb_subscription *to_answers(void *context)
{
	static char subject[KN_INBOX_BYTES + 2];
	static const char *const routing = subject;
	static const struct kb_subscription subscription = {.exchange = {.name = "", .type = ""},
		.queue = {.name = ""},
		.routing = &routing,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	(void)context;
	snprintf(subject, sizeof subject, "%s.*", inbox);
	return &subscription;
}

static void on_tick(void *context)
{
	kb_process_tick(context);
	if (kb_replies_are_open(replies))
		kn_buckets_ask();
}

static void requester_main(void *argument)
{
	static const char name[] = "kamailio requester";
	struct kb_nats_asked *asked = kb_nats_asked_create(ASKED);
	(void)argument;
	if (!asked)
		return;
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH | KB_ROLE_CONSUME, name);
	config.traffic = kn_stats_connection(name);
	kb_traffic_list(config.traffic, to_answers(NULL), 1, false);
	kb_publisher_run(&(struct kb_publisher){.api = &kb_nats,
		.config = config,
		.outbox = outbox,
		.at_once = true,
		.batch = BATCH,
		.context = asked,
		.sent = on_sent,
		.forbidden = on_forbidden,
		.subscription = to_answers,
		.delivered = on_answer,
		.unsendable = on_unsendable,
		.connection = on_connection,
		.tick = on_tick,
		.stop = kb_process_stop});
	kb_nats_asked_free(asked);
}

/* -- the resumers: the processes that go on with transactions -- */

static void resumer_main(void *argument)
{
	kb_resumer_run(&(struct kb_resumer){.function = KN_REQUEST_ASYNC,
		.replies = replies,
		.share = (size_t)(intptr_t)argument,
		.ended = kn_question_ended,
		.forget = kn_forget_answer});
}

static bool fork_resumers(void)
{
	for (intptr_t i = 0; i < kn_settings()->async_workers; i++)
		if (kb_process_fork(KB_PROCESS_ROUTES, "nats request resumer", resumer_main, (void *)i) < 0)
			return false;
	return true;
}

int kn_requester_processes(void)
{
	return 1 + kn_settings()->async_workers;
}

bool kn_requester_fork(void)
{
	int unused = kn_requester_processes() - want_requester - (want_resumer ? kn_settings()->async_workers : 0);
	if (unused)
		LM_INFO("nats: %d processes fewer than announced: the configuration asks nothing that needs them\n", unused);
	if (want_resumer && !fork_resumers())
		return false;
	return !want_requester || kb_process_fork(KB_PROCESS_BARE, "nats requester", requester_main, NULL) == 0;
}
