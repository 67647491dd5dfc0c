/* What NATS servers answer: the subject that a message is acknowledged at, a status, and a payload that may be JSON, a
 * line each. */
#include "nats/consumer.h"
#include "nats/headers.h"
#include "nats/info.h"
#include "nats/js.h"
#include "nats/kv_bucket.h"
#include "nats/servers.h"
#include "core/json.h"
#include "core/json_rewrite.h"
#include "fuzz.h"

static void reads_subject(struct kb_slice subject)
{
	struct kb_nats_consumer_delivery stored;
	if (kb_nats_consumer_delivery_read(subject, &stored))
		MUST(lies_in(stored.stream, subject) && lies_in(stored.consumer, subject) && stored.delivered > 0);
}

static void reads_stream(struct kb_slice payload, struct kb_slice properties)
{
	struct kb_nats_js_reply answer = kb_nats_js_reply_read(payload, properties);
	struct kb_nats_js_reply stored = kb_nats_js_stored_read(payload, properties);
	MUST(memchr(answer.what, '\0', sizeof answer.what) && memchr(stored.what, '\0', sizeof stored.what));
	MUST(answer.good == !answer.what[0] && stored.good == !stored.what[0]);
	MUST(answer.good || !stored.good);
	MUST(answer.good || !kb_nats_js_no_stream(payload, properties));
	MUST(kb_nats_headers_status(properties) >= 0 && kb_nats_headers_status(properties) < 1000);
}

/* -- buckets -- */

static void check_answer(struct kb_nats_kv_reply a, struct kb_slice payload, struct kb_buf *memory)
{
	struct kb_slice kept = kb_buf_slice(memory);
	MUST(a.result >= KB_NATS_KV_OK && a.result <= KB_NATS_KV_FAILED);
	MUST(lies_in(a.value, payload) || lies_in(a.value, kept));
	MUST(a.result == KB_NATS_KV_FAILED || a.error.n == 0);
	for (size_t i = 0; i < a.error.n; i++) /* the sanitizer sees whether it is there */
		MUST(a.error.p[i] || a.error.p[i] == 0);
	kb_buf_clear(memory);
}

static void reads_bucket(struct kb_slice payload, struct kb_slice list)
{
	struct kb_buf memory = {0};
	bool direct;
	struct kb_message m = {.headers = list, .properties = list, .payload = payload};
	check_answer(kb_nats_kv_read_direct(&m), payload, &memory);
	m.properties = kb_slice(NULL, 0);
	check_answer(kb_nats_kv_read_direct(&m), payload, &memory);
	check_answer(kb_nats_kv_read_stored(payload, &memory), payload, &memory);
	check_answer(kb_nats_kv_read_info(payload, &memory, &direct), payload, &memory);
	check_answer(kb_nats_kv_read_ack(payload, &memory), payload, &memory);
	check_answer(kb_nats_kv_bucket_read_created(payload, &memory), payload, &memory);
	kb_buf_free(&memory);
}

static void reads_bucket_setting(struct kb_slice text)
{
	struct kb_nats_kv_bucket bucket;
	if (kb_nats_kv_bucket_read(text, &bucket))
		return;
	MUST(lies_in(bucket.name, text) && !kb_nats_kv_bucket_fault(bucket.name));
	MUST(bucket.history >= 1 && bucket.history <= 64 && bucket.replicas >= 1 && bucket.replicas <= 5);
}

/* -- the server itself -- */

static void reads_info(struct kb_slice payload)
{
	static const char *const urls[] = {"tls://u:p@here:4222"};
	struct kb_nats_servers servers;
	size_t bad;
	const char *what;
	struct kb_nats_info info = kb_nats_info_read(payload);
	MUST(memchr(info.nonce, '\0', sizeof info.nonce) && memchr(info.server_name, '\0', sizeof info.server_name));
	MUST(lies_in(info.servers, payload));
	MUST(kb_nats_servers_init(&servers, urls, 1, &bad, &what));
	for (int trusted = 0; trusted < 2; trusted++) {
		kb_nats_servers_announced(&servers, info.servers, &servers.list[0], trusted);
		kb_nats_servers_others(&servers, &servers.list[0], info.servers, trusted);
		MUST(servers.n >= 1 && servers.n <= 65);
		for (size_t i = 1; i < servers.n; i++) {
			const struct kb_nats_server *s = &servers.list[i];
			MUST(s->tls && strcmp(s->user, "u") == 0 && strcmp(s->password, "p") == 0); /* as its announcer's */
			MUST(trusted || s->known_as || strcmp(s->host, "here") == 0);
		}
	}
	kb_nats_servers_free(&servers);
}

/* -- a consumer's configuration, changed and sent back -- */

static void changes_consumer(struct kb_slice config)
{
	static const struct kb_durable durable = {
		.stream = "S", .name = "C", .filter = "a.>", .deliver = "new", .ack_wait_ms = 1000, .max_deliver = 3};
	struct kb_buf out = {0};
	struct kb_json_error error;
	MUST(config.n || kb_nats_consumer_differs(&durable, config));
	kb_nats_consumer_put_create(&out, &durable, config, KB_SLICE_LITERAL("_INBOX.c"));
	struct kb_slice rest = kb_buf_slice(&out);
	take_line(&rest);
	struct kb_slice sent = kb_slice(rest.p, rest.n - 2), fields;
	struct kb_buf strict = {0};
	MUST(kb_json_rewrite(sent, NULL, 0, &strict, &error) && kb_slice_equal(sent, kb_buf_slice(&strict)));
	fields = kb_json_member(sent, KB_SLICE_LITERAL("config")).raw;
	MUST(!kb_nats_consumer_differs(&durable, fields));
	kb_buf_free(&strict);
	kb_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice payload = kb_slice(bytes, size);
	struct kb_slice subject = take_line(&payload), status = take_line(&payload);
	struct kb_buf list = {0};
	kb_headers_add(&list, KB_SLICE_LITERAL("status"), status);
	kb_headers_add(&list, KB_SLICE_LITERAL("Nats-Sequence"), status);
	reads_subject(subject);
	reads_stream(payload, kb_buf_slice(&list));
	reads_bucket(payload, kb_buf_slice(&list));
	reads_bucket_setting(subject);
	reads_info(payload);
	changes_consumer(kb_json_member(payload, KB_SLICE_LITERAL("config")).raw);
	kb_buf_free(&list);
	return 0;
}
