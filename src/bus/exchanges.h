/*
 * Exchanges that a publisher's broker may not have. A message to one that is missing costs the channel, and with it all
 * that is in flight. So its messages wait until the broker has looked it up, and those to other exchanges go on:
 *
 *     in doubt   the broker closed the channel for want of an exchange, perhaps this one; to be looked up
 *     lookup     it is in flight; for each writer it is known what was there when it was sent
 *     missing    those messages are refused; a message that is written later puts it in doubt again
 *     there      its messages are sent; for a moment it is not put in doubt again
 *
 * After a restart of the broker its clients declare their exchanges again, and one that is not durable is missing until
 * then. So one that we know, because it took messages on an earlier connection or because we declare it ourselves, is
 * looked up again and again for `patience_ms` from the connection on, before its messages are refused.
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

/* There is a new connection: exchanges that were missing may be there. */
void kb_exchanges_connected(struct kb_exchanges *x, int64_t now);

/* We declare it ourselves on this connection, perhaps later than now. */
void kb_exchanges_expect(struct kb_exchanges *x, struct kb_slice exchange);

/* A message to it was sent. */
void kb_exchanges_used(struct kb_exchanges *x, struct kb_slice exchange);

/* The broker closed the channel for want of an exchange, and this may be the one. False: it is not put in doubt, since
 * it was found a moment ago or too many are in doubt. */
bool kb_exchanges_doubt(struct kb_exchanges *x, struct kb_slice exchange, int64_t now);

/* False: all messages can be sent. */
bool kb_exchanges_any(const struct kb_exchanges *x);

enum kb_exchange_verdict { KB_EXCHANGE_SEND, KB_EXCHANGE_WAIT, KB_EXCHANGE_MISSING };

/* What to do with a message of this writer that ends at `end` (of its ring). KB_EXCHANGE_WAIT: the next lookup or
 * connection may change it. KB_EXCHANGE_MISSING: *why is the broker's reason, valid until the next call. */
enum kb_exchange_verdict kb_exchanges_verdict(
	struct kb_exchanges *x, struct kb_slice exchange, size_t writer, uint64_t end, int64_t now, const char **why);

/* The exchange to look up now, valid until the next call; false: none, or a lookup is in flight. */
bool kb_exchanges_next(struct kb_exchanges *x, int64_t now, struct kb_slice *exchange);

/* Its lookup was sent; written[i] is how far writer i has written. */
void kb_exchanges_lookup_sent(struct kb_exchanges *x, const uint64_t *written);

/* The result. True when the exchange is missing and waited for. `why` is for a missing one. */
bool kb_exchanges_lookup_done(struct kb_exchanges *x, bool missing, const char *why, int64_t now);

/* The time until the next call of kb_exchanges_next(), when that is less than ms. */
int kb_exchanges_until(const struct kb_exchanges *x, int64_t now, int ms);

#endif
