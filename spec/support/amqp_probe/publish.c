#include "publish.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { MAX_HEADERS = 64, CONFIRM_WINDOW = 1000 };

typedef struct {
	const char *exchange, *key;
	amqp_basic_properties_t properties;
	amqp_table_entry_t headers[MAX_HEADERS];
	long count;
	bool lines, frames, confirm;
	long unconfirmed;
} publication;

static void add_header(publication *p, char *text)
{
	char *equals = strchr(text, '=');
	if (!equals)
		probe_die(text, "a header is NAME=VALUE");
	if (p->properties.headers.num_entries == MAX_HEADERS)
		probe_die(text, "too many headers");
	*equals = 0;
	amqp_table_entry_t *entry = &p->headers[p->properties.headers.num_entries++];
	entry->key = amqp_cstring_bytes(text);
	entry->value.kind = AMQP_FIELD_KIND_UTF8;
	entry->value.value.bytes = amqp_cstring_bytes(equals + 1);
	p->properties._flags |= AMQP_BASIC_HEADERS_FLAG;
}

static void set_property(publication *p, amqp_bytes_t *property, amqp_flags_t flag, const char *text)
{
	*property = amqp_cstring_bytes(text);
	p->properties._flags |= flag;
}

static void parse_publication(publication *p, int argc, char **argv)
{
	static const struct option options[] = {{"lines", no_argument, 0, 'l'}, {"frames", no_argument, 0, 'f'},
		{"count", required_argument, 0, 'n'}, {"header", required_argument, 0, 'h'},
		{"content-type", required_argument, 0, 'c'}, {"reply-to", required_argument, 0, 'r'},
		{"correlation-id", required_argument, 0, 'i'}, {"message-id", required_argument, 0, 'm'},
		{"type", required_argument, 0, 't'}, {"app-id", required_argument, 0, 'a'}, {"persistent", no_argument, 0, 'p'},
		{"confirm", no_argument, 0, 'k'}, {0, 0, 0, 0}};
	amqp_basic_properties_t *q = &p->properties;
	q->headers.entries = p->headers;
	p->count = 1;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'l': p->lines = true; break;
		case 'f': p->frames = true; break;
		case 'n': p->count = atol(optarg); break;
		case 'h': add_header(p, optarg); break;
		case 'c': set_property(p, &q->content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, optarg); break;
		case 'r': set_property(p, &q->reply_to, AMQP_BASIC_REPLY_TO_FLAG, optarg); break;
		case 'i': set_property(p, &q->correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, optarg); break;
		case 'm': set_property(p, &q->message_id, AMQP_BASIC_MESSAGE_ID_FLAG, optarg); break;
		case 't': set_property(p, &q->type, AMQP_BASIC_TYPE_FLAG, optarg); break;
		case 'a': set_property(p, &q->app_id, AMQP_BASIC_APP_ID_FLAG, optarg); break;
		case 'p':
			q->delivery_mode = 2;
			q->_flags |= AMQP_BASIC_DELIVERY_MODE_FLAG;
			break;
		case 'k': p->confirm = true; break;
		default: exit(2);
		}
	}
	p->exchange = probe_argument(argc, argv, optind, "EXCHANGE");
	p->key = probe_argument(argc, argv, optind + 1, "KEY");
}

/* Waits until the broker has confirmed all that was published. */
static void await_confirms(amqp_connection_state_t connection, publication *p)
{
	static uint64_t published, confirmed;
	published += p->unconfirmed;
	p->unconfirmed = 0;
	while (confirmed < published) {
		amqp_frame_t frame;
		amqp_maybe_release_buffers(connection);
		if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK)
			probe_die("confirm", "connection lost");
		if (frame.frame_type != AMQP_FRAME_METHOD)
			continue;
		if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
			probe_die("confirm", "refused by the broker");
		amqp_basic_ack_t *ack = frame.payload.method.decoded;
		confirmed = ack->multiple || ack->delivery_tag > confirmed ? ack->delivery_tag : confirmed;
	}
}

static void publish_payload(amqp_connection_state_t connection, publication *p, amqp_bytes_t payload)
{
	for (long i = 0; i < p->count; i++) {
		int status = amqp_basic_publish(connection, PROBE_CHANNEL, amqp_cstring_bytes(p->exchange),
			amqp_cstring_bytes(p->key), 0, 0, &p->properties, payload);
		if (status != AMQP_STATUS_OK)
			probe_die("publish", amqp_error_string2(status));
		if (p->confirm && ++p->unconfirmed == CONFIRM_WINDOW)
			await_confirms(connection, p);
	}
}

/* The next payload in *bytes (the caller frees it), or false at the end of the input. */
static bool read_frame(amqp_bytes_t *bytes)
{
	size_t length;
	if (scanf("%zu", &length) != 1 || getchar() != '\n')
		return false;
	*bytes = amqp_bytes_malloc(length);
	return fread(bytes->bytes, 1, length, stdin) == length;
}

static bool read_with_delimiter(amqp_bytes_t *bytes, int delimiter)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length = getdelim(&line, &size, delimiter, stdin);
	if (length < 0)
		return false;
	if (line[length - 1] == delimiter)
		length--;
	*bytes = (amqp_bytes_t){.len = length, .bytes = line};
	return true;
}

static amqp_bytes_t read_all(void)
{
	amqp_bytes_t all = {0};
	for (size_t got = 1; got;) {
		all.bytes = realloc(all.bytes, all.len + 65536);
		if (!all.bytes)
			probe_die("standard input", "out of memory");
		all.len += got = fread((char *)all.bytes + all.len, 1, 65536, stdin);
	}
	return all;
}

void probe_publish(amqp_connection_state_t connection, int argc, char **argv)
{
	publication p = {0};
	parse_publication(&p, argc, argv);
	if (p.confirm) {
		amqp_confirm_select(connection, PROBE_CHANNEL);
		probe_check(connection, "confirm");
	}
	amqp_bytes_t payload;
	if (p.lines || p.frames) {
		while (p.frames ? read_frame(&payload) : read_with_delimiter(&payload, '\n')) {
			publish_payload(connection, &p, payload);
			free(payload.bytes);
		}
	} else {
		payload = read_all();
		publish_payload(connection, &p, payload);
		free(payload.bytes);
	}
	if (p.confirm)
		await_confirms(connection, &p);
	/* Closing the channel is answered only after the broker has read all that went before. */
	amqp_rpc_reply_t reply = amqp_channel_close(connection, PROBE_CHANNEL, AMQP_REPLY_SUCCESS);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		probe_die("publish", probe_reply_text(reply));
}
