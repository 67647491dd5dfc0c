/*
 * nats_broker URL [COUNT [SIZE]]
 *
 * What a NATS message costs below Kamailio: publishing from one process through the outbox and a publisher process, and
 * deliveries into the listener's callback, each beside bare nats.c. The server at URL runs already and counts in none
 * of the CPU times. Messages that wait for an acknowledgement of the receiver (every WINDOW) keep the server from
 * dropping any.
 */
#include <nats/nats.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bus/listener.h"
#include "bus/publisher.h"
#include "nats/broker.h"
#include "nats/options.h"
#include "measure.h"

enum { OUTBOX_BYTES = 8 * 1024 * 1024, WINDOW = 8192, WINDOWS_UNDER_WAY = 4 };

struct shared {
	volatile int stop;
	_Atomic long received;
	_Atomic int ready;
};

static struct shared *shared;
static const char *url;
static long count = 1000000;
static int size = 64;
static char *payload;

static void must(natsStatus s, const char *what)
{
	if (s == NATS_OK)
		return;
	fprintf(stderr, "nats_broker: %s: %s\n", what, natsStatus_GetText(s));
	exit(1);
}

static void show(const char *what, double seconds, double cpu_seconds)
{
	printf(
		"%-44s %9.0f/s  %6.3f us CPU per message\n", what, (double)count / seconds, cpu_seconds * 1e6 / (double)count);
	fflush(stdout);
}

static pid_t in_child(void (*work)(void *), void *argument)
{
	pid_t pid = fork();
	if (pid == 0) {
		work(argument);
		exit(0);
	}
	return pid;
}

static double finish(pid_t pid)
{
	double before = cpu_s(RUSAGE_CHILDREN);
	waitpid(pid, NULL, 0);
	return cpu_s(RUSAGE_CHILDREN) - before;
}

static struct kb_broker_config config_for(enum kb_broker_role role)
{
	static const struct kb_nats_options options = {.pings_out_max = 2};
	return (struct kb_broker_config){.urls = &url,
		.n_urls = 1,
		.client_name = "nats_broker",
		.role = role,
		.connect_timeout_ms = 2000,
		.heartbeat_s = 20,
		.confirm = true,
		.options = &options};
}

static void wait_until_ready(void)
{
	while (!atomic_load(&shared->ready))
		usleep(1000);
}

static void set_ready(void *context, bool open, const char *address)
{
	(void)context;
	(void)address;
	if (open)
		atomic_store(&shared->ready, 1);
}

/* -- publishing -- */

static void run_publisher(void *argument)
{
	struct kb_publisher p = {.api = &kb_nats,
		.config = config_for(KB_ROLE_PUBLISH),
		.outbox = argument,
		.batch = 256,
		.connection = set_ready,
		.stop = &shared->stop};
	kb_publisher_run(&p);
}

static void bench_outbox(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, OUTBOX_BYTES, 1);
	struct kb_message m = {.key = KB_SLICE_LITERAL("bench.subject"), .payload = kb_slice(payload, (size_t)size)};
	shared->stop = 0;
	atomic_store(&shared->ready, 0);
	pid_t pid = in_child(run_publisher, outbox);
	wait_until_ready();
	double start = now_s(), cpu_start = cpu_s(RUSAGE_SELF);
	for (long i = 0; i < count; i++)
		while (kb_outbox_put(outbox, 0, &m) != KB_OUTBOX_ACCEPTED)
			usleep(100);
	double accepted = now_s() - start, writer = cpu_s(RUSAGE_SELF) - cpu_start;
	while (!kb_ring_empty(kb_outbox_ring(outbox, 0)))
		usleep(100);
	double seconds = now_s() - start;
	shared->stop = 1;
	kb_wake_signal(kb_outbox_wake(outbox, 0));
	double publisher = finish(pid);
	show("publish: accepted by the outbox", accepted, writer);
	show("publish: with the publisher process", seconds, writer + publisher);
	kb_outbox_destroy(outbox);
}

static natsConnection *bare_connection(void)
{
	natsConnection *nc;
	must(natsConnection_ConnectTo(&nc, url), url);
	return nc;
}

static void run_bare_publisher(void *argument)
{
	(void)argument;
	natsConnection *nc = bare_connection();
	for (long i = 0; i < count; i++)
		must(natsConnection_Publish(nc, "bench.subject", payload, size), "publish");
	must(natsConnection_Flush(nc), "flush");
	natsConnection_Destroy(nc);
}

static void bench_bare_publish(void)
{
	double start = now_s();
	double used = finish(in_child(run_bare_publisher, NULL));
	show("publish: nats.c", now_s() - start, used);
}

/* -- deliveries -- */

/* As fast as the receiver takes them; what it has received stands in shared memory. */
static void run_blast(void *argument)
{
	natsConnection *nc = bare_connection();
	(void)argument;
	for (long i = 0; i < count; i++) {
		while (i - atomic_load(&shared->received) >= (long)WINDOW * WINDOWS_UNDER_WAY) {
			must(natsConnection_Flush(nc), "flush");
			usleep(50);
		}
		must(natsConnection_Publish(nc, "bench.deliver", payload, size), "publish");
	}
	must(natsConnection_Flush(nc), "flush");
	natsConnection_Destroy(nc);
}

static bool on_delivered(void *context, const struct kb_message *m, struct kb_delivery *d)
{
	long n = atomic_load_explicit(&shared->received, memory_order_relaxed) + 1;
	(void)context, (void)m, (void)d;
	atomic_store_explicit(&shared->received, n, memory_order_relaxed);
	if (n == count)
		shared->stop = 1;
	return true;
}

static void run_listener(void *argument)
{
	const char *subject = "bench.deliver";
	struct kb_subscription s = {.exchange = {.name = "", .type = ""},
		.queue = {.name = "group"},
		.routing = &subject,
		.n_routing = 1,
		.no_ack = true,
		.event_key = "",
		.event_subkey = ""};
	struct kb_listener l = {.api = &kb_nats,
		.config = config_for(KB_ROLE_CONSUME),
		.subscriptions = &s,
		.n_subscriptions = 1,
		.delivered = on_delivered,
		.connection = set_ready,
		.stop = &shared->stop};
	(void)argument;
	kb_listener_run(&l);
}

static void on_bare_message(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *closure)
{
	(void)nc;
	(void)sub;
	(void)closure;
	natsMsg_Destroy(m);
	on_delivered(NULL, NULL, NULL);
}

static void run_bare_subscriber(void *argument)
{
	natsConnection *nc = bare_connection();
	natsSubscription *sub;
	(void)argument;
	must(natsConnection_QueueSubscribe(&sub, nc, "bench.deliver", "group", on_bare_message, NULL), "subscribe");
	must(natsConnection_Flush(nc), "flush");
	atomic_store(&shared->ready, 1);
	while (!shared->stop)
		usleep(1000);
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(nc);
}

/* As nats.c is used without its threads' callbacks: the process takes each message from the library's queue. */
static void run_bare_sync_subscriber(void *argument)
{
	natsConnection *nc = bare_connection();
	natsSubscription *sub;
	natsMsg *m;
	(void)argument;
	must(natsConnection_QueueSubscribeSync(&sub, nc, "bench.deliver", "group"), "subscribe");
	must(natsConnection_Flush(nc), "flush");
	atomic_store(&shared->ready, 1);
	while (!shared->stop)
		if (natsSubscription_NextMsg(&m, sub, 1000) == NATS_OK)
			on_bare_message(nc, sub, m, NULL);
	natsSubscription_Destroy(sub);
	natsConnection_Destroy(nc);
}

static void bench_deliveries(const char *what, void (*receiver)(void *))
{
	shared->stop = 0;
	atomic_store(&shared->received, 0);
	atomic_store(&shared->ready, 0);
	pid_t pid = in_child(receiver, NULL);
	wait_until_ready();
	usleep(100000);
	double start = now_s();
	pid_t blast = in_child(run_blast, NULL);
	double used = finish(pid);
	double seconds = now_s() - start;
	kill(blast, SIGKILL);
	waitpid(blast, NULL, 0);
	show(what, seconds, used);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: nats_broker URL [COUNT [SIZE]]\n");
		return 2;
	}
	url = argv[1];
	count = argc > 2 ? atol(argv[2]) : count;
	size = argc > 3 ? atoi(argv[3]) : size;
	payload = calloc(1, (size_t)size + 1);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!payload || shared == MAP_FAILED)
		return 1;
	bench_outbox();
	bench_bare_publish();
	bench_deliveries("deliveries: listener", run_listener);
	bench_deliveries("deliveries: nats.c, callback", run_bare_subscriber);
	bench_deliveries("deliveries: nats.c, sync subscription", run_bare_sync_subscriber);
	return 0;
}
