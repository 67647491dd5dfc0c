#include "kamailio/nats/kv.h"

#include <core/dprint.h>

#include <inttypes.h>
#include <limits.h>

#include "core/log.h"
#include "core/number.h"
#include "kamailio/glue/message_pv.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/kv_entry.h"
#include "kamailio/nats/reply.h"

static const char reading[] = "nats_kv_get", writing[] = "nats_kv_put", creating[] = "nats_kv_create",
				  updating[] = "nats_kv_update", deleting[] = "nats_kv_delete";

/* -- variables -- */

int kn_kv_pv_value(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	struct kb_slice found;
	return kn_kv_entry_value(&found) ? kb_message_pv_text(msg, parameter, value, found)
									 : pv_get_null(msg, parameter, value);
}

/* A number as long as Kamailio's own hold it, and text always. */
int kn_kv_pv_revision(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	uint64_t revision = kn_kv_entry_revision();
	if (!revision)
		return pv_get_null(msg, parameter, value);
	struct kb_buf *text = kb_script_result();
	kb_buf_printf(text, "%" PRIu64, revision);
	kb_script_set_text(value, kb_buf_slice(text));
	if (revision <= INT_MAX) {
		value->ri = (int)revision;
		value->flags |= PV_VAL_INT;
	}
	return 0;
}

/* -- for kamailio.cfg -- */

static bool read_entry(struct sip_msg *msg, const char *function, char *bucket, char *key, struct kn_kv_entry *e)
{
	e->function = function;
	return kb_script_get(msg, function, "bucket", bucket, &e->bucket) &&
		   kb_script_get(msg, function, "key", key, &e->key);
}

static bool read_revision(const char *function, struct kb_slice text, uint64_t *revision)
{
	bool good = kb_number_read(text, KN_ANY_REVISION - 1, revision);
	if (!good)
		kb_log(KB_LOG_ERROR, "%s: revision \"%.*s\" is not a number", function, KB_SLICE_FMT(text));
	return good;
}

int kn_kv_get(struct sip_msg *msg, char *bucket, char *key, char *target)
{
	struct kn_kv_entry e;
	pv_value_t value;
	int outcome = read_entry(msg, reading, bucket, key, &e) ? kn_kv_entry_get(&e) : kn_kv_entry_refuse();
	kn_kv_pv_value(msg, NULL, &value);
	return kb_script_assign(msg, (pv_spec_t *)target, &value) < 0 ? KN_FAILED : outcome;
}

int kn_kv_put(struct sip_msg *msg, char *bucket, char *key, char *value)
{
	struct kn_kv_entry e;
	struct kb_slice v;
	if (!read_entry(msg, writing, bucket, key, &e) || !kb_script_get(msg, writing, "value", value, &v))
		return kn_kv_entry_refuse();
	return kn_kv_entry_put(&e, v, KN_ANY_REVISION);
}

int kn_kv_create(struct sip_msg *msg, char *bucket, char *key, char *value)
{
	struct kn_kv_entry e;
	struct kb_slice v;
	if (!read_entry(msg, creating, bucket, key, &e) || !kb_script_get(msg, creating, "value", value, &v))
		return kn_kv_entry_refuse();
	return kn_kv_entry_create(&e, v);
}

int kn_kv_update(struct sip_msg *msg, char *bucket, char *key, char *value, char *revision)
{
	struct kn_kv_entry e;
	struct kb_slice v, r;
	uint64_t expected;
	if (!read_entry(msg, updating, bucket, key, &e) || !kb_script_get(msg, updating, "value", value, &v) ||
		!kb_script_get(msg, updating, "revision", revision, &r) || !read_revision(updating, r, &expected))
		return kn_kv_entry_refuse();
	return kn_kv_entry_put(&e, v, expected);
}

int kn_kv_delete3(struct sip_msg *msg, char *bucket, char *key, char *revision)
{
	struct kn_kv_entry e;
	struct kb_slice r;
	uint64_t expected = KN_ANY_REVISION;
	if (!read_entry(msg, deleting, bucket, key, &e))
		return kn_kv_entry_refuse();
	if (revision && (!kb_script_get(msg, deleting, "revision", revision, &r) || !read_revision(deleting, r, &expected)))
		return kn_kv_entry_refuse();
	return kn_kv_entry_delete(&e, expected);
}

int kn_kv_delete2(struct sip_msg *msg, char *bucket, char *key)
{
	return kn_kv_delete3(msg, bucket, key, NULL);
}

/* -- for KEMI -- */

static struct kn_kv_entry entry_of(const char *function, const str *bucket, const str *key)
{
	return (struct kn_kv_entry){function, kb_str_to_slice(bucket), kb_str_to_slice(key)};
}

int kn_kv_kemi_get(struct sip_msg *msg, str *bucket, str *key)
{
	struct kn_kv_entry e = entry_of(reading, bucket, key);
	(void)msg;
	return kn_kv_entry_get(&e);
}

int kn_kv_kemi_put(struct sip_msg *msg, str *bucket, str *key, str *value)
{
	struct kn_kv_entry e = entry_of(writing, bucket, key);
	(void)msg;
	return kn_kv_entry_put(&e, kb_str_to_slice(value), KN_ANY_REVISION);
}

int kn_kv_kemi_create(struct sip_msg *msg, str *bucket, str *key, str *value)
{
	struct kn_kv_entry e = entry_of(creating, bucket, key);
	(void)msg;
	return kn_kv_entry_create(&e, kb_str_to_slice(value));
}

int kn_kv_kemi_update(struct sip_msg *msg, str *bucket, str *key, str *value, str *revision)
{
	uint64_t expected;
	struct kn_kv_entry e = entry_of(updating, bucket, key);
	(void)msg;
	return read_revision(updating, kb_str_to_slice(revision), &expected)
			   ? kn_kv_entry_put(&e, kb_str_to_slice(value), expected)
			   : kn_kv_entry_refuse();
}

int kn_kv_kemi_delete_revision(struct sip_msg *msg, str *bucket, str *key, str *revision)
{
	uint64_t expected = KN_ANY_REVISION;
	struct kn_kv_entry e = entry_of(deleting, bucket, key);
	(void)msg;
	if (revision && !read_revision(deleting, kb_str_to_slice(revision), &expected))
		return kn_kv_entry_refuse();
	return kn_kv_entry_delete(&e, expected);
}

int kn_kv_kemi_delete(struct sip_msg *msg, str *bucket, str *key)
{
	return kn_kv_kemi_delete_revision(msg, bucket, key, NULL);
}
