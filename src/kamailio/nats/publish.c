#include "kamailio/nats/publish.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "bus/publisher.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/broker.h"
#include "kamailio/nats/event.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/broker.h"

enum { BATCH = 64 }; /* messages of one SIP worker before the next has its turn */

static struct kb_outbox *outbox;

bool kn_publish_init(void)
{
	const struct kn_settings *s = kn_settings();
	outbox = kb_outbox_create((size_t)get_max_procs(), (size_t)s->outbox_bytes, (size_t)s->publish_workers);
	if (!outbox)
		LM_ERR("nats_outbox_size: cannot allocate shared memory for %d rings of %d bytes: %s\n", get_max_procs(),
			s->outbox_bytes, strerror(errno));
	kb_counts_add_outbox(outbox);
	return outbox != NULL;
}

int kn_publish_message(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers)
{
	struct kb_message m;
	return kn_message_build(function, subject, payload, reply, headers, &m) ? kn_message_send(function, outbox, &m)
																			: -1;
}

/* -- functions of scripts -- */

static const char publishing[] = "nats_publish";

int kn_publish4(struct sip_msg *msg, char *subject, char *payload, char *reply, char *headers)
{
	struct kb_slice s, p, r = {NULL, 0}, h = {NULL, 0};
	if (!kb_script_get(msg, publishing, "subject", subject, &s) ||
		!kb_script_get(msg, publishing, "payload", payload, &p) ||
		(reply && !kb_script_get(msg, publishing, "reply", reply, &r)) ||
		(headers && !kb_script_get(msg, publishing, "headers", headers, &h)))
		return kn_message_refuse();
	return kn_publish_message(publishing, s, p, r, h);
}

int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply)
{
	return kn_publish4(msg, subject, payload, reply, NULL);
}

int kn_publish2(struct sip_msg *msg, char *subject, char *payload)
{
	return kn_publish4(msg, subject, payload, NULL, NULL);
}

int kn_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *reply, str *headers)
{
	const struct kb_slice none = {NULL, 0};
	(void)msg;
	return kn_publish_message(publishing, kb_str_to_slice(subject), kb_str_to_slice(payload),
		reply ? kb_str_to_slice(reply) : none, headers ? kb_str_to_slice(headers) : none);
}

int kn_publish_kemi_request(struct sip_msg *msg, str *subject, str *payload, str *reply)
{
	return kn_publish_kemi_headers(msg, subject, payload, reply, NULL);
}

int kn_publish_kemi(struct sip_msg *msg, str *subject, str *payload)
{
	return kn_publish_kemi_headers(msg, subject, payload, NULL, NULL);
}

/* -- the publisher processes -- */

static void publisher_main(void *argument)
{
	char name[64];
	size_t reader = (size_t)(intptr_t)argument;
	snprintf(name, sizeof name, "kamailio publisher %zu", reader);
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH, name);
	config.traffic = kn_stats_connection(name);
	config.confirm = kn_settings()->publish_confirm;
	bool events = kn_event_is_for_publishers() && kn_event_begin();
	kb_publisher_run(&(struct kb_publisher){.api = &kb_nats,
		.config = config,
		.outbox = outbox,
		.reader = reader,
		.batch = BATCH,
		.connection = events ? kn_event_connection : NULL,
		.notice = events ? kn_event_notice : NULL,
		.tick = events ? kn_event_tick : kb_process_tick,
		.drain_ms = KB_PROCESS_DRAIN_MS,
		.stop = kb_process_stop});
}

bool kn_publish_fork(void)
{
	static char names[64][32];
	enum kb_process_kind kind = kn_event_is_for_publishers() ? KB_PROCESS_SENDER : KB_PROCESS_BARE;
	for (int i = 0; i < kn_settings()->publish_workers; i++) {
		snprintf(names[i], sizeof names[i], "nats publisher %d", i);
		if (kb_process_fork(kind, names[i], publisher_main, (void *)(intptr_t)i) < 0)
			return false;
	}
	return true;
}
