/*
 * What the brokers have in common that tests of the loops make up. A test defines `struct kb_broker` with a member
 * `events`, includes this, and names in its table what is its own:
 *
 *     static const struct kb_broker_api api = {FAKE_BROKER, .connect = fake_connect, .publish = my_publish, ...};
 *
 * There is one of them, `fake`; `fake.events` and `fake_role` are those of the loop that has opened it last.
 */
#ifndef KB_SPEC_FAKE_BROKER_H
#define KB_SPEC_FAKE_BROKER_H

#include <poll.h>
#include "bus/broker.h"

static struct kb_broker fake;
static enum kb_broker_role fake_role;

static inline struct kb_broker *fake_open(
	const struct kb_broker_config *config, const struct kb_broker_events *events, size_t *bad_url)
{
	(void)bad_url;
	fake.events = *events;
	fake_role = config->role;
	return &fake;
}

static inline void fake_close(struct kb_broker *b)
{
	(void)b;
}

static inline const char *fake_address(const struct kb_broker *b)
{
	(void)b;
	return "fake:1";
}

static inline short fake_poll_events(const struct kb_broker *b)
{
	(void)b;
	return POLLIN;
}

#define FAKE_BROKER                                                                                                    \
	.name = "fake", .open = fake_open, .close = fake_close, .address = fake_address, .poll_events = fake_poll_events

/* -- what many take as it is -- */

static inline enum kb_broker_result fake_connect(struct kb_broker *b)
{
	(void)b;
	return KB_BROKER_OK;
}

static inline int fake_no_fd(const struct kb_broker *b)
{
	(void)b;
	return -1;
}

static inline int fake_no_timeout(const struct kb_broker *b)
{
	(void)b;
	return -1;
}

static inline int fake_short_timeout(const struct kb_broker *b)
{
	(void)b;
	return 1;
}

#endif
