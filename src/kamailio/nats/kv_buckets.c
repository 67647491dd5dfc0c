/* The buckets that nats_kv_bucket asks for: the requester makes them when its connection stands. */
#include <core/dprint.h>
#include <core/pt.h>

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"
#include "kamailio/nats/kv.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"
#include "nats/kv_bucket.h"

enum { ASK_AGAIN_MS = 5000 };

static const char id_prefix[] = "bucket-"; /* and the index: no question of a script has such an id */
static bool made[KN_BUCKETS_MAX];
static int64_t ask_at_ms[KN_BUCKETS_MAX];

void kn_buckets_forget(void)
{
	for (size_t i = 0; i < KN_BUCKETS_MAX; i++) {
		made[i] = false;
		ask_at_ms[i] = 0;
	}
}

static void ask(size_t i, int64_t now_ms)
{
	static struct kb_buf subject, question;
	char reply[KN_INBOX_BYTES + 32];
	const struct kb_nats_kv_bucket *bucket = &kn_settings()->buckets[i];
	kb_buf_clear(&subject);
	kb_buf_clear(&question);
	kb_nats_kv_bucket_create_subject(bucket, &subject);
	kb_nats_kv_bucket_create_request(bucket, &question);
	snprintf(reply, sizeof reply, "%s.%s%zu", kn_inbox(), id_prefix, i);
	const struct kb_message m = {.key = kb_buf_slice(&subject),
		.reply = kb_slice_from(reply),
		.payload = kb_buf_slice(&question),
		.origin = {.tag = now_ms + ASK_AGAIN_MS, .flags = KB_EXPIRES}};
	ask_at_ms[i] = now_ms + ASK_AGAIN_MS;
	kb_outbox_put(kn_question_outbox(), (size_t)process_no, &m);
}

void kn_buckets_ask(void)
{
	int64_t now_ms = kb_now_ms();
	for (size_t i = 0; i < kn_settings()->n_buckets; i++)
		if (!made[i] && now_ms >= ask_at_ms[i])
			ask(i, now_ms);
}

/* Without JetStream nobody answers but the server itself, with a status. */
static struct kb_nats_kv_reply read_answer(const struct kb_message *m, struct kb_buf *memory)
{
	if (kb_headers_find(m->properties, KB_SLICE_LITERAL("status")).p)
		return (struct kb_nats_kv_reply){.result = KB_NATS_KV_FAILED,
			.error = KB_SLICE_LITERAL("no responders: the server has no JetStream for us")};
	return kb_nats_kv_bucket_read_created(m->payload, memory);
}

bool kn_buckets_answered(struct kb_slice id, const struct kb_message *m)
{
	static struct kb_log_limit failures;
	static struct kb_buf memory;
	size_t prefix = sizeof id_prefix - 1, i = 0;
	if (id.n <= prefix || memcmp(id.p, id_prefix, prefix) != 0)
		return false;
	for (size_t at = prefix; at < id.n && id.p[at] >= '0' && id.p[at] <= '9' && i < KN_BUCKETS_MAX; at++)
		i = i * 10 + (size_t)(id.p[at] - '0');
	if (i >= kn_settings()->n_buckets)
		return true;
	struct kb_slice name = kn_settings()->buckets[i].name;
	struct kb_nats_kv_reply a = read_answer(m, &memory);
	made[i] = a.result == KB_NATS_KV_OK;
	if (made[i])
		kb_log(KB_LOG_INFO, "nats: the bucket \"%.*s\" is there", KB_SLICE_FMT(name));
	else
		kb_log_limited(&failures, KB_LOG_ERROR, "nats: cannot make the bucket \"%.*s\", next try in %d s: %.*s",
			KB_SLICE_FMT(name), ASK_AGAIN_MS / 1000, KB_SLICE_FMT(a.error));
	return true;
}
