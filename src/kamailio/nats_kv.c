#include "kamailio/nats_kv.h"

#include <core/dprint.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "broker/nats_kv.h"
#include "core/log.h"
#include "kamailio/message_pv.h"
#include "kamailio/nats_module.h"
#include "kamailio/nats_request.h"
#include "kamailio/script.h"

static const char reading[] = "nats_kv_get", writing[] = "nats_kv_put", creating[] = "nats_kv_create",
				  updating[] = "nats_kv_update", deleting[] = "nats_kv_delete";

/* What the last function has found or written. */
static struct {
	struct kb_buf value;
	bool has_value;
	uint64_t revision; /* 0: none */
} last;

/* A key that a function is about. */
struct place {
	const char *function;
	struct kb_slice bucket, key;
};

/* -- variables -- */

int kn_pv_value(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!last.has_value)
		return pv_get_null(msg, parameter, value);
	return kb_pv_text(msg, parameter, value, kb_slice(last.value.p ? last.value.p : "", last.value.n));
}

/* A number as long as Kamailio's own hold it, and text always. */
int kn_pv_revision(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!last.revision)
		return pv_get_null(msg, parameter, value);
	struct kb_buf *text = kb_script_result();
	kb_buf_printf(text, "%" PRIu64, last.revision);
	kb_script_set_text(value, kb_buf_slice(text));
	if (last.revision <= INT_MAX) {
		value->ri = (int)last.revision;
		value->flags |= PV_VAL_INT;
	}
	return 0;
}

/* -- outcomes -- */

static int fail(int outcome, const char *why)
{
	kn_set_error(why);
	return outcome;
}

static int tell_failure(const struct place *p, struct kb_slice why)
{
	static struct kb_log_limit limit;
	static char text[200];
	snprintf(text, sizeof text, "%.*s", KB_SLICE_FMT(why));
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: key \"%.*s\" of the bucket \"%.*s\": %s", p->function,
		KB_SLICE_FMT(p->key), KB_SLICE_FMT(p->bucket), text);
	return fail(KN_FAILED, text);
}

static int tell_no_bucket(const struct place *p)
{
	static struct kb_log_limit limit;
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: there is no bucket \"%.*s\"", p->function, KB_SLICE_FMT(p->bucket));
	return fail(KN_NO_RESPONDERS, "no such bucket");
}

/* What the script is told of an answer; the value, when there is one, is copied. */
static int conclude(const struct place *p, const struct kb_kv_answer *a)
{
	switch (a->result) {
	case KB_KV_OK: break;
	case KB_KV_NO_KEY: return fail(KN_NO_KEY, "no such key");
	case KB_KV_NO_BUCKET: return tell_no_bucket(p);
	case KB_KV_CONFLICT: return fail(KN_CONFLICT, "conflict");
	default: return tell_failure(p, a->error);
	}
	last.revision = a->revision;
	kb_buf_append_slice(&last.value, a->value);
	return last.value.failed ? tell_failure(p, KB_SLICE_LITERAL("out of memory")) : KN_ANSWERED;
}

/* -- asking -- */

static void forget(void)
{
	kb_buf_clear(&last.value);
	last.has_value = false;
	last.revision = 0;
}

static int refuse(void)
{
	forget();
	return kn_refuse();
}

static struct kb_slice copy(struct kb_slice from, struct kb_buf *to)
{
	kb_buf_clear(to);
	kb_buf_append_slice(to, from);
	return kb_buf_slice(to);
}

/* Forgets what the last function found, and copies what this one is about: it may take several questions, and a script
 * may pass what lies in the answer before ($natsAnswer). False and a log line for what cannot be a key. */
static bool begin(struct place *p, struct kb_slice *value)
{
	static struct kb_buf bucket, key, kept;
	const char *fault = kb_kv_bucket_fault(p->bucket), *key_fault = kb_kv_key_fault(p->key);
	if (fault)
		LM_ERR("%s: \"%.*s\" cannot be the name of a bucket: %s\n", p->function, KB_SLICE_FMT(p->bucket), fault);
	else if (key_fault)
		LM_ERR("%s: \"%.*s\" cannot be a key: %s\n", p->function, KB_SLICE_FMT(p->key), key_fault);
	if (fault || key_fault)
		return false;
	p->bucket = copy(p->bucket, &bucket);
	p->key = copy(p->key, &key);
	*value = copy(*value, &kept);
	forget();
	return !bucket.failed && !key.failed && !kept.failed;
}

static int ask(const char *function, const struct kb_buf *subject, struct kb_slice payload, const char *headers)
{
	struct kb_message m;
	if (!kn_build(function, kb_buf_slice(subject), payload, kb_slice(NULL, 0), kb_slice_from(headers), &m))
		return kn_refuse();
	return kn_ask(function, &m, (unsigned)kn_settings()->request_timeout_ms);
}

/* -- reading: the value itself comes from a stream that allows it, which is asked for once in a while -- */

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

/* Names that are too long are learnt anew each time. */
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

static int learn_way(const struct place *p, bool *direct, struct kb_kv_answer *a)
{
	static struct kb_buf subject, memory;
	const struct way *w = find_way(p->bucket);
	*a = (struct kb_kv_answer){.result = KB_KV_OK};
	*direct = w && w->direct;
	if (w && now_s() < w->until)
		return KN_ANSWERED;
	kb_buf_clear(&subject);
	kb_kv_info_subject(p->bucket, &subject);
	int outcome = ask(p->function, &subject, kb_slice("", 0), NULL);
	if (outcome != KN_ANSWERED)
		return outcome;
	*a = kb_kv_read_info(kn_answer()->payload, &memory, direct);
	if (a->result == KB_KV_OK)
		note_way(p->bucket, *direct);
	return KN_ANSWERED;
}

static int read_directly(const struct place *p, struct kb_kv_answer *a)
{
	static struct kb_buf subject;
	kb_buf_clear(&subject);
	kb_kv_direct_subject(p->bucket, p->key, &subject);
	int outcome = ask(p->function, &subject, kb_slice("", 0), NULL);
	if (outcome == KN_ANSWERED)
		*a = kb_kv_read_direct(kn_answer());
	return outcome;
}

static int read_stored(const struct place *p, struct kb_kv_answer *a)
{
	static struct kb_buf subject, question, memory;
	kb_buf_clear(&subject);
	kb_buf_clear(&question);
	kb_kv_stored_subject(p->bucket, &subject);
	kb_kv_stored_question(p->bucket, p->key, &question);
	int outcome = ask(p->function, &subject, kb_buf_slice(&question), NULL);
	if (outcome == KN_ANSWERED)
		*a = kb_kv_read_stored(kn_answer()->payload, &memory);
	return outcome;
}

/* KN_ANSWERED with *a, or what else became of the questions. */
static int read_entry(const struct place *p, struct kb_kv_answer *a)
{
	bool direct;
	int outcome = learn_way(p, &direct, a);
	if (outcome != KN_ANSWERED || a->result != KB_KV_OK)
		return outcome;
	outcome = direct ? read_directly(p, a) : read_stored(p, a);
	if (outcome != KN_ANSWERED)
		forget_way(p->bucket); /* the stream may have been made anew, otherwise */
	return outcome;
}

static int get(struct place *p)
{
	struct kb_kv_answer a;
	struct kb_slice none = {NULL, 0};
	if (!begin(p, &none))
		return refuse();
	int outcome = read_entry(p, &a);
	outcome = outcome == KN_ANSWERED ? conclude(p, &a) : outcome;
	last.has_value = outcome == KN_ANSWERED;
	return outcome;
}

/* -- writing -- */

static const uint64_t any_revision = UINT64_MAX;

/* KN_ANSWERED with *a, or what else became of the question. `expected`: the revision that must be there, 0 for none. */
static int write_entry(const struct place *p, struct kb_slice value, uint64_t expected, struct kb_kv_answer *a)
{
	static struct kb_buf subject, memory;
	char headers[128];
	bool is_deletion = p->function == deleting;
	int n = snprintf(headers, sizeof headers, "%s", is_deletion ? "KV-Operation=DEL" : "");
	if (expected != any_revision)
		snprintf(headers + n, sizeof headers - (size_t)n, ";Nats-Expected-Last-Subject-Sequence=%" PRIu64, expected);
	kb_buf_clear(&subject);
	kb_kv_subject(p->bucket, p->key, &subject);
	int outcome = ask(p->function, &subject, value, headers);
	if (outcome == KN_ANSWERED)
		*a = kb_kv_read_ack(kn_answer()->payload, &memory);
	return outcome == KN_NO_RESPONDERS ? tell_no_bucket(p) : outcome;
}

static int put(struct place *p, struct kb_slice value, uint64_t expected)
{
	struct kb_kv_answer a;
	if (!begin(p, &value))
		return refuse();
	int outcome = write_entry(p, value, expected, &a);
	return outcome == KN_ANSWERED ? conclude(p, &a) : outcome;
}

/* A key that was deleted has a revision, that of the mark; it may be created again. */
static int create(struct place *p, struct kb_slice value)
{
	struct kb_kv_answer a;
	if (!begin(p, &value))
		return refuse();
	int outcome = write_entry(p, value, 0, &a);
	if (outcome != KN_ANSWERED || a.result != KB_KV_CONFLICT)
		return outcome == KN_ANSWERED ? conclude(p, &a) : outcome;
	outcome = read_entry(p, &a);
	if (outcome == KN_ANSWERED && a.result == KB_KV_NO_KEY && a.revision)
		outcome = write_entry(p, value, a.revision, &a);
	else if (outcome == KN_ANSWERED && (a.result == KB_KV_OK || a.result == KB_KV_NO_KEY))
		return fail(KN_CONFLICT, "conflict");
	return outcome == KN_ANSWERED ? conclude(p, &a) : outcome;
}

/* -- for kamailio.cfg -- */

static bool get_place(struct sip_msg *msg, const char *function, char *bucket, char *key, struct place *p)
{
	p->function = function;
	return kb_script_get(msg, function, "bucket", bucket, &p->bucket) &&
		   kb_script_get(msg, function, "key", key, &p->key);
}

static bool read_revision(const char *function, struct kb_slice text, uint64_t *revision)
{
	bool good = text.n > 0 && text.n < 20;
	*revision = 0;
	for (size_t i = 0; i < text.n && good; i++) {
		good = text.p[i] >= '0' && text.p[i] <= '9';
		*revision = *revision * 10 + (uint64_t)(text.p[i] - '0');
	}
	if (!good)
		LM_ERR("%s: the revision \"%.*s\" is no number\n", function, KB_SLICE_FMT(text));
	return good;
}

int kn_kv_get(struct sip_msg *msg, char *bucket, char *key, char *target)
{
	struct place p;
	pv_value_t value;
	int outcome = get_place(msg, reading, bucket, key, &p) ? get(&p) : refuse();
	kn_pv_value(msg, NULL, &value);
	return kb_script_assign(msg, (pv_spec_t *)target, &value) < 0 ? KN_FAILED : outcome;
}

int kn_kv_put(struct sip_msg *msg, char *bucket, char *key, char *value)
{
	struct place p;
	struct kb_slice v;
	if (!get_place(msg, writing, bucket, key, &p) || !kb_script_get(msg, writing, "value", value, &v))
		return refuse();
	return put(&p, v, any_revision);
}

int kn_kv_create(struct sip_msg *msg, char *bucket, char *key, char *value)
{
	struct place p;
	struct kb_slice v;
	if (!get_place(msg, creating, bucket, key, &p) || !kb_script_get(msg, creating, "value", value, &v))
		return refuse();
	return create(&p, v);
}

int kn_kv_update(struct sip_msg *msg, char *bucket, char *key, char *value, char *revision)
{
	struct place p;
	struct kb_slice v, r;
	uint64_t expected;
	if (!get_place(msg, updating, bucket, key, &p) || !kb_script_get(msg, updating, "value", value, &v) ||
		!kb_script_get(msg, updating, "revision", revision, &r) || !read_revision(updating, r, &expected))
		return refuse();
	return put(&p, v, expected);
}

int kn_kv_delete3(struct sip_msg *msg, char *bucket, char *key, char *revision)
{
	struct place p;
	struct kb_slice r;
	uint64_t expected = any_revision;
	if (!get_place(msg, deleting, bucket, key, &p))
		return refuse();
	if (revision && (!kb_script_get(msg, deleting, "revision", revision, &r) || !read_revision(deleting, r, &expected)))
		return refuse();
	return put(&p, kb_slice("", 0), expected);
}

int kn_kv_delete2(struct sip_msg *msg, char *bucket, char *key)
{
	return kn_kv_delete3(msg, bucket, key, NULL);
}

int kn_fixup_kv(void **parameter, int number)
{
	kn_want_requester();
	return kb_fixup_text(parameter, number);
}

int kn_fixup_kv_get(void **parameter, int number)
{
	kn_want_requester();
	return kb_fixup_text_target3(parameter, number);
}

/* -- for KEMI -- */

static struct place place_of(const char *function, const str *bucket, const str *key)
{
	return (struct place){function, kb_slice_of_str(bucket), kb_slice_of_str(key)};
}

int kn_kemi_kv_get(struct sip_msg *msg, str *bucket, str *key)
{
	struct place p = place_of(reading, bucket, key);
	(void)msg;
	return get(&p);
}

int kn_kemi_kv_put(struct sip_msg *msg, str *bucket, str *key, str *value)
{
	struct place p = place_of(writing, bucket, key);
	(void)msg;
	return put(&p, kb_slice_of_str(value), any_revision);
}

int kn_kemi_kv_create(struct sip_msg *msg, str *bucket, str *key, str *value)
{
	struct place p = place_of(creating, bucket, key);
	(void)msg;
	return create(&p, kb_slice_of_str(value));
}

int kn_kemi_kv_update(struct sip_msg *msg, str *bucket, str *key, str *value, str *revision)
{
	uint64_t expected;
	struct place p = place_of(updating, bucket, key);
	(void)msg;
	return read_revision(updating, kb_slice_of_str(revision), &expected) ? put(&p, kb_slice_of_str(value), expected)
																		 : refuse();
}

int kn_kemi_kv_delete_revision(struct sip_msg *msg, str *bucket, str *key, str *revision)
{
	uint64_t expected = any_revision;
	struct place p = place_of(deleting, bucket, key);
	(void)msg;
	if (revision && !read_revision(deleting, kb_slice_of_str(revision), &expected))
		return refuse();
	return put(&p, kb_slice("", 0), expected);
}

int kn_kemi_kv_delete(struct sip_msg *msg, str *bucket, str *key)
{
	return kn_kemi_kv_delete_revision(msg, bucket, key, NULL);
}
