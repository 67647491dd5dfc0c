#include "kamailio/nats/kv_entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/log.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/settings.h"
#include "nats/kv.h"

/* What the last function has found or written. */
static struct {
	struct kb_buf value;
	bool has_value;
	uint64_t revision; /* 0: none */
} last;

bool kn_kv_entry_value(struct kb_slice *value)
{
	*value = kb_slice(last.value.p ? last.value.p : "", last.value.n);
	return last.has_value;
}

uint64_t kn_kv_entry_revision(void)
{
	return last.revision;
}

/* -- outcomes -- */

static int fail(int outcome, const char *why)
{
	kn_reply_set_error(why);
	return outcome;
}

static int tell_failure(const struct kn_kv_entry *e, struct kb_slice why)
{
	static struct kb_log_limit limit;
	static char text[200];
	snprintf(text, sizeof text, "%.*s", KB_SLICE_FMT(why));
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: key \"%.*s\" of bucket \"%.*s\": %s", e->function, KB_SLICE_FMT(e->key),
		KB_SLICE_FMT(e->bucket), text);
	return fail(KN_FAILED, text);
}

static int tell_no_bucket(const struct kn_kv_entry *e)
{
	static struct kb_log_limit limit;
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: bucket \"%.*s\" does not exist", e->function, KB_SLICE_FMT(e->bucket));
	return fail(KN_NO_RESPONDERS, "no such bucket");
}

/* What the script is told of a reply. The value, when there is one, is copied: it stays when the next request begins.
 */
static int conclude(const struct kn_kv_entry *e, const struct kb_nats_kv_reply *a)
{
	switch (a->result) {
	case KB_NATS_KV_OK: break;
	case KB_NATS_KV_NO_KEY: return fail(KN_NO_KEY, "no such key");
	case KB_NATS_KV_NO_BUCKET: return tell_no_bucket(e);
	case KB_NATS_KV_CONFLICT: return fail(KN_CONFLICT, "conflict");
	default: return tell_failure(e, a->error);
	}
	last.revision = a->revision;
	kb_buf_append_slice(&last.value, a->value);
	return last.value.failed ? tell_failure(e, KB_SLICE_LITERAL("out of memory")) : KN_REPLIED;
}

/* -- requests -- */

static void forget(void)
{
	kb_buf_clear(&last.value);
	last.has_value = false;
	last.revision = 0;
}

int kn_kv_entry_refuse(void)
{
	forget();
	return kn_reply_refuse(NULL);
}

static struct kb_slice copy(struct kb_slice from, struct kb_buf *to)
{
	kb_buf_clear(to);
	kb_buf_append_slice(to, from);
	return kb_buf_slice(to);
}

/* Forgets what the last function found, and copies what this one is about: it may take several requests, and a
 * script may pass texts of the reply before ($natsAnswer). False and a log line for what cannot be a key. */
static bool begin(struct kn_kv_entry *e, struct kb_slice *value)
{
	static struct kb_buf bucket, key, kept;
	const char *fault = kb_nats_kv_bucket_fault(e->bucket), *key_fault = kb_nats_kv_key_fault(e->key);
	if (fault)
		kb_log(KB_LOG_ERROR, "%s: invalid bucket name \"%.*s\": %s", e->function, KB_SLICE_FMT(e->bucket), fault);
	else if (key_fault)
		kb_log(KB_LOG_ERROR, "%s: invalid key \"%.*s\": %s", e->function, KB_SLICE_FMT(e->key), key_fault);
	if (fault || key_fault)
		return false;
	e->bucket = copy(e->bucket, &bucket);
	e->key = copy(e->key, &key);
	*value = copy(*value, &kept);
	forget();
	return !bucket.failed && !key.failed && !kept.failed;
}

static int request(const char *function, const struct kb_buf *subject, struct kb_slice payload, const char *headers)
{
	struct kb_message m;
	if (!kn_message_build(function, kb_buf_slice(subject), payload, kb_slice(NULL, 0), kb_slice_from(headers), &m))
		return kn_reply_refuse(NULL);
	return kn_request_wait(function, &m, (unsigned)kn_settings()->request_timeout_ms);
}

/* -- reading: the value itself comes from a stream that allows it; whether it does is requested once in a while -- */

enum { WAYS_MAX = 16, WAY_S = 60 };

/* What is known of the buckets that this process reads. */
static struct way {
	char name[64];
	bool direct;
	time_t until; /* 0: nothing */
} ways[WAYS_MAX];

static time_t now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static struct way *find_way(struct kb_slice bucket)
{
	for (size_t i = 0; i < WAYS_MAX; i++)
		if (kb_slice_equal(bucket, kb_slice_from(ways[i].name)))
			return &ways[i];
	return NULL;
}

/* Names that are too long are learnt again each time. */
static void note_way(struct kb_slice bucket, bool direct)
{
	static size_t turn;
	struct way *w = find_way(bucket);
	if (bucket.n >= sizeof w->name)
		return;
	w = w ? w : &ways[turn++ % WAYS_MAX];
	snprintf(w->name, sizeof w->name, "%.*s", (int)bucket.n, bucket.p);
	w->direct = direct;
	w->until = now_s() + WAY_S;
}

static void forget_way(struct kb_slice bucket)
{
	struct way *w = find_way(bucket);
	if (w)
		w->until = 0;
}

static int learn_way(const struct kn_kv_entry *e, bool *direct, struct kb_nats_kv_reply *a)
{
	static struct kb_buf subject, memory;
	const struct way *w = find_way(e->bucket);
	*a = (struct kb_nats_kv_reply){.result = KB_NATS_KV_OK};
	*direct = w && w->direct;
	if (w && now_s() < w->until)
		return KN_REPLIED;
	kb_buf_clear(&subject);
	kb_nats_kv_info_subject(e->bucket, &subject);
	int outcome = request(e->function, &subject, kb_slice("", 0), NULL);
	if (outcome != KN_REPLIED)
		return outcome;
	*a = kb_nats_kv_read_info(kn_reply_message()->payload, &memory, direct);
	if (a->result == KB_NATS_KV_OK)
		note_way(e->bucket, *direct);
	return KN_REPLIED;
}

static int read_directly(const struct kn_kv_entry *e, struct kb_nats_kv_reply *a)
{
	static struct kb_buf subject;
	kb_buf_clear(&subject);
	kb_nats_kv_direct_subject(e->bucket, e->key, &subject);
	int outcome = request(e->function, &subject, kb_slice("", 0), NULL);
	if (outcome == KN_REPLIED)
		*a = kb_nats_kv_read_direct(kn_reply_message());
	return outcome;
}

static int read_stored(const struct kn_kv_entry *e, struct kb_nats_kv_reply *a)
{
	static struct kb_buf subject, payload, memory;
	kb_buf_clear(&subject);
	kb_buf_clear(&payload);
	kb_nats_kv_stored_subject(e->bucket, &subject);
	kb_nats_kv_stored_request(e->bucket, e->key, &payload);
	int outcome = request(e->function, &subject, kb_buf_slice(&payload), NULL);
	if (outcome == KN_REPLIED)
		*a = kb_nats_kv_read_stored(kn_reply_message()->payload, &memory);
	return outcome;
}

/* KN_REPLIED with *a, or another outcome of the requests. */
static int read_entry(const struct kn_kv_entry *e, struct kb_nats_kv_reply *a)
{
	bool direct;
	int outcome = learn_way(e, &direct, a);
	if (outcome != KN_REPLIED || a->result != KB_NATS_KV_OK)
		return outcome;
	outcome = direct ? read_directly(e, a) : read_stored(e, a);
	if (outcome != KN_REPLIED)
		forget_way(e->bucket); /* the stream may have been made again, otherwise */
	return outcome;
}

int kn_kv_entry_get(struct kn_kv_entry *e)
{
	struct kb_nats_kv_reply a;
	struct kb_slice none = {NULL, 0};
	if (!begin(e, &none))
		return kn_kv_entry_refuse();
	int outcome = read_entry(e, &a);
	outcome = outcome == KN_REPLIED ? conclude(e, &a) : outcome;
	last.has_value = outcome == KN_REPLIED;
	return outcome;
}

/* -- writing -- */

struct writing {
	struct kb_slice value;
	bool deletes; /* what is written is the mark of a deletion */
};

/* KN_REPLIED with *a, or another outcome of the request. `expected`: the revision that must be there, 0 for none. */
static int write_entry(
	const struct kn_kv_entry *e, const struct writing *w, uint64_t expected, struct kb_nats_kv_reply *a)
{
	static struct kb_buf subject, memory;
	char headers[128];
	int n = snprintf(headers, sizeof headers, "%s", w->deletes ? "KV-Operation=DEL" : "");
	if (expected != KN_ANY_REVISION)
		snprintf(headers + n, sizeof headers - (size_t)n, ";Nats-Expected-Last-Subject-Sequence=%" PRIu64, expected);
	kb_buf_clear(&subject);
	kb_nats_kv_subject(e->bucket, e->key, &subject);
	int outcome = request(e->function, &subject, w->value, headers);
	if (outcome == KN_REPLIED)
		*a = kb_nats_kv_read_ack(kn_reply_message()->payload, &memory);
	return outcome == KN_NO_RESPONDERS ? tell_no_bucket(e) : outcome;
}

static int write_once(struct kn_kv_entry *e, struct writing w, uint64_t expected)
{
	struct kb_nats_kv_reply a;
	if (!begin(e, &w.value))
		return kn_kv_entry_refuse();
	int outcome = write_entry(e, &w, expected, &a);
	return outcome == KN_REPLIED ? conclude(e, &a) : outcome;
}

int kn_kv_entry_put(struct kn_kv_entry *e, struct kb_slice value, uint64_t expected)
{
	return write_once(e, (struct writing){.value = value}, expected);
}

int kn_kv_entry_delete(struct kn_kv_entry *e, uint64_t expected)
{
	return write_once(e, (struct writing){.value = kb_slice("", 0), .deletes = true}, expected);
}

/* A key that was deleted has a revision, that of the mark; it may be created again. */
int kn_kv_entry_create(struct kn_kv_entry *e, struct kb_slice value)
{
	struct kb_nats_kv_reply a;
	struct writing w = {.value = value};
	if (!begin(e, &w.value))
		return kn_kv_entry_refuse();
	int outcome = write_entry(e, &w, 0, &a);
	if (outcome != KN_REPLIED || a.result != KB_NATS_KV_CONFLICT)
		return outcome == KN_REPLIED ? conclude(e, &a) : outcome;
	outcome = read_entry(e, &a);
	if (outcome == KN_REPLIED && a.result == KB_NATS_KV_NO_KEY && a.revision)
		outcome = write_entry(e, &w, a.revision, &a);
	else if (outcome == KN_REPLIED && (a.result == KB_NATS_KV_OK || a.result == KB_NATS_KV_NO_KEY))
		return fail(KN_CONFLICT, "conflict");
	return outcome == KN_REPLIED ? conclude(e, &a) : outcome;
}
