/*
 * nats_blast URL SUBJECT COUNT SIZE WINDOW
 *
 * Publishes COUNT messages of SIZE bytes as fast as the receiver takes them. The receiver publishes one message on
 * SUBJECT.progress per WINDOW messages it has handled; at most four windows are under way, so neither the server nor
 * the receiving library drops anything for being slow. COUNT must be a multiple of WINDOW.
 *
 * Prints "HANDLED SECONDS": how many messages the receiver has reported and the time from the first to that report.
 * When no progress comes for STALL_SECONDS the rest counts as lost.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "measure.h"

enum { WINDOWS_UNDER_WAY = 4, STALL_SECONDS = 3 };

typedef struct {
	natsConnection *connection;
	natsSubscription *progress;
	char *payload;
	const char *subject;
	long count, window, handled;
	int size;
} blast;

static void must(natsStatus status, const char *what)
{
	if (status == NATS_OK)
		return;
	fprintf(stderr, "nats_blast: %s: %s\n", what, natsStatus_GetText(status));
	exit(1);
}

static void open_blast(blast *b, const char *url)
{
	char topic[256];
	must(natsConnection_ConnectTo(&b->connection, url), url);
	snprintf(topic, sizeof topic, "%s.progress", b->subject);
	must(natsConnection_SubscribeSync(&b->progress, b->connection, topic), topic);
	must(natsConnection_Flush(b->connection), "flush");
	b->payload = malloc(b->size);
	if (!b->payload)
		must(NATS_NO_MEMORY, "payload");
	memset(b->payload, 'x', b->size);
}

static void close_blast(blast *b)
{
	natsSubscription_Destroy(b->progress);
	natsConnection_Destroy(b->connection);
	free(b->payload);
	nats_Close();
}

/* Waits for one progress message: 0 when the receiver has fallen silent. */
static int await_progress(blast *b)
{
	natsMsg *message = NULL;
	natsStatus status = natsSubscription_NextMsg(&message, b->progress, STALL_SECONDS * 1000);
	if (status == NATS_TIMEOUT)
		return 0;
	must(status, "progress");
	natsMsg_Destroy(message);
	b->handled += b->window;
	return 1;
}

static void send_window(blast *b)
{
	for (long i = 0; i < b->window; i++)
		must(natsConnection_Publish(b->connection, b->subject, b->payload, b->size), "publish");
}

/* The time of the last progress, or of the start when there was none. */
static double run(blast *b)
{
	double last = now_s();
	for (long sent = 0; b->handled < b->count;) {
		if (sent < b->count && sent - b->handled < WINDOWS_UNDER_WAY * b->window) {
			send_window(b);
			sent += b->window;
			continue;
		}
		if (!await_progress(b))
			break;
		last = now_s();
	}
	return last;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: nats_blast URL SUBJECT COUNT SIZE WINDOW\n");
		return 2;
	}
	blast b = {.subject = argv[2], .count = atol(argv[3]), .size = atoi(argv[4]), .window = atol(argv[5])};
	if (b.size < 1 || b.window < 1 || b.count % b.window) {
		fprintf(stderr, "nats_blast: COUNT must be a multiple of WINDOW, SIZE at least 1\n");
		return 2;
	}
	open_blast(&b, argv[1]);
	double start = now_s();
	double end = run(&b);
	printf("%ld %.6f\n", b.handled, end - start);
	close_blast(&b);
}
