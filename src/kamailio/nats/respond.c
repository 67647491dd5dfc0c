#include "kamailio/nats/respond.h"

#include <core/dprint.h>

#include "core/log.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/delivery.h"
#include "kamailio/nats/message.h"
#include "kamailio/nats/publish.h"

static int respond(struct kb_slice payload, struct kb_slice headers)
{
	static struct kb_log_limit no_reply;
	static const char function[] = "nats_respond";
	const struct kb_message *request = kn_delivery_message();
	if (request && request->reply.n)
		return kn_publish_message(function, request->reply, payload, kb_slice(NULL, 0), headers);
	if (request)
		kb_log_limited(&no_reply, KB_LOG_ERROR, "%s: cannot reply to the message on \"%.*s\": it has no reply subject",
			function, KB_SLICE_FMT(request->key));
	else
		LM_ERR("%s: may be called only in the event route of a message\n", function);
	return kn_message_refuse();
}

int kn_respond2(struct sip_msg *msg, char *payload, char *headers)
{
	struct kb_slice p, h = {NULL, 0};
	if (!kb_script_get(msg, "nats_respond", "payload", payload, &p) ||
		(headers && !kb_script_get(msg, "nats_respond", "headers", headers, &h)))
		return kn_message_refuse();
	return respond(p, h);
}

int kn_respond1(struct sip_msg *msg, char *payload, char *unused)
{
	(void)unused;
	return kn_respond2(msg, payload, NULL);
}

int kn_respond_kemi_headers(struct sip_msg *msg, str *payload, str *headers)
{
	(void)msg;
	return respond(kb_str_to_slice(payload), headers ? kb_str_to_slice(headers) : kb_slice(NULL, 0));
}

int kn_respond_kemi(struct sip_msg *msg, str *payload)
{
	return kn_respond_kemi_headers(msg, payload, NULL);
}
