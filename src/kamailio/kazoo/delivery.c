#include "kamailio/kazoo/delivery.h"

#include <core/dprint.h>

#include "kamailio/glue/message_pv.h"

static struct kz_delivery current; /* record is NULL when there is none */
static struct kb_message message;  /* the current one */
static bool settled;

/* Holds the parts of `message` after its record went back to the ring while the route still runs. */
static struct kb_buf kept;

const struct kb_message *kz_delivery_begin(const struct kz_delivery *delivery)
{
	current = *delivery;
	message = *delivery->message;
	settled = false;
	return &message;
}

void kz_delivery_end(enum kb_outcome outcome)
{
	if (!settled)
		kb_inbox_settle(current.inbox, current.worker, current.record, outcome);
	current = (struct kz_delivery){0};
	message = (struct kb_message){0};
}

struct kb_slice kz_delivery_payload(void)
{
	return current.payload;
}

/* -- settling -- */

static bool keep(void)
{
	bool raw = current.payload.p == message.payload.p;
	size_t size = kb_message_size(&message);
	kb_buf_clear(&kept);
	char *copy = kb_buf_reserve(&kept, size);
	if (!copy)
		return false;
	kb_message_encode(&message, copy);
	if (!kb_message_decode(copy, size, &message))
		return false;
	if (raw)
		current.payload = message.payload;
	return true;
}

static const char *why_not(void)
{
	if (!current.record)
		return "no message to settle: may be called only in event routes of deliveries";
	if (settled)
		return "message has already been settled";
	if (!(message.origin.flags & KB_WANTS_ACK))
		return "cannot settle the message: its subscription needs \"no_ack\":0 and \"wait_for_consumer_ack\":1";
	return keep() ? NULL : "out of memory";
}

static int settle(const char *function, enum kb_outcome outcome)
{
	const char *problem = why_not();
	if (problem) {
		LM_ERR("%s: %s\n", function, problem);
		return -1;
	}
	kb_inbox_settle(current.inbox, current.worker, current.record, outcome);
	settled = true;
	return 1;
}

int kz_delivery_ack_kemi(struct sip_msg *msg)
{
	(void)msg;
	return settle("kazoo_ack", KB_DONE);
}

int kz_delivery_reject_kemi(struct sip_msg *msg)
{
	(void)msg;
	return settle("kazoo_reject", KB_REJECTED);
}

int kz_delivery_requeue_kemi(struct sip_msg *msg)
{
	(void)msg;
	return settle("kazoo_requeue", KB_REQUEUE);
}

int kz_delivery_ack(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kz_delivery_ack_kemi(msg);
}

int kz_delivery_reject(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kz_delivery_reject_kemi(msg);
}

int kz_delivery_requeue(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return kz_delivery_requeue_kemi(msg);
}

/* -- pseudo-variables -- */

int kz_delivery_pv_payload(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return kb_message_pv_text(msg, parameter, value, current.payload);
}

/* Events of the module itself come from no exchange and no queue. */
static int text_of_delivery(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value, struct kb_slice slice)
{
	return current.subscription ? kb_message_pv_text(msg, parameter, value, slice) : pv_get_null(msg, parameter, value);
}

int kz_delivery_pv_routing_key(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return text_of_delivery(msg, parameter, value, message.key);
}

int kz_delivery_pv_exchange(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return text_of_delivery(msg, parameter, value, message.exchange);
}

int kz_delivery_pv_queue(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!current.subscription)
		return pv_get_null(msg, parameter, value);
	return kb_message_pv_text(msg, parameter, value, kb_slice_from(current.subscription->queue.name));
}

int kz_delivery_pv_redelivered(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	if (!current.subscription)
		return pv_get_null(msg, parameter, value);
	return pv_get_sintval(msg, parameter, value, message.origin.flags & KB_REDELIVERED ? 1 : 0);
}

int kz_delivery_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return kb_message_pv_entry(msg, parameter, value, message.headers);
}

int kz_delivery_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return kb_message_pv_entry(msg, parameter, value, message.properties);
}
