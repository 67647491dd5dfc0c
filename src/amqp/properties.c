#include "amqp/properties.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include "amqp/bytes.h"
#include "core/message.h"
#include "core/number.h"

enum kind { TEXT, DIGITS /* a number in a text */, OCTET, LONG };

static const struct property {
	struct kb_slice name;
	amqp_flags_t flag;
	enum kind kind;
	size_t at;                /* in amqp_basic_properties_t */
	uint64_t lowest, highest; /* of a number */
} known[] = {
#define PROPERTY(text, FLAG, kind, field, lowest, highest)                                                             \
	{                                                                                                                  \
		{text, sizeof(text) - 1}, AMQP_BASIC_##FLAG##_FLAG, kind, offsetof(amqp_basic_properties_t, field), lowest,    \
			highest                                                                                                    \
	}
	PROPERTY("content-type", CONTENT_TYPE, TEXT, content_type, 0, 0),
	PROPERTY("content-encoding", CONTENT_ENCODING, TEXT, content_encoding, 0, 0),
	PROPERTY("delivery-mode", DELIVERY_MODE, OCTET, delivery_mode, 1, 2),
	PROPERTY("priority", PRIORITY, OCTET, priority, 0, 255),
	PROPERTY("correlation-id", CORRELATION_ID, TEXT, correlation_id, 0, 0),
	PROPERTY("reply-to", REPLY_TO, TEXT, reply_to, 0, 0),
	PROPERTY("expiration", EXPIRATION, DIGITS, expiration, 0, UINT32_MAX),
	PROPERTY("message-id", MESSAGE_ID, TEXT, message_id, 0, 0),
	PROPERTY("timestamp", TIMESTAMP, LONG, timestamp, 0, UINT64_MAX),
	PROPERTY("type", TYPE, TEXT, type, 0, 0),
	PROPERTY("user-id", USER_ID, TEXT, user_id, 0, 0),
	PROPERTY("app-id", APP_ID, TEXT, app_id, 0, 0),
#undef PROPERTY
};

enum { KNOWN = sizeof known / sizeof *known, SHORT_STRING_MAX = 255 };

static bool set(amqp_basic_properties_t *properties, const struct property *p, struct kb_slice value)
{
	void *field = (char *)properties + p->at;
	uint64_t number = 0;
	bool text = p->kind == TEXT || p->kind == DIGITS;
	if (text && value.n > SHORT_STRING_MAX)
		return false;
	if (p->kind != TEXT && (!kb_number_read(value, p->highest, &number) || number < p->lowest))
		return false;
	if (text)
		*(amqp_bytes_t *)field = kb_amqp_bytes_of(value);
	else if (p->kind == OCTET)
		*(uint8_t *)field = (uint8_t)number;
	else
		*(uint64_t *)field = number;
	properties->_flags |= p->flag;
	return true;
}

static const struct property *find(struct kb_slice name)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (kb_slice_equal(known[i].name, name))
			return &known[i];
	return NULL;
}

bool kb_amqp_properties_read(
	struct kb_slice list, amqp_basic_properties_t *properties, bool *mandatory, struct kb_slice *bad)
{
	struct kb_slice name, value;
	uint64_t flag;
	while (kb_headers_next(&list, &name, &value)) {
		const struct property *p = find(name);
		bool is_mandatory = kb_slice_equal(name, KB_SLICE_LITERAL("mandatory"));
		bool good = is_mandatory ? kb_number_read(value, 1, &flag) : p && set(properties, p, value);
		if (!good) {
			*bad = name;
			return false;
		}
		if (is_mandatory)
			*mandatory = flag == 1;
	}
	return true;
}

static const char *complaint_about(const struct property *p)
{
	static char text[100];
	if (p->kind == TEXT)
		return "longer than 255 bytes";
	snprintf(text, sizeof text, "must be a number from %" PRIu64 " to %" PRIu64, p->lowest, p->highest);
	return text;
}

const char *kb_amqp_properties_check(struct kb_slice list, struct kb_slice *name, struct kb_slice *value)
{
	amqp_basic_properties_t ignored;
	uint64_t flag;
	while (kb_headers_next(&list, name, value)) {
		const struct property *p = find(*name);
		if (kb_slice_equal(*name, KB_SLICE_LITERAL("mandatory"))) {
			if (!kb_number_read(*value, 1, &flag))
				return "must be 0 or 1";
		} else if (!p) {
			return "unknown property, expected one of content-type, content-encoding, delivery-mode, priority, "
				   "correlation-id, reply-to, expiration, message-id, timestamp, type, user-id, app-id and mandatory";
		} else if (!set(&ignored, p, *value)) {
			return complaint_about(p);
		}
	}
	return NULL;
}

void kb_amqp_properties_list(const amqp_basic_properties_t *properties, struct kb_buf *list)
{
	for (size_t i = 0; i < KNOWN; i++) {
		const void *field = (const char *)properties + known[i].at;
		char text[24];
		if (!(properties->_flags & known[i].flag))
			continue;
		if (known[i].kind == TEXT || known[i].kind == DIGITS) {
			kb_headers_add(list, known[i].name, kb_amqp_bytes_slice(*(const amqp_bytes_t *)field));
			continue;
		}
		uint64_t number = known[i].kind == OCTET ? *(const uint8_t *)field : *(const uint64_t *)field;
		int n = snprintf(text, sizeof text, "%" PRIu64, number);
		kb_headers_add(list, known[i].name, kb_slice(text, (size_t)n));
	}
}
