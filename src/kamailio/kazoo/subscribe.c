#include "kamailio/kazoo/subscribe.h"

#include <core/dprint.h>

#include "core/json.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/mod_init.h"
#include "kamailio/kazoo/subscriptions.h"

static bool allowed_now(void)
{
	if (kz_mod_init_is_running())
		return true;
	LM_ERR("kazoo_subscribe: may be called only while event_route[kazoo:mod-init] runs\n");
	return false;
}

static int subscribe_json(struct kb_slice json)
{
	return allowed_now() && kz_subscriptions_add(json) ? 1 : -1;
}

static int subscribe_simple(
	struct kb_slice exchange, struct kb_slice type, struct kb_slice queue, struct kb_slice routing_key)
{
	struct kb_buf json = {0};
	const struct kb_slice fields[][2] = {{KB_SLICE_LITERAL("exchange"), exchange}, {KB_SLICE_LITERAL("type"), type},
		{KB_SLICE_LITERAL("queue"), queue}, {KB_SLICE_LITERAL("routing"), routing_key}};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		kb_buf_append_byte(&json, i ? ',' : '{');
		kb_json_quote(fields[i][0], &json);
		kb_buf_append_byte(&json, ':');
		kb_json_quote(fields[i][1], &json);
	}
	kb_buf_append_byte(&json, '}');
	int result = json.failed ? -1 : subscribe_json(kb_buf_slice(&json));
	kb_buf_free(&json);
	return result;
}

int kz_subscribe1(struct sip_msg *msg, char *json, char *unused)
{
	struct kb_slice text;
	(void)unused;
	return kb_script_get(msg, "kazoo_subscribe", "json_description", json, &text) ? subscribe_json(text) : -1;
}

int kz_subscribe4(struct sip_msg *msg, char *exchange, char *type, char *queue, char *routing_key)
{
	struct kb_slice e, t, q, k;
	if (!kb_script_get(msg, "kazoo_subscribe", "exchange", exchange, &e) ||
		!kb_script_get(msg, "kazoo_subscribe", "exchange_type", type, &t) ||
		!kb_script_get(msg, "kazoo_subscribe", "queue", queue, &q) ||
		!kb_script_get(msg, "kazoo_subscribe", "routing_key", routing_key, &k))
		return -1;
	return subscribe_simple(e, t, q, k);
}

int kz_subscribe_kemi(struct sip_msg *msg, str *json)
{
	(void)msg;
	return subscribe_json(kb_str_to_slice(json));
}

int kz_subscribe_kemi_simple(struct sip_msg *msg, str *exchange, str *type, str *queue, str *routing_key)
{
	(void)msg;
	return subscribe_simple(
		kb_str_to_slice(exchange), kb_str_to_slice(type), kb_str_to_slice(queue), kb_str_to_slice(routing_key));
}
