/* kazoo_publish (kazoo manual 5.1.1) for kamailio.cfg and KEMI. */
#include "kamailio/kazoo.h"

#include "kamailio/script.h"

static const char function[] = "kazoo_publish";

/* Of a kazoo_publish: what is not given is empty. */
struct words {
	struct kb_slice exchange, routing_key, payload, headers, properties;
};

static int publish(const struct words *w)
{
	struct kb_message m;
	if (!kz_message_build(function, w->exchange, w->routing_key, w->payload, w->headers, &m) ||
		(w->properties.n && !kz_message_add_properties(function, w->properties, &m)))
		return -1;
	int result = kz_message_send(function, &m);
	bool wait = result == 1 && kz_settings()->publish_wait_ms && !kz_in_mod_init();
	return wait ? kz_message_await(function, &m) : result;
}

int kz_publish5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers, char *properties)
{
	struct words w = {0};
	if (!kb_script_get(msg, function, "exchange", exchange, &w.exchange) ||
		!kb_script_get(msg, function, "routing_key", routing_key, &w.routing_key) ||
		!kb_script_get(msg, function, "json_payload", payload, &w.payload) ||
		(headers && !kb_script_get(msg, function, "amqp_headers", headers, &w.headers)) ||
		(properties && !kb_script_get(msg, function, "amqp_properties", properties, &w.properties)))
		return -1;
	return publish(&w);
}

int kz_publish4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers)
{
	return kz_publish5(msg, exchange, routing_key, payload, headers, NULL);
}

int kz_publish3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload)
{
	return kz_publish5(msg, exchange, routing_key, payload, NULL, NULL);
}

int kz_kemi_publish_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers, str *properties)
{
	(void)msg;
	struct words w = {.exchange = kb_slice_of_str(exchange),
		.routing_key = kb_slice_of_str(routing_key),
		.payload = kb_slice_of_str(payload)};
	if (headers)
		w.headers = kb_slice_of_str(headers);
	if (properties)
		w.properties = kb_slice_of_str(properties);
	return publish(&w);
}

int kz_kemi_publish_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers)
{
	return kz_kemi_publish_properties(msg, exchange, routing_key, payload, headers, NULL);
}

int kz_kemi_publish(struct sip_msg *msg, str *exchange, str *routing_key, str *payload)
{
	return kz_kemi_publish_properties(msg, exchange, routing_key, payload, NULL, NULL);
}
