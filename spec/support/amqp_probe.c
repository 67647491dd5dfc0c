/*
 * amqp_probe: one AMQP action per call, for the specs and the benchmark.
 *
 *   amqp_probe URL exchange NAME TYPE [durable] [auto_delete] [internal] [passive]
 *   amqp_probe URL queue NAME [durable] [auto_delete] [exclusive] [passive] [quorum]   prints "NAME MESSAGES CONSUMERS"
 *   amqp_probe URL bind QUEUE EXCHANGE KEY
 *   amqp_probe URL delete exchange|queue NAME
 *   amqp_probe URL publish EXCHANGE KEY [OPTION]...    payloads from standard input
 *   amqp_probe URL consume QUEUE [OPTION]...           one JSON object a line; "ready" on standard error
 *
 * publish: --lines (a payload per line) or --frames ("LENGTH\n" and that many bytes each); default: all input is one
 * payload.
 *   --count N (each payload N times), --header NAME=VALUE, --content-type, --reply-to, --correlation-id, --message-id,
 *   --type, --app-id, --persistent, --confirm (status 1 unless the broker confirms all).
 * consume: --count N (0: no limit), --deadline SECONDS (without a message), --total-deadline SECONDS, --quiet (print
 *   only the number of messages), --prefetch N, --no-ack (faster, but what is under way when the count is reached is
 * lost).
 *
 * JSON is written byte by byte: what is no control character passes as it is, so a payload that is not UTF-8 survives.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum { CHANNEL = 1, MAX_HEADERS = 64, CONFIRM_WINDOW = 1000 };

typedef struct {
	const char *exchange, *key;
	amqp_basic_properties_t properties;
	amqp_table_entry_t headers[MAX_HEADERS];
	long count;
	bool lines, frames, confirm;
	long unconfirmed;
} publication;

typedef struct {
	const char *queue;
	long count;
	double deadline, total_deadline;
	int prefetch;
	bool no_ack, quiet;
} consumption;

static void die(const char *what, const char *why)
{
	fprintf(stderr, "amqp_probe: %s: %s\n", what, why);
	exit(1);
}

static const char *reply_text(amqp_rpc_reply_t reply)
{
	static char text[512];
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return amqp_error_string2(reply.library_error);
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return "no reply";
	/* channel.close and connection.close begin with the same two fields */
	amqp_channel_close_t *closed = reply.reply.decoded;
	snprintf(text, sizeof text, "%d %.*s", closed->reply_code, (int)closed->reply_text.len,
		(char *)closed->reply_text.bytes);
	return text;
}

static void check(amqp_connection_state_t connection, const char *what)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		die(what, reply_text(reply));
}

static amqp_connection_state_t open_connection(const char *url)
{
	struct amqp_connection_info info;
	char *copy = strdup(url);
	if (!copy || amqp_parse_url(copy, &info) != AMQP_STATUS_OK)
		die(url, "not an AMQP URL");
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(connection);
	if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
		die(url, "cannot connect");
	amqp_rpc_reply_t reply = amqp_login(
		connection, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		die("login", reply_text(reply));
	amqp_channel_open(connection, CHANNEL);
	check(connection, "channel");
	free(copy);
	return connection;
}

static void close_connection(amqp_connection_state_t connection)
{
	amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(connection);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static bool has_flag(int count, char **words, const char *flag)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(words[i], flag))
			return true;
	return false;
}

static const char *argument(int argc, char **argv, int index, const char *name)
{
	if (index >= argc)
		die("missing argument", name);
	return argv[index];
}

/* ---- topology ---- */

static void declare_exchange(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *name = argument(argc, argv, 0, "NAME"), *type = argument(argc, argv, 1, "TYPE");
	amqp_exchange_declare(connection, CHANNEL, amqp_cstring_bytes(name), amqp_cstring_bytes(type),
		has_flag(argc, argv, "passive"), has_flag(argc, argv, "durable"), has_flag(argc, argv, "auto_delete"),
		has_flag(argc, argv, "internal"), amqp_empty_table);
	check(connection, name);
}

static void declare_queue(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *name = argument(argc, argv, 0, "NAME");
	amqp_table_entry_t type = {.key = amqp_cstring_bytes("x-queue-type"),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
	amqp_table_t arguments = {.num_entries = has_flag(argc, argv, "quorum"), .entries = &type};
	amqp_queue_declare_ok_t *ok = amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(name),
		has_flag(argc, argv, "passive"), has_flag(argc, argv, "durable"), has_flag(argc, argv, "exclusive"),
		has_flag(argc, argv, "auto_delete"), arguments);
	check(connection, name);
	printf("%.*s %u %u\n", (int)ok->queue.len, (char *)ok->queue.bytes, ok->message_count, ok->consumer_count);
}

static void bind_queue(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *queue = argument(argc, argv, 0, "QUEUE"), *exchange = argument(argc, argv, 1, "EXCHANGE");
	amqp_queue_bind(connection, CHANNEL, amqp_cstring_bytes(queue), amqp_cstring_bytes(exchange),
		amqp_cstring_bytes(argument(argc, argv, 2, "KEY")), amqp_empty_table);
	check(connection, queue);
}

static void delete_entity(amqp_connection_state_t connection, int argc, char **argv)
{
	const char *kind = argument(argc, argv, 0, "exchange|queue"), *name = argument(argc, argv, 1, "NAME");
	if (!strcmp(kind, "queue"))
		amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(name), 0, 0);
	else
		amqp_exchange_delete(connection, CHANNEL, amqp_cstring_bytes(name), 0);
	check(connection, name);
}

/* ---- publish ---- */

static void add_header(publication *p, char *text)
{
	char *equals = strchr(text, '=');
	if (!equals)
		die(text, "a header is NAME=VALUE");
	if (p->properties.headers.num_entries == MAX_HEADERS)
		die(text, "too many headers");
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
	p->exchange = argument(argc, argv, optind, "EXCHANGE");
	p->key = argument(argc, argv, optind + 1, "KEY");
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
			die("confirm", "connection lost");
		if (frame.frame_type != AMQP_FRAME_METHOD)
			continue;
		if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
			die("confirm", "refused by the broker");
		amqp_basic_ack_t *ack = frame.payload.method.decoded;
		confirmed = ack->multiple || ack->delivery_tag > confirmed ? ack->delivery_tag : confirmed;
	}
}

static void publish_payload(amqp_connection_state_t connection, publication *p, amqp_bytes_t payload)
{
	for (long i = 0; i < p->count; i++) {
		int status = amqp_basic_publish(connection, CHANNEL, amqp_cstring_bytes(p->exchange),
			amqp_cstring_bytes(p->key), 0, 0, &p->properties, payload);
		if (status != AMQP_STATUS_OK)
			die("publish", amqp_error_string2(status));
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
			die("standard input", "out of memory");
		all.len += got = fread((char *)all.bytes + all.len, 1, 65536, stdin);
	}
	return all;
}

static void publish(amqp_connection_state_t connection, int argc, char **argv)
{
	publication p = {0};
	parse_publication(&p, argc, argv);
	if (p.confirm) {
		amqp_confirm_select(connection, CHANNEL);
		check(connection, "confirm");
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
	amqp_rpc_reply_t reply = amqp_channel_close(connection, CHANNEL, AMQP_REPLY_SUCCESS);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		die("publish", reply_text(reply));
}

/* ---- consume ---- */

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

static void print_envelope(const amqp_envelope_t *envelope)
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

static void parse_consumption(consumption *s, int argc, char **argv)
{
	static const struct option options[] = {{"count", required_argument, 0, 'n'},
		{"deadline", required_argument, 0, 'd'}, {"total-deadline", required_argument, 0, 't'},
		{"no-ack", no_argument, 0, 'a'}, {"prefetch", required_argument, 0, 'p'}, {"quiet", no_argument, 0, 'q'},
		{0, 0, 0, 0}};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'n': s->count = atol(optarg); break;
		case 'd': s->deadline = atof(optarg); break;
		case 't': s->total_deadline = atof(optarg); break;
		case 'a': s->no_ack = true; break;
		case 'p': s->prefetch = atoi(optarg); break;
		case 'q': s->quiet = true; break;
		default: exit(2);
		}
	}
	s->queue = argument(argc, argv, optind, "QUEUE");
}

/* A message in *envelope, or false when none came in time; whatever else happens ends the program. */
static bool next_message(amqp_connection_state_t connection, amqp_envelope_t *envelope, double deadline)
{
	struct timeval timeout = {.tv_sec = (long)deadline, .tv_usec = (long)((deadline - (long)deadline) * 1e6)};
	amqp_maybe_release_buffers(connection);
	amqp_rpc_reply_t reply = amqp_consume_message(connection, envelope, &timeout, 0);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	if (reply.library_error != AMQP_STATUS_TIMEOUT)
		die("consume", reply_text(reply));
	return false;
}

static double shorter(double a, double b)
{
	return a < b ? a : b;
}

static long consume_loop(amqp_connection_state_t connection, const consumption *s)
{
	double end = now() + s->total_deadline;
	long got = 0;
	amqp_envelope_t envelope;
	while (!s->count || got < s->count) {
		double left = end - now();
		if (left <= 0 || !next_message(connection, &envelope, shorter(left, s->deadline)))
			break;
		got++;
		if (!s->quiet)
			print_envelope(&envelope);
		if (!s->no_ack)
			amqp_basic_ack(connection, CHANNEL, envelope.delivery_tag, 0);
		amqp_destroy_envelope(&envelope);
	}
	return got;
}

static void consume(amqp_connection_state_t connection, int argc, char **argv)
{
	consumption s = {.deadline = 1e6, .total_deadline = 1e6, .prefetch = 1000};
	parse_consumption(&s, argc, argv);
	if (s.count && s.count < s.prefetch)
		s.prefetch = s.count;
	amqp_basic_qos(connection, CHANNEL, 0, s.prefetch, 0);
	check(connection, "qos");
	amqp_basic_consume(
		connection, CHANNEL, amqp_cstring_bytes(s.queue), amqp_empty_bytes, 0, s.no_ack, 0, amqp_empty_table);
	check(connection, s.queue);
	fprintf(stderr, "ready\n");
	long got = consume_loop(connection, &s);
	if (s.quiet)
		printf("%ld\n", got);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(amqp_connection_state_t, int, char **);
		int skip; /* getopt wants the program's name first, the others only what follows */
	} commands[] = {{"exchange", declare_exchange, 3}, {"queue", declare_queue, 3}, {"bind", bind_queue, 3},
		{"delete", delete_entity, 3}, {"publish", publish, 2}, {"consume", consume, 2}};
	if (argc < 3)
		die("usage", "amqp_probe URL COMMAND ..., see the head of its source");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[2], commands[i].name))
			continue;
		amqp_connection_state_t connection = open_connection(argv[1]);
		commands[i].run(connection, argc - commands[i].skip, argv + commands[i].skip);
		close_connection(connection);
		return 0;
	}
	die(argv[2], "no such command");
}
