/* What the tests of the broker layer share: checks, the log lines so far, and a nats-server of one's own. */
#ifndef KB_SPEC_BROKER_FIXTURE_H
#define KB_SPEC_BROKER_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "core/clock.h"
#include "bus/subscription.h"
#include "nats/broker.h"

extern int fixture_failures;

#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			fixture_failures++;                                                                                        \
		}                                                                                                              \
	} while (0)

enum { SOON_MS = 20000 /* for what comes at once, however busy the machine is */ };

/* Collects what kb_log() writes from now on, instead of showing it. */
void fixture_catch_log(void);
bool fixture_logged(const char *text);
void fixture_forget_log(void);

/* A nats-server on a port of 127.0.0.1 that was free. All end the test with a reason when something is missing. */
struct fixture_server {
	pid_t pid;
	int port;
	const char *config; /* text of its configuration, "" for none; PORT is not to be in it */
	char url[64];       /* without credentials */
};

int fixture_free_port(void);
void fixture_start(struct fixture_server *s, const char *config);
void fixture_restart(struct fixture_server *s); /* on the same port */

/* Waits until it tells clients of so many servers of its cluster, itself included. */
bool fixture_await_announced(const struct fixture_server *s, size_t servers);
void fixture_kill(struct fixture_server *s);
void fixture_freeze(struct fixture_server *s);
void fixture_thaw(struct fixture_server *s);

/* Says to the server, as a client of one's own, what no library would. */
void fixture_say(const struct fixture_server *s, const void *bytes, size_t n);

/* A broker with what it delivered. */
struct fixture_client {
	struct kb_broker *broker;
	const struct kb_broker_api *api;
	size_t n;                                  /* deliveries taken */
	size_t room;                               /* of them that will be taken; SIZE_MAX at first */
	size_t offers;                             /* taken or not */
	char *subject, *reply, *headers, *payload; /* of the last one taken; headers as "name=value;" */
	size_t payload_size;
	uint32_t subscription;
	uint64_t expected; /* payloads that are numbers: the next one, when all came in order */
};

void fixture_open(struct fixture_client *c, const char *const *urls, size_t n_urls, int heartbeat_s);
void fixture_close(struct fixture_client *c);
enum kb_broker_result fixture_subscribe(
	struct fixture_client *c, struct kb_subscription *s, const char *const *subject, const char *group, uint32_t index);
enum kb_broker_result fixture_publish(struct fixture_client *c, const char *subject, const char *payload, size_t n);

/* Opens a client that is connected to one server and subscribed to `subject`, with index 7. */
void fixture_connect(
	struct fixture_client *c, struct kb_subscription *s, const char *const *url, const char *const *subject);

/* These poll and process until it is so, and are false when it isn't SOON_MS later. */

/* `n` deliveries were taken. */
bool fixture_wait(struct fixture_client *c, size_t n);

/* The connection is lost. */
bool fixture_wait_lost(struct fixture_client *c);

/* `text` was logged. */
bool fixture_wait_logged(struct fixture_client *c, const char *text);

/* The server has handled all that was sent to it. */
bool fixture_flush(struct fixture_client *c);

/* The socket has something to read. Does not process. */
bool fixture_wait_readable(const struct fixture_client *c);

/* Polls and processes for so long. False: the connection was lost meanwhile. */
bool fixture_stay(struct fixture_client *c, int ms);

#endif
