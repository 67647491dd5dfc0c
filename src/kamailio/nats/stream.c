#include "kamailio/nats/stream.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <string.h>

#include "bus/publisher.h"
#include "bus/retry.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/glue/kemi.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/route_calls.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/broker.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "nats/broker.h"

enum { BATCH = 64 }; /* messages of one SIP worker before the next has its turn */

static const char publishing[] = "nats_js_publish", waiting[] = "nats_js_publish_wait";
static struct kb_outbox *outbox;

bool kn_stream_init(void)
{
	static const char *const names[] = {publishing, waiting, NULL};
	if (!kb_route_calls_any(names) && !kb_kemi_is_present())
		return true;
	outbox = kb_outbox_create((size_t)get_max_procs(), (size_t)kn_settings()->outbox_bytes, 1);
	if (!outbox)
		LM_ERR("nats_outbox_size: cannot allocate shared memory for %d rings of %d bytes: %s\n", get_max_procs(),
			kn_settings()->outbox_bytes, strerror(errno));
	kb_counts_add_outbox(outbox);
	return outbox != NULL;
}

/* -- publishing -- */

/* The stream discards a message with an id that it has seen within its duplicate window, so a message that is sent
 * twice is stored once. An id that the script has set stays. */
static void add_id(struct kb_message *m, struct kb_buf *headers)
{
	char id[KB_UUID_CHARS];
	if (kb_headers_find(m->headers, KB_SLICE_LITERAL("Nats-Msg-Id")).p)
		return;
	kb_uuid_make(id);
	kb_buf_clear(headers);
	kb_headers_add(headers, KB_SLICE_LITERAL("Nats-Msg-Id"), kb_slice(id, sizeof id));
	kb_buf_append_slice(headers, m->headers);
	m->headers = kb_buf_slice(headers);
}

static int publish(const char *function, struct kb_slice subject, struct kb_slice payload, struct kb_slice headers)
{
	static struct kb_buf with_id;
	struct kb_message m;
	if (!kn_message_build(function, subject, payload, kb_slice(NULL, 0), headers, &m))
		return KN_NOT_STORED;
	add_id(&m, &with_id);
	m.origin.flags = KB_STORED;
	return kn_message_send(function, outbox, &m);
}

static int publish_and_wait(
	struct kb_slice subject, struct kb_slice payload, unsigned timeout_ms, struct kb_slice headers)
{
	static struct kb_log_limit late, refused;
	int result = publish(waiting, subject, payload, headers);
	if (result < 0)
		return result;
	switch (kb_outbox_await(outbox, (size_t)process_no, timeout_ms)) {
	case KB_DONE: return KN_STORED;
	case KB_PENDING:
		kb_log_limited(&late, KB_LOG_WARNING,
			"%s: not stored within %u ms on subject \"%.*s\"; the message is still being sent", waiting, timeout_ms,
			KB_SLICE_FMT(subject));
		return KN_NOT_KNOWN;
	default:
		kb_log_limited(&refused, KB_LOG_WARNING,
			"%s: message on subject \"%.*s\" rejected, see the log line of the publisher", waiting,
			KB_SLICE_FMT(subject));
		return KN_NOT_STORED;
	}
}

/* -- the functions of scripts -- */

int kn_stream_publish3(struct sip_msg *msg, char *subject, char *payload, char *headers)
{
	struct kb_slice s, p, h = {NULL, 0};
	if (!kb_script_get(msg, publishing, "subject", subject, &s) ||
		!kb_script_get(msg, publishing, "payload", payload, &p) ||
		(headers && !kb_script_get(msg, publishing, "headers", headers, &h)))
		return kn_message_refuse();
	return publish(publishing, s, p, h);
}

int kn_stream_publish2(struct sip_msg *msg, char *subject, char *payload)
{
	return kn_stream_publish3(msg, subject, payload, NULL);
}

int kn_stream_publish_wait4(struct sip_msg *msg, char *subject, char *payload, char *timeout, char *headers)
{
	struct kb_slice s, p, t, h = {NULL, 0};
	unsigned timeout_ms;
	if (!kb_script_get(msg, waiting, "subject", subject, &s) || !kb_script_get(msg, waiting, "payload", payload, &p) ||
		!kb_script_get(msg, waiting, "timeout", timeout, &t) || !kn_request_read_timeout(waiting, t, &timeout_ms) ||
		(headers && !kb_script_get(msg, waiting, "headers", headers, &h)))
		return kn_message_refuse();
	return publish_and_wait(s, p, timeout_ms, h);
}

int kn_stream_publish_wait3(struct sip_msg *msg, char *subject, char *payload, char *timeout)
{
	return kn_stream_publish_wait4(msg, subject, payload, timeout, NULL);
}

int kn_stream_publish_kemi_headers(struct sip_msg *msg, str *subject, str *payload, str *headers)
{
	(void)msg;
	return publish(publishing, kb_str_to_slice(subject), kb_str_to_slice(payload),
		headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0));
}

int kn_stream_publish_kemi(struct sip_msg *msg, str *subject, str *payload)
{
	return kn_stream_publish_kemi_headers(msg, subject, payload, NULL);
}

int kn_stream_publish_kemi_wait_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers)
{
	(void)msg;
	if (!kn_request_timeout_in_range(waiting, timeout_ms))
		return kn_message_refuse();
	return publish_and_wait(kb_str_to_slice(subject), kb_str_to_slice(payload), (unsigned)timeout_ms,
		headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0));
}

int kn_stream_publish_kemi_wait(struct sip_msg *msg, str *subject, str *payload, int timeout_ms)
{
	return kn_stream_publish_kemi_wait_headers(msg, subject, payload, timeout_ms, NULL);
}

/* -- the process -- */

/* Accepted messages are sent until they are stored: a stream that is full or has no leader holds up the messages
 * behind, and in the end the outbox is full. Only messages that can never be stored are discarded. */
static void publisher_main(void *argument)
{
	static const char name[] = "kamailio stream publisher";
	(void)argument;
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH, name);
	config.traffic = kn_stats_connection(name);
	kb_publisher_run(&(struct kb_publisher){.api = &kb_nats,
		.config = config,
		.outbox = outbox,
		.batch = BATCH,
		.retry_ms = KB_RETRY_FOR_EVER,
		.tick = kb_process_tick,
		.drain_ms = KB_PROCESS_DRAIN_MS,
		.stop = kb_process_stop});
}

bool kn_stream_fork(void)
{
	if (outbox)
		return kb_process_fork(KB_PROCESS_BARE, "nats stream publisher", publisher_main, NULL) == 0;
	LM_INFO("nats: starting 1 process fewer than announced: the configuration does not publish to streams\n");
	return true;
}
