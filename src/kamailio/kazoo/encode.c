#include "kamailio/kazoo/encode.h"

#include "core/routing_key.h"
#include "kamailio/glue/script.h"

int kz_encode(struct sip_msg *msg, char *text, char *target)
{
	struct kb_slice word;
	pv_value_t value;
	if (!kb_script_get(msg, "kazoo_encode", "to_encode", text, &word))
		return -1;
	struct kb_buf *encoded = kb_script_result();
	kb_routing_key_encode(word, encoded);
	if (encoded->failed)
		return -1;
	kb_script_set_text(&value, kb_slice(encoded->p ? encoded->p : "", encoded->n));
	return kb_script_assign(msg, (pv_spec_t *)target, &value);
}
