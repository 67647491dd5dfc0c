/*
 * nats_js URL SUBJECT PAYLOAD COUNT
 *
 * Publishes as many messages into the stream that takes the subject with what nats.c has for it: js_PublishMsgAsync(),
 * a Nats-Msg-Id in each, and no more without an acknowledgement than our own publisher allows itself. Prints "SECONDS
 * CPU", both in seconds, until the last one is acknowledged.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "measure.h"

enum { UNDER_WAY = 8192, PATIENCE_MS = 30000 };

static void must(natsStatus status, const char *what)
{
	if (status == NATS_OK)
		return;
	fprintf(stderr, "nats_js: %s: %s\n", what, natsStatus_GetText(status));
	exit(1);
}

static void on_refused(jsCtx *js, jsPubAckErr *error, void *unused)
{
	(void)js, (void)unused;
	must(error->Err, error->ErrText ? error->ErrText : "a message was refused");
}

/* Ids of the length of a UUID, which no run has had before. */
static void publish(jsCtx *js, const char *subject, const char *payload, long number)
{
	char id[64];
	natsMsg *message = NULL;
	jsPubOptions options;
	snprintf(id, sizeof id, "%012lx-%010lx-%012lx", (long)time(NULL), (long)getpid(), number);
	must(jsPubOptions_Init(&options), "options");
	options.MsgId = id;
	must(natsMsg_Create(&message, subject, NULL, payload, (int)strlen(payload)), "message");
	must(js_PublishMsgAsync(js, &message, &options), subject);
}

int main(int argc, char **argv)
{
	natsConnection *connection = NULL;
	jsCtx *js = NULL;
	jsOptions options;
	jsPubOptions patience;
	long count = argc == 5 ? atol(argv[4]) : 0;
	if (count <= 0) {
		fprintf(stderr, "usage: nats_js URL SUBJECT PAYLOAD COUNT\n");
		return 2;
	}
	must(natsConnection_ConnectTo(&connection, argv[1]), argv[1]);
	must(jsOptions_Init(&options), "options");
	options.PublishAsync.MaxPending = UNDER_WAY;
	options.PublishAsync.StallWait = PATIENCE_MS;
	options.PublishAsync.ErrHandler = on_refused;
	must(natsConnection_JetStream(&js, connection, &options), "JetStream");
	must(jsPubOptions_Init(&patience), "options");
	patience.MaxWait = PATIENCE_MS;

	double began = now_s(), cpu = cpu_s(RUSAGE_SELF);
	for (long i = 0; i < count; i++)
		publish(js, argv[2], argv[3], i);
	must(js_PublishAsyncComplete(js, &patience), "the last acknowledgements");
	printf("%.6f %.6f\n", now_s() - began, cpu_s(RUSAGE_SELF) - cpu);

	jsCtx_Destroy(js);
	natsConnection_Destroy(connection);
	nats_Close();
	return 0;
}
