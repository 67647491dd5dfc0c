#include "kamailio/nats/delivery.h"

#include "kamailio/glue/message_pv.h"

static const struct kb_message *current; /* NULL: none */
static struct kb_delivery *current_handle;

void kn_delivery_begin(const struct kb_message *m, struct kb_delivery *handle)
{
	current = m;
	current_handle = handle;
}

void kn_delivery_end(void)
{
	current = NULL;
	current_handle = NULL;
}

const struct kb_message *kn_delivery_message(void)
{
	return current;
}

struct kb_delivery *kn_delivery_handle(void)
{
	return current_handle;
}

/* -- pseudo-variables -- */

/* An empty part is an empty text, not null. */
static struct kb_slice present(struct kb_slice part)
{
	return kb_slice(part.p ? part.p : "", part.n);
}

int kn_delivery_pv_data(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_message_pv_text(msg, parameter, value, present(current->payload))
				   : pv_get_null(msg, parameter, value);
}

int kn_delivery_pv_subject(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_message_pv_text(msg, parameter, value, current->key) : pv_get_null(msg, parameter, value);
}

int kn_delivery_pv_reply(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current && current->reply.n ? kb_message_pv_text(msg, parameter, value, current->reply)
									   : pv_get_null(msg, parameter, value);
}

int kn_delivery_pv_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_message_pv_entry(msg, parameter, value, current->headers) : pv_get_null(msg, parameter, value);
}

int kn_delivery_pv_property(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value)
{
	return current ? kb_message_pv_entry(msg, parameter, value, current->properties)
				   : pv_get_null(msg, parameter, value);
}
