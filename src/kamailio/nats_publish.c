#include "kamailio/nats_module.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "broker/publisher.h"
#include "core/log.h"
#include "kamailio/nats_stats.h"
#include "kamailio/process.h"
#include "kamailio/script.h"

enum { BATCH = 64 }; /* messages of one SIP worker before the next has its turn */

static struct kb_outbox *outbox;

struct kb_outbox *kn_outbox(void)
{
	return outbox;
}

bool kn_publish_init(void)
{
	const struct kn_settings *s = kn_settings();
	outbox = kb_outbox_create((size_t)get_max_procs(), (size_t)s->outbox_bytes, (size_t)s->publish_workers);
	if (!outbox)
		LM_ERR("nats_outbox_size: no shared memory for %d rings of %d bytes: %s\n", get_max_procs(), s->outbox_bytes,
			strerror(errno));
	return outbox != NULL;
}

/* A subject that can be published to: not empty, no blanks, no wildcards, no empty tokens (NATS protocol, subject
 * names). */
static bool is_subject(struct kb_slice subject)
{
	bool token_begins = true;
	for (size_t i = 0; i < subject.n; i++) {
		unsigned char c = (unsigned char)subject.p[i];
		bool last_of_token = i + 1 == subject.n || subject.p[i + 1] == '.';
		if (c <= ' ' || (c == '.' && token_begins) || (token_begins && last_of_token && (c == '*' || c == '>')))
			return false;
		token_begins = c == '.';
	}
	return subject.n > 0 && !token_begins;
}

static int publish(struct kb_slice subject, struct kb_slice payload, struct kb_slice reply)
{
	static struct kb_log_limit full;
	struct kb_message m = {.key = subject, .payload = payload, .reply = reply};
	if (!outbox) {
		LM_ERR("nats_publish: called before the server has started\n");
		return -1;
	}
	if (!is_subject(subject) || (reply.n && !is_subject(reply))) {
		kn_stats_count(KN_REFUSED_INVALID);
		LM_ERR("nats_publish: \"%.*s\" is no subject to publish to: it must be words joined by dots, without blanks or "
			   "wildcards\n",
			KB_SLICE_FMT(is_subject(subject) ? reply : subject));
		return -1;
	}
	switch (kb_outbox_put(outbox, (size_t)process_no, &m)) {
	case KB_OUTBOX_ACCEPTED: return 1;
	case KB_OUTBOX_TOO_LARGE:
		LM_ERR("nats_publish: message of %zu bytes refused: nats_outbox_size allows messages of %zu bytes\n", payload.n,
			kb_outbox_message_max(outbox));
		return -1;
	default:
		kb_log_limited(&full, KB_LOG_ERROR,
			"nats_publish: message refused, the outbox of this process is full (nats_outbox_size=%d)",
			kn_settings()->outbox_bytes);
		return -1;
	}
}

int kn_publish3(struct sip_msg *msg, char *subject, char *payload, char *reply)
{
	struct kb_slice s, p, r = {NULL, 0};
	if (!kb_script_get(msg, "nats_publish", "subject", subject, &s) ||
		!kb_script_get(msg, "nats_publish", "payload", payload, &p) ||
		(reply && !kb_script_get(msg, "nats_publish", "reply", reply, &r)))
		return -1;
	return publish(s, p, r);
}

int kn_publish2(struct sip_msg *msg, char *subject, char *payload)
{
	return kn_publish3(msg, subject, payload, NULL);
}

int kn_kemi_publish_request(struct sip_msg *msg, str *subject, str *payload, str *reply)
{
	(void)msg;
	return publish(
		kb_slice_of_str(subject), kb_slice_of_str(payload), reply ? kb_slice_of_str(reply) : kb_slice(NULL, 0));
}

int kn_kemi_publish(struct sip_msg *msg, str *subject, str *payload)
{
	return kn_kemi_publish_request(msg, subject, payload, NULL);
}

/* -- the publisher processes -- */

static void publisher_main(void *argument)
{
	char name[64];
	size_t reader = (size_t)(intptr_t)argument;
	snprintf(name, sizeof name, "kamailio publisher %zu", reader);
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH, name);
	config.traffic = kn_stats_connection(name);
	kb_publisher_run(&(struct kb_publisher){.api = &kb_nats,
		.config = config,
		.outbox = outbox,
		.reader = reader,
		.batch = BATCH,
		.tick = kb_process_tick,
		.drain_ms = KB_PROCESS_DRAIN_MS,
		.stop = kb_process_stop});
}

bool kn_publish_fork(void)
{
	static char names[64][32];
	for (int i = 0; i < kn_settings()->publish_workers; i++) {
		snprintf(names[i], sizeof names[i], "nats publisher %d", i);
		if (kb_process_fork(KB_PROCESS_BARE, names[i], publisher_main, (void *)(intptr_t)i) < 0)
			return false;
	}
	return true;
}
