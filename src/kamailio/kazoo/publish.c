/* kazoo_publish (kazoo manual 5.1.1) and kazoo_publish_wait for kamailio.cfg and KEMI. */
#include "kamailio/kazoo/publish.h"

#include <core/dprint.h>

#include "core/log.h"
#include "core/number.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/mod_init.h"
#include "kamailio/kazoo/requester.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"

enum { WAIT_MAX_MS = 3600000 };

static const char publish_name[] = "kazoo_publish", wait_name[] = "kazoo_publish_wait";

/* The parameters of a call. Those that are not given are empty. */
struct words {
	const char *function;
	struct kb_slice exchange, routing_key, payload, headers, properties;
	int wait_ms; /* 0: the call does not wait */
};

static int publish(const struct words *w)
{
	struct kb_message m;
	struct kz_message_sender sender = {.reply_address = kz_requester_address()};
	if (!kz_message_build(w->function, w->exchange, w->routing_key, w->payload, w->headers, sender, &m) ||
		(w->properties.n && !kz_message_add_properties(w->function, w->properties, &m)))
		return -1;
	int result = kz_message_send(w->function, &m);
	bool wait = result == 1 && w->wait_ms && !kz_mod_init_is_running();
	return wait ? kz_message_await(w->function, &m, (unsigned)w->wait_ms) : result;
}

static bool check_wait(int ms)
{
	if (ms >= 0 && ms <= WAIT_MAX_MS)
		return true;
	LM_ERR("%s: timeout_ms: %d must be 0 to %d\n", wait_name, ms, WAIT_MAX_MS);
	kb_counts_add(KZ_REFUSED_INVALID);
	return false;
}

static bool read_wait(struct kb_slice text, int *ms)
{
	uint64_t number;
	if (kb_number_read(text, WAIT_MAX_MS, &number)) {
		*ms = (int)number;
		return true;
	}
	kb_log(KB_LOG_ERROR, "%s: timeout_ms: \"%.*s\" must be a number of milliseconds from 0 to %d", wait_name,
		KB_SLICE_FMT(text), WAIT_MAX_MS);
	kb_counts_add(KZ_REFUSED_INVALID);
	return false;
}

/* -- kamailio.cfg -- */

static bool read_words(struct sip_msg *msg, struct words *w, char *exchange, char *routing_key, char *payload,
	char *headers, char *properties)
{
	return kz_message_get(msg, w->function, "exchange", exchange, &w->exchange) &&
		   kz_message_get(msg, w->function, "routing_key", routing_key, &w->routing_key) &&
		   kz_message_get(msg, w->function, "json_payload", payload, &w->payload) &&
		   (!headers || kz_message_get(msg, w->function, "amqp_headers", headers, &w->headers)) &&
		   (!properties || kz_message_get(msg, w->function, "amqp_properties", properties, &w->properties));
}

int kz_publish5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers, char *properties)
{
	struct words w = {.function = publish_name, .wait_ms = kz_settings()->publish_wait_ms};
	return read_words(msg, &w, exchange, routing_key, payload, headers, properties) ? publish(&w) : -1;
}

int kz_publish4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers)
{
	return kz_publish5(msg, exchange, routing_key, payload, headers, NULL);
}

int kz_publish3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload)
{
	return kz_publish5(msg, exchange, routing_key, payload, NULL, NULL);
}

int kz_publish_wait6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms,
	char *headers, char *properties)
{
	struct words w = {.function = wait_name};
	struct kb_slice timeout;
	return read_words(msg, &w, exchange, routing_key, payload, headers, properties) &&
				   kz_message_get(msg, wait_name, "timeout_ms", timeout_ms, &timeout) && read_wait(timeout, &w.wait_ms)
			   ? publish(&w)
			   : -1;
}

int kz_publish_wait5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms, char *headers)
{
	return kz_publish_wait6(msg, exchange, routing_key, payload, timeout_ms, headers, NULL);
}

int kz_publish_wait4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms)
{
	return kz_publish_wait6(msg, exchange, routing_key, payload, timeout_ms, NULL, NULL);
}

/* -- KEMI -- */

static struct words words_of(const str *exchange, const str *routing_key, const str *payload)
{
	return (struct words){.function = publish_name,
		.exchange = kb_str_to_slice(exchange),
		.routing_key = kb_str_to_slice(routing_key),
		.payload = kb_str_to_slice(payload),
		.wait_ms = kz_settings()->publish_wait_ms};
}

int kz_publish_kemi(struct sip_msg *msg, str *exchange, str *routing_key, str *payload)
{
	(void)msg;
	struct words w = words_of(exchange, routing_key, payload);
	return publish(&w);
}

int kz_publish_kemi_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers)
{
	(void)msg;
	struct words w = words_of(exchange, routing_key, payload);
	w.headers = kb_str_to_slice(headers);
	return publish(&w);
}

int kz_publish_kemi_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers, str *properties)
{
	(void)msg;
	struct words w = words_of(exchange, routing_key, payload);
	w.headers = kb_str_to_slice(headers);
	w.properties = kb_str_to_slice(properties);
	return publish(&w);
}

int kz_publish_kemi_wait(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, int timeout_ms)
{
	(void)msg;
	struct words w = words_of(exchange, routing_key, payload);
	w.function = wait_name;
	w.wait_ms = timeout_ms;
	return check_wait(timeout_ms) ? publish(&w) : -1;
}

int kz_publish_kemi_wait_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *timeout_ms, str *headers, str *properties)
{
	(void)msg;
	struct words w = words_of(exchange, routing_key, payload);
	w.function = wait_name;
	w.headers = kb_str_to_slice(headers);
	w.properties = kb_str_to_slice(properties);
	return read_wait(kb_str_to_slice(timeout_ms), &w.wait_ms) ? publish(&w) : -1;
}
