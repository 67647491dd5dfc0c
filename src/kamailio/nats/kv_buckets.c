#include "kamailio/nats/kv_buckets.h"

#include <core/pt.h>

#include <stdio.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/number.h"
#include "kamailio/nats/settings.h"
#include "nats/kv.h"

enum { AGAIN_MS = 5000 };

static const char id_prefix[] = "bucket-"; /* and the index: no request of a script has such an id */
static bool made[KN_BUCKETS_MAX];
static int64_t due_ms[KN_BUCKETS_MAX];

void kn_kv_buckets_forget(void)
{
	for (size_t i = 0; i < KN_BUCKETS_MAX; i++) {
		made[i] = false;
		due_ms[i] = 0;
	}
}

static void request(size_t i, int64_t now_ms, struct kb_outbox *outbox, const char *inbox)
{
	static struct kb_buf subject, payload;
	char reply[KN_INBOX_PREFIX_MAX + 64];
	const struct kb_nats_kv_bucket *bucket = &kn_settings()->buckets[i];
	kb_buf_clear(&subject);
	kb_buf_clear(&payload);
	kb_nats_kv_bucket_create_subject(bucket, &subject);
	kb_nats_kv_bucket_create_request(bucket, &payload);
	snprintf(reply, sizeof reply, "%s.%s%zu", inbox, id_prefix, i);
	const struct kb_message m = {.key = kb_buf_slice(&subject),
		.reply = kb_slice_from(reply),
		.payload = kb_buf_slice(&payload),
		.origin = {.tag = now_ms + AGAIN_MS, .flags = KB_EXPIRES}};
	due_ms[i] = now_ms + AGAIN_MS;
	kb_outbox_put(outbox, (size_t)process_no, &m);
}

void kn_kv_buckets_request(struct kb_outbox *outbox, const char *inbox)
{
	int64_t now_ms = kb_clock_ms();
	for (size_t i = 0; i < kn_settings()->n_buckets; i++)
		if (!made[i] && now_ms >= due_ms[i])
			request(i, now_ms, outbox, inbox);
}

/* Without JetStream only the server itself replies, with a status. */
static struct kb_nats_kv_reply read_reply(const struct kb_message *m, struct kb_buf *memory)
{
	if (!m || kb_headers_find(m->properties, KB_SLICE_LITERAL("status")).p)
		return (struct kb_nats_kv_reply){.result = KB_NATS_KV_FAILED,
			.error = KB_SLICE_LITERAL("no responders: JetStream is not enabled for this account")};
	return kb_nats_kv_bucket_read_created(m->payload, memory);
}

/* The index in an id: false when it is none of ours. */
static bool read_index(struct kb_slice id, uint64_t *i)
{
	size_t prefix = sizeof id_prefix - 1;
	*i = KN_BUCKETS_MAX;
	if (id.n <= prefix || memcmp(id.p, id_prefix, prefix) != 0)
		return false;
	kb_number_read(kb_slice(id.p + prefix, id.n - prefix), KN_BUCKETS_MAX, i);
	return true;
}

bool kn_kv_buckets_replied(struct kb_slice id, const struct kb_message *reply)
{
	static struct kb_log_limit failures;
	static struct kb_buf memory;
	uint64_t i;
	if (!read_index(id, &i))
		return false;
	if (i >= kn_settings()->n_buckets)
		return true;
	struct kb_slice name = kn_settings()->buckets[i].name;
	struct kb_nats_kv_reply a = read_reply(reply, &memory);
	made[i] = a.result == KB_NATS_KV_OK;
	if (made[i])
		kb_log(KB_LOG_INFO, "nats: bucket \"%.*s\" is ready", KB_SLICE_FMT(name));
	else
		kb_log_limited(&failures, KB_LOG_ERROR, "nats: cannot create bucket \"%.*s\", retrying in %d s: %.*s",
			KB_SLICE_FMT(name), AGAIN_MS / 1000, KB_SLICE_FMT(a.error));
	return true;
}
