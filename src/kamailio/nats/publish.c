#include "kamailio/nats/publish.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "bus/publisher.h"
#include "core/log.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/event.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/broker.h"
#include "nats/headers.h"
#include "nats/subject.h"

enum { BATCH = 64 }; /* messages of one SIP worker before the next has its turn */

static struct kb_outbox *outbox;

bool kn_publish_init(void)
{
	const struct kn_settings *s = kn_settings();
	outbox = kb_outbox_create((size_t)get_max_procs(), (size_t)s->outbox_bytes, (size_t)s->publish_workers);
	if (!outbox)
		LM_ERR("nats_outbox_size: no shared memory for %d rings of %d bytes: %s\n", get_max_procs(), s->outbox_bytes,
			strerror(errno));
	kb_counts_add_outbox(outbox);
	return outbox != NULL;
}

/* -- messages -- */

static bool take_subject(const char *function, struct kb_slice subject)
{
	const char *fault = kb_nats_subject_fault(subject);
	if (fault)
		kb_log(KB_LOG_ERROR, "%s: \"%.*s\" is no subject to publish to: %s", function, KB_SLICE_FMT(subject), fault);
	return !fault;
}

static bool take_headers(const char *function, struct kb_slice text, struct kb_buf *headers)
{
	struct kb_slice bad;
	size_t size;
	kb_buf_clear(headers);
	if (!kb_headers_parse(text, headers, &bad)) {
		kb_log(KB_LOG_ERROR, "%s: header \"%.*s\" is not of the form name=value", function, KB_SLICE_FMT(bad));
		return false;
	}
	const char *fault = kb_nats_headers_fault(kb_buf_slice(headers), &size);
	if (fault)
		kb_log(KB_LOG_ERROR, "%s: headers \"%.*s\" cannot be sent: %s", function, KB_SLICE_FMT(text), fault);
	return !fault && !headers->failed;
}

int kn_message_refuse(void)
{
	kb_counts_add(KN_REFUSED_INVALID);
	return -1;
}

bool kn_message_build(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers, struct kb_message *m)
{
	static struct kb_buf list;
	if (!take_subject(function, subject) || (reply.n && !take_subject(function, reply)) ||
		!take_headers(function, headers, &list)) {
		kn_message_refuse();
		return false;
	}
	*m = (struct kb_message){.key = subject, .payload = payload, .reply = reply, .headers = kb_buf_slice(&list)};
	return true;
}

static bool accepted(
	const char *function, struct kb_outbox *to, const struct kb_message *m, enum kb_outbox_result result)
{
	static struct kb_log_limit full;
	if (result == KB_OUTBOX_TOO_LARGE)
		LM_ERR("%s: message of %zu bytes refused: nats_outbox_size allows messages of %zu bytes\n", function,
			m->payload.n, kb_outbox_message_max(to));
	else if (result != KB_OUTBOX_ACCEPTED)
		kb_log_limited(&full, KB_LOG_ERROR,
			"%s: message refused, the outbox of this process is full (nats_outbox_size=%d)", function,
			kn_settings()->outbox_bytes);
	return result == KB_OUTBOX_ACCEPTED;
}

static bool has_started(const char *function, const struct kb_outbox *to)
{
	if (!to)
		LM_ERR("%s: called before the server has started\n", function);
	return to != NULL;
}

bool kn_message_fits(const char *function, struct kb_outbox *to, const struct kb_message *m)
{
	return has_started(function, to) && accepted(function, to, m, kb_outbox_room(to, (size_t)process_no, m));
}

int kn_message_send(const char *function, struct kb_outbox *to, const struct kb_message *m)
{
	bool sent = has_started(function, to) && accepted(function, to, m, kb_outbox_put(to, (size_t)process_no, m));
	return sent ? 1 : -1;
}

static int publish(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice reply,
	struct kb_slice headers)
{
	struct kb_message m;
	return kn_message_build(function, subject, payload, reply, headers, &m) ? kn_message_send(function, outbox, &m)
																			: -1;
}

/* -- nats_publish -- */

static const char publishing[] = "nats_publish";

int kn_publish4(struct sip_msg *msg, char *subject, char *payload, char *reply, char *headers)
{
	struct kb_slice s, p, r = {NULL, 0}, h = {NULL, 0};
	if (!kb_script_get(msg, publishing, "subject", subject, &s) ||
		!kb_script_get(msg, publishing, "payload", payload, &p) ||
		(reply && !kb_script_get(msg, publishing, "reply", reply, &r)) ||
		(headers && !kb_script_get(msg, publishing, "headers", headers, &h)))
		return kn_message_refuse();
	return publish(publishing, s, p, r, h);
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
	return publish(publishing, kb_str_to_slice(subject), kb_str_to_slice(payload),
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

/* -- nats_respond: the answer to the message whose route runs -- */

static int respond(struct kb_slice payload, struct kb_slice headers)
{
	static struct kb_log_limit no_reply;
	static const char function[] = "nats_respond";
	const struct kb_message *asked = kn_delivery_message();
	if (asked && asked->reply.n)
		return publish(function, asked->reply, payload, kb_slice(NULL, 0), headers);
	if (asked)
		kb_log_limited(&no_reply, KB_LOG_ERROR,
			"%s: the message on \"%.*s\" asks for no answer: it has no reply subject", function,
			KB_SLICE_FMT(asked->key));
	else
		LM_ERR("%s: only in the event route of a message: there is nothing to answer here\n", function);
	return kn_message_refuse();
}

int kn_respond2(struct sip_msg *msg, char *payload, char *headers)
{
	struct kb_slice p, h = {NULL, 0};
	if (!kb_script_get(msg, "nats_respond", "payload", payload, &p) ||
		(headers && !kb_script_get(msg, "nats_respond", "headers", headers, &h)))
		return kn_message_refuse();
	return respond(p, h);
}

int kn_respond1(struct sip_msg *msg, char *payload, char *unused)
{
	(void)unused;
	return kn_respond2(msg, payload, NULL);
}

int kn_respond_kemi_headers(struct sip_msg *msg, str *payload, str *headers)
{
	(void)msg;
	return respond(kb_str_to_slice(payload), headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0));
}

int kn_respond_kemi(struct sip_msg *msg, str *payload)
{
	return kn_respond_kemi_headers(msg, payload, NULL);
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
