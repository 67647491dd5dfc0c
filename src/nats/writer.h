/*
 * A thread that writes to the socket while the process's own thread runs a route: acknowledgements of earlier messages
 * do not wait for the end of a slow route, and at a high rate many of them share a write.
 *
 * The link belongs to one thread at a time: from lend() to take_back() to the writer, else to the process's own.
 */
#ifndef KB_NATS_WRITER_H
#define KB_NATS_WRITER_H

#include "nats/link.h"

enum { KB_NATS_WRITER_MS = 10 /* that an acknowledgement may wait in a link that is lent */ };

struct kb_nats_writer;

/* NULL: no memory or no thread. kb_nats_writer_end() ends it; the link must outlive it. */
struct kb_nats_writer *kb_nats_writer_start(struct kb_nats_link *link);

void kb_nats_writer_lend(struct kb_nats_writer *w);
void kb_nats_writer_take_back(struct kb_nats_writer *w); /* fine when it is not lent, and with NULL */

/* Not while the link is lent; NULL is fine. */
void kb_nats_writer_end(struct kb_nats_writer *w);

#endif
