/*
 * nats_rtt URL serve       answers questions on "bench.ask", prints "ready" first
 * nats_rtt URL ask COUNT   asks as many, one after the other, with what nats.c has for it: natsConnection_Request()
 *
 * The second prints "MEAN MEDIAN CPU": microseconds for a question and its answer, and of CPU of this program for one.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "measure.h"

enum { PATIENCE_MS = 5000 };

static natsConnection *connection;

static void must(natsStatus status, const char *what)
{
	if (status == NATS_OK)
		return;
	fprintf(stderr, "nats_rtt: %s: %s\n", what, natsStatus_GetText(status));
	exit(1);
}

/* Each message goes out at once: else the library gathers them for a millisecond. */
static void connect_to(const char *url)
{
	natsOptions *options = NULL;
	must(natsOptions_Create(&options), "options");
	must(natsOptions_SetURL(options, url), url);
	must(natsOptions_SetSendAsap(options, true), "options");
	must(natsConnection_Connect(&connection, options), url);
	natsOptions_Destroy(options);
}

static void on_question(natsConnection *nc, natsSubscription *s, natsMsg *question, void *unused)
{
	static const char answer[] = "{\"Event-Category\":\"call_event\",\"Event-Name\":\"query_resp\",\"Status\":\"ok\"}";
	(void)s, (void)unused;
	must(natsConnection_PublishString(nc, natsMsg_GetReply(question), answer), "answer");
	natsMsg_Destroy(question);
}

static void serve(void)
{
	natsSubscription *subscription;
	must(natsConnection_Subscribe(&subscription, connection, "bench.ask", on_question, NULL), "subscribe");
	must(natsConnection_Flush(connection), "flush");
	puts("ready");
	fflush(stdout);
	while (!natsConnection_IsClosed(connection))
		nats_Sleep(100);
}

static int by_value(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;
	return d < 0 ? -1 : d > 0;
}

static void ask(int count)
{
	static const char question[] = "{\"Event-Category\":\"call_event\",\"Event-Name\":\"query_req\"}";
	double *times = calloc((size_t)count, sizeof *times), sum = 0, cpu = cpu_s(RUSAGE_SELF);
	for (int i = 0; times && i < count; i++) {
		natsMsg *answer = NULL;
		double began = now_s();
		must(natsConnection_RequestString(&answer, connection, "bench.ask", question, PATIENCE_MS), "request");
		sum += times[i] = now_s() - began;
		natsMsg_Destroy(answer);
	}
	cpu = cpu_s(RUSAGE_SELF) - cpu;
	if (times)
		qsort(times, (size_t)count, sizeof *times, by_value);
	printf("%.1f %.1f %.1f\n", 1e6 * sum / count, times ? 1e6 * times[count / 2] : 0, 1e6 * cpu / count);
	free(times);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[2], "serve") == 0) {
		connect_to(argv[1]);
		serve();
	} else if (argc == 4 && strcmp(argv[2], "ask") == 0 && atoi(argv[3]) > 0) {
		connect_to(argv[1]);
		ask(atoi(argv[3]));
	} else {
		fprintf(stderr, "usage: nats_rtt URL serve | URL ask COUNT\n");
		return 2;
	}
	natsConnection_Destroy(connection);
	nats_Close();
	return 0;
}
