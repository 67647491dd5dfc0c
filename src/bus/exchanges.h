/*
 * Exchanges that a publisher's broker may not have. A message to one that is missing costs the channel, and with it all
 * that is on its way. So its messages wait until the broker was asked, and those to other exchanges go on:
 *
 *     in doubt   a message came back for want of an exchange, perhaps of this one; to be asked for
 *     asked      the question is on its way, and says for each writer what was there when it was asked
 *     missing    those messages are refused; what a writer writes later puts it in doubt again
 *     there      its messages go; for a moment it is not put in doubt again
 *
 * After a restart of the broker everybody declares his exchanges anew, and one that is not durable is missing until
 * then. So one that we know, because it took messages on an earlier connection or is one that we declare ourselves, is
 * asked for again and again during `patience_ms` from the connection on, before its messages are refused.
 */
#ifndef KB_BUS_EXCHANGES_H
#define KB_BUS_EXCHANGES_H

#include <stdbool.h>
#include <stdint.h>
#include "core/slice.h"

enum { KB_EXCHANGE_NAME_MAX = 255 /* bytes: a short string of AMQP */ };

struct kb_exchanges;

/* Times are ms of one clock. NULL when memory is out. */
struct kb_exchanges *kb_exchanges_new(size_t writers, int patience_ms);
void kb_exchanges_free(struct kb_exchanges *x); /* NULL is fine */

/* There is a new connection: what was found missing may be there. */
void kb_exchanges_connected(struct kb_exchanges *x, int64_t now);

/* On this connection we declare it ourselves, perhaps later than now. */
void kb_exchanges_expect(struct kb_exchanges *x, struct kb_slice exchange);

/* A message is on its way there. */
void kb_exchanges_used(struct kb_exchanges *x, struct kb_slice exchange);

/* A message came back for want of an exchange, and this is one of those it may have been. False: it is not put in
 * doubt, since it was found a moment ago or there are too many. */
bool kb_exchanges_doubt(struct kb_exchanges *x, struct kb_slice exchange, int64_t now);

/* False: all messages are to be sent. */
bool kb_exchanges_any(const struct kb_exchanges *x);

enum kb_exchange_verdict { KB_EXCHANGE_SEND, KB_EXCHANGE_WAIT, KB_EXCHANGE_MISSING };

/* What to do with a message of this writer that ends at `end` (of its ring). KB_EXCHANGE_WAIT: with the next answer or
 * connection there may be another one. KB_EXCHANGE_MISSING: *why is the broker's reason, valid until the next call. */
enum kb_exchange_verdict kb_exchanges_verdict(
	struct kb_exchanges *x, struct kb_slice exchange, size_t writer, uint64_t end, int64_t now, const char **why);

/* The exchange to ask the broker for now, valid until the next call; false: none, or one is asked for. */
bool kb_exchanges_next(struct kb_exchanges *x, int64_t now, struct kb_slice *exchange);

/* That one is being asked for; written[i] is how far writer i has written. */
void kb_exchanges_asked(struct kb_exchanges *x, const uint64_t *written);

/* The broker's answer. True when it is missing and waited for. */
bool kb_exchanges_answered(struct kb_exchanges *x, bool missing, const char *why, int64_t now);

/* The time until kb_exchanges_next() is to be called, when that is less than ms. */
int kb_exchanges_until(const struct kb_exchanges *x, int64_t now, int ms);

#endif
