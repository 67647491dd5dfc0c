/*
 * A thread that writes what waits for the socket while the process's own thread runs a route: what earlier messages are
 * acknowledged with does not wait for the end of a slow one, and at a high rate many acknowledgements share a write.
 *
 * The link belongs to one thread at a time: to the process's own, but from lend() to take_back().
 */
#ifndef KB_NATS_WRITER_H
#define KB_NATS_WRITER_H

#include "nats/link.h"

enum { KB_NATS_WRITER_MS = 10 /* for which what is lent may wait */ };

struct kb_nats_writer;

/* NULL: no memory or no thread. */
struct kb_nats_writer *kb_nats_writer_start(struct kb_nats_link *link);

void kb_nats_writer_lend(struct kb_nats_writer *w);
void kb_nats_writer_take_back(struct kb_nats_writer *w); /* also when it is not lent; NULL is fine */

/* Not while it is lent; NULL is fine. */
void kb_nats_writer_end(struct kb_nats_writer *w);

#endif
