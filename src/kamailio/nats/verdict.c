#include "kamailio/nats/verdict.h"

#include <core/dprint.h>

#include "bus/listener.h"
#include "core/log.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/delivery.h"
#include "kamailio/nats/request.h"

static bool is_of_stream(const char *function)
{
	const struct kb_message *m = kn_delivery_message();
	if (!m)
		LM_ERR("%s: may be called only in the event route of a message\n", function);
	else if (!kb_headers_find(m->properties, KB_SLICE_LITERAL("stream")).p)
		kb_log(KB_LOG_ERROR, "%s: cannot settle the message on \"%.*s\": it does not come from a stream", function,
			KB_SLICE_FMT(m->key));
	else
		return true;
	return false;
}

static bool can_be_settled(const char *function)
{
	if (!is_of_stream(function))
		return false;
	if (!kb_delivery_is_open(kn_delivery_handle()))
		LM_ERR("%s: message has already been settled\n", function);
	return kb_delivery_is_open(kn_delivery_handle());
}

static int told(const char *function, bool good)
{
	if (!good)
		LM_ERR("%s: connection lost, the stream will deliver the message again\n", function);
	return good ? 1 : -1;
}

static int settle(const char *function, enum kb_outcome outcome, unsigned delay_ms)
{
	return can_be_settled(function) ? told(function, kb_delivery_settle(kn_delivery_handle(), outcome, delay_ms)) : -1;
}

int kn_verdict_ack_kemi(struct sip_msg *msg)
{
	(void)msg;
	return settle("nats_ack", KB_DONE, 0);
}

/* A wrong delay must not lead to the message being acknowledged, so it is delivered again at once. */
int kn_verdict_nak_kemi(struct sip_msg *msg, int delay_ms)
{
	(void)msg;
	bool delayed = delay_ms && kn_request_timeout_in_range("nats_nak", delay_ms);
	return settle("nats_nak", KB_REQUEUE, delayed ? (unsigned)delay_ms : 0);
}

int kn_verdict_term_kemi(struct sip_msg *msg)
{
	(void)msg;
	return settle("nats_term", KB_REJECTED, 0);
}

int kn_verdict_progress_kemi(struct sip_msg *msg)
{
	(void)msg;
	const char *function = "nats_progress";
	return can_be_settled(function) ? told(function, kb_delivery_progress(kn_delivery_handle())) : -1;
}

int kn_verdict_ack(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kn_verdict_ack_kemi(msg);
}

int kn_verdict_nak0(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kn_verdict_nak_kemi(msg, 0);
}

int kn_verdict_nak1(struct sip_msg *msg, char *delay, char *unused)
{
	struct kb_slice text;
	unsigned delay_ms;
	(void)unused;
	bool delayed = kb_script_get(msg, "nats_nak", "delay", delay, &text) &&
				   !kb_slice_equal(text, KB_SLICE_LITERAL("0")) && kn_request_read_timeout("nats_nak", text, &delay_ms);
	return kn_verdict_nak_kemi(msg, delayed ? (int)delay_ms : 0);
}

int kn_verdict_term(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kn_verdict_term_kemi(msg);
}

int kn_verdict_progress(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kn_verdict_progress_kemi(msg);
}
