#include "print.h"

#include <stdio.h>

static void print_string(amqp_bytes_t text)
{
	const unsigned char *bytes = text.bytes;
	putchar('"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = bytes[i];
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_header_value(const amqp_field_value_t *value)
{
	switch (value->kind) {
	case AMQP_FIELD_KIND_UTF8:
	case AMQP_FIELD_KIND_BYTES: print_string(value->value.bytes); break;
	case AMQP_FIELD_KIND_BOOLEAN: printf("%s", value->value.boolean ? "true" : "false"); break;
	case AMQP_FIELD_KIND_I8: printf("%d", value->value.i8); break;
	case AMQP_FIELD_KIND_I16: printf("%d", value->value.i16); break;
	case AMQP_FIELD_KIND_I32: printf("%d", value->value.i32); break;
	case AMQP_FIELD_KIND_I64: printf("%lld", (long long)value->value.i64); break;
	case AMQP_FIELD_KIND_TIMESTAMP: printf("%llu", (unsigned long long)value->value.u64); break;
	default: printf("\"(a header of kind %c)\"", value->kind);
	}
}

static void print_headers(const amqp_table_t *headers)
{
	printf(",\"headers\":{");
	for (int i = 0; i < headers->num_entries; i++) {
		if (i)
			putchar(',');
		print_string(headers->entries[i].key);
		putchar(':');
		print_header_value(&headers->entries[i].value);
	}
	putchar('}');
}

static void print_properties(const amqp_basic_properties_t *q)
{
	const struct {
		amqp_flags_t flag;
		const char *name;
		const amqp_bytes_t *value;
	} texts[] = {{AMQP_BASIC_CONTENT_TYPE_FLAG, "content_type", &q->content_type},
		{AMQP_BASIC_CONTENT_ENCODING_FLAG, "content_encoding", &q->content_encoding},
		{AMQP_BASIC_CORRELATION_ID_FLAG, "correlation_id", &q->correlation_id},
		{AMQP_BASIC_REPLY_TO_FLAG, "reply_to", &q->reply_to},
		{AMQP_BASIC_EXPIRATION_FLAG, "expiration", &q->expiration},
		{AMQP_BASIC_MESSAGE_ID_FLAG, "message_id", &q->message_id}, {AMQP_BASIC_TYPE_FLAG, "type", &q->type},
		{AMQP_BASIC_USER_ID_FLAG, "user_id", &q->user_id}, {AMQP_BASIC_APP_ID_FLAG, "app_id", &q->app_id}};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!(q->_flags & texts[i].flag))
			continue;
		printf(",\"%s\":", texts[i].name);
		print_string(*texts[i].value);
	}
	if (q->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
		printf(",\"delivery_mode\":%d", q->delivery_mode);
	if (q->_flags & AMQP_BASIC_PRIORITY_FLAG)
		printf(",\"priority\":%d", q->priority);
	if (q->_flags & AMQP_BASIC_TIMESTAMP_FLAG)
		printf(",\"timestamp\":%llu", (unsigned long long)q->timestamp);
	if (q->_flags & AMQP_BASIC_HEADERS_FLAG)
		print_headers(&q->headers);
}

void probe_print_envelope(const amqp_envelope_t *envelope)
{
	printf("{\"exchange\":");
	print_string(envelope->exchange);
	printf(",\"routing_key\":");
	print_string(envelope->routing_key);
	printf(",\"redelivered\":%s", envelope->redelivered ? "true" : "false");
	print_properties(&envelope->message.properties);
	printf(",\"payload\":");
	print_string(envelope->message.body);
	printf("}\n");
	fflush(stdout);
}
