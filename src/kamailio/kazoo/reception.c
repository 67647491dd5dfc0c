#include "kamailio/kazoo/reception.h"

#include <stdio.h>
#include <time.h>

#include "core/json_rewrite.h"
#include "kamailio/kazoo/zones.h"

/* The current time in seconds as text, made once for all messages of that second. */
static struct kb_slice now_text(void)
{
	static char text[24];
	static time_t second;
	static int n;
	time_t now = time(NULL);
	if (now != second)
		n = snprintf(text, sizeof text, "%lld", (long long)now);
	second = now;
	return kb_slice(text, (size_t)n);
}

bool kz_reception_payload(size_t zone, struct kb_slice payload, struct kb_buf *out, struct kb_json_error *error)
{
	const struct kz_zone *from = kz_zone(zone);
	const struct kb_json_edit edits[] = {
		{KB_SLICE_LITERAL("AMQP-Broker-Zone"), kb_slice_from(from->name), false, KB_JSON_SET},
		{KB_SLICE_LITERAL("AMQP-Received"), now_text(), true, KB_JSON_SET},
		{KB_SLICE_LITERAL("Server-ID"), kb_slice_from(from->server_id_prefix), false, KB_JSON_PREFIX},
	};
	kb_buf_clear(out);
	return kb_json_rewrite(payload, edits, sizeof edits / sizeof *edits, out, error);
}
