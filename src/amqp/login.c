#include "amqp/login.h"

#include <amqp_framing.h>
#include <stdio.h>
#include "amqp/bytes.h"
#include "amqp/reason.h"
#include "core/buf.h"
#include "core/clock.h"

enum {
	FRAME_MAX = 131072, /* what librabbitmq and RabbitMQ agree on by default */
	FRAME_LEAST = 4096  /* frame-min-size of the protocol */
};

struct login {
	amqp_connection_state_t connection;
	const struct kb_amqp_address *address;
	const struct kb_broker_config *config;
	int64_t deadline_ms;
};

/* -- methods -- */

static const char *send_method(const struct login *l, amqp_method_number_t id, void *fields)
{
	int status = amqp_send_method(l->connection, 0, id, fields);
	return status == AMQP_STATUS_OK ? NULL : amqp_error_string2(status);
}

static const char *read_frame(const struct login *l, amqp_frame_t *frame)
{
	int64_t left = l->deadline_ms - kb_clock_ms();
	left = left > 0 ? left : 1;
	const struct timeval timeout = {left / 1000, left % 1000 * 1000};
	int status = amqp_simple_wait_frame_noblock(l->connection, frame, &timeout);
	return status == AMQP_STATUS_OK ? NULL : amqp_error_string2(status);
}

/* The fields of the next method, which must be this one. They are valid until the next method is read. */
static const char *await(const struct login *l, amqp_method_number_t expected, const void **fields)
{
	static char unexpected[100];
	amqp_frame_t frame = {0};
	const char *why = read_frame(l, &frame);
	if (why)
		return why;
	amqp_method_number_t id = frame.frame_type == AMQP_FRAME_METHOD ? frame.payload.method.id : 0;
	if (id == AMQP_CONNECTION_CLOSE_METHOD)
		return kb_amqp_reason_in(&frame);
	*fields = frame.payload.method.decoded;
	if (id == expected)
		return NULL;
	snprintf(unexpected, sizeof unexpected, "unexpected frame of the broker while logging in (method 0x%x)", id);
	return unexpected;
}

/* -- authentication -- */

static const char *const names[KB_AMQP_MECHANISMS] = {
	[KB_AMQP_PLAIN] = "PLAIN", [KB_AMQP_AMQPLAIN] = "AMQPLAIN", [KB_AMQP_EXTERNAL] = "EXTERNAL"};

/* `offered` has names with blanks between them. */
static bool is_offered(struct kb_slice offered, const char *name)
{
	size_t n = strlen(name);
	for (size_t from = 0; from + n <= offered.n; from++) {
		bool begins = from == 0 || offered.p[from - 1] == ' ';
		bool ends = from + n == offered.n || offered.p[from + n] == ' ';
		if (begins && ends && memcmp(offered.p + from, name, n) == 0)
			return true;
	}
	return false;
}

static const char *none_offered(const enum kb_amqp_mechanism *mechanisms, size_t n, struct kb_slice offered)
{
	static char why[300];
	size_t used = (size_t)snprintf(why, sizeof why, "the broker does not offer the authentication mechanism ");
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(why + used, sizeof why - used, "%s%s", i ? " or " : "", names[mechanisms[i]]);
	snprintf(why + used, sizeof why - used, ", only: %.*s", KB_SLICE_FMT(offered));
	return why;
}

static const char *choose(const struct login *l, amqp_bytes_t offered, enum kb_amqp_mechanism *chosen)
{
	static const enum kb_amqp_mechanism by_default[] = {KB_AMQP_PLAIN, KB_AMQP_AMQPLAIN};
	const struct kb_amqp_address_options *o = &l->address->options;
	const enum kb_amqp_mechanism *mechanisms = o->n_mechanisms ? o->mechanisms : by_default;
	size_t n = o->n_mechanisms ? o->n_mechanisms : sizeof by_default / sizeof *by_default;
	for (size_t i = 0; i < n; i++) {
		*chosen = mechanisms[i];
		if (is_offered(kb_amqp_bytes_slice(offered), names[*chosen]))
			return NULL;
	}
	return none_offered(mechanisms, n, kb_amqp_bytes_slice(offered));
}

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
	entry.value.kind = AMQP_FIELD_KIND_UTF8; /* a long string */
	entry.value.value.bytes = amqp_cstring_bytes(value);
	return entry;
}

/* A table without the length that comes before one. */
static void put_amqplain(struct kb_buf *to, const char *user, const char *password)
{
	amqp_table_entry_t entries[] = {text_entry("LOGIN", user), text_entry("PASSWORD", password)};
	amqp_table_t table = {sizeof entries / sizeof *entries, entries};
	size_t most = strlen(user) + strlen(password) + 64, n = 0;
	char *at = kb_buf_reserve(to, most);
	if (!at || amqp_encode_table((amqp_bytes_t){most, at}, &table, &n) != AMQP_STATUS_OK)
		return;
	to->n += n;
	kb_buf_consume(to, sizeof(uint32_t));
}

/* RFC 4616, with no identity but the user's own. */
static void put_plain(struct kb_buf *to, const char *user, const char *password)
{
	kb_buf_append_byte(to, '\0');
	kb_buf_append_slice(to, kb_slice_from(user));
	kb_buf_append_byte(to, '\0');
	kb_buf_append_slice(to, kb_slice_from(password));
}

static void put_response(struct kb_buf *to, const struct kb_amqp_address *a, enum kb_amqp_mechanism mechanism)
{
	if (mechanism == KB_AMQP_PLAIN)
		put_plain(to, a->user, a->password);
	else if (mechanism == KB_AMQP_AMQPLAIN)
		put_amqplain(to, a->user, a->password);
	else if (a->has_user) /* else the broker takes the user from our certificate (RFC 4422, A) */
		kb_buf_append_slice(to, kb_slice_from(a->user));
}

static void wipe(struct kb_buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->capacity);
	kb_buf_free(b);
}

/* -- the steps -- */

static amqp_table_entry_t flag_entry(const char *key)
{
	amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
	entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
	entry.value.value.boolean = 1;
	return entry;
}

static const char *start_ok(const struct login *l, enum kb_amqp_mechanism mechanism)
{
	amqp_table_entry_t capabilities[] = {flag_entry("publisher_confirms"), flag_entry("basic.nack"),
		flag_entry("consumer_cancel_notify"), flag_entry("connection.blocked"),
		flag_entry("authentication_failure_close")};
	amqp_table_entry_t properties[] = {text_entry("product", "kemibus"),
		text_entry("connection_name", l->config->client_name), {.key = amqp_cstring_bytes("capabilities")}};
	properties[2].value.kind = AMQP_FIELD_KIND_TABLE;
	properties[2].value.value.table = (amqp_table_t){sizeof capabilities / sizeof *capabilities, capabilities};
	struct kb_buf response = {0};
	put_response(&response, l->address, mechanism);
	amqp_connection_start_ok_t fields = {.client_properties = {sizeof properties / sizeof *properties, properties},
		.mechanism = amqp_cstring_bytes(names[mechanism]),
		.response = kb_amqp_bytes_of(kb_buf_slice(&response)),
		.locale = amqp_cstring_bytes("en_US")};
	const char *why = response.failed ? "out of memory" : send_method(l, AMQP_CONNECTION_START_OK_METHOD, &fields);
	wipe(&response);
	return why;
}

static const char *start(const struct login *l)
{
	const void *fields;
	enum kb_amqp_mechanism mechanism;
	int status = amqp_send_header(l->connection);
	if (status != AMQP_STATUS_OK)
		return amqp_error_string2(status);
	const char *why = await(l, AMQP_CONNECTION_START_METHOD, &fields);
	if (!why)
		why = choose(l, ((const amqp_connection_start_t *)fields)->mechanisms, &mechanism);
	return why ? why : start_ok(l, mechanism);
}

/* 0 is no limit. */
static unsigned smaller(unsigned ours, unsigned theirs)
{
	return theirs && (theirs < ours || !ours) ? theirs : ours;
}

static const char *tune(const struct login *l, int *heartbeat_s)
{
	const struct kb_amqp_address_options *o = &l->address->options;
	unsigned channel_max = o->channel_max < 0 ? AMQP_DEFAULT_MAX_CHANNELS : (unsigned)o->channel_max;
	unsigned frame_max = smaller(FRAME_MAX, (unsigned)o->frame_max);
	unsigned heartbeat = (unsigned)(o->heartbeat_s < 0 ? l->config->heartbeat_s : o->heartbeat_s);
	const void *fields;
	const char *why = await(l, AMQP_CONNECTION_TUNE_METHOD, &fields);
	if (why)
		return why;
	const amqp_connection_tune_t *theirs = fields;
	amqp_connection_tune_ok_t agreed = {.channel_max = (uint16_t)smaller(channel_max, theirs->channel_max),
		.frame_max = smaller(frame_max, theirs->frame_max),
		.heartbeat = (uint16_t)(heartbeat ? smaller(heartbeat, theirs->heartbeat) : 0)};
	*heartbeat_s = agreed.heartbeat;
	if (agreed.frame_max < FRAME_LEAST)
		return "the broker allows frames of less than 4096 bytes only";
	int status = amqp_tune_connection(l->connection, agreed.channel_max, (int)agreed.frame_max, 0);
	return status == AMQP_STATUS_OK ? send_method(l, AMQP_CONNECTION_TUNE_OK_METHOD, &agreed)
									: amqp_error_string2(status);
}

static const char *open_vhost(const struct login *l)
{
	amqp_connection_open_t fields = {.virtual_host = amqp_cstring_bytes(l->address->vhost)};
	const void *opened;
	const char *why = send_method(l, AMQP_CONNECTION_OPEN_METHOD, &fields);
	return why ? why : await(l, AMQP_CONNECTION_OPEN_OK_METHOD, &opened);
}

const char *kb_amqp_login(amqp_connection_state_t connection, const struct kb_amqp_address *address,
	const struct kb_broker_config *config, int64_t deadline_ms, int *heartbeat_s)
{
	const struct login l = {connection, address, config, deadline_ms};
	const char *why = start(&l);
	why = why ? why : tune(&l, heartbeat_s);
	why = why ? why : open_vhost(&l);
	amqp_maybe_release_buffers(connection);
	return why;
}
