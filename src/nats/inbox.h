/* Reply subjects of one connection. */
#ifndef KB_NATS_INBOX_H
#define KB_NATS_INBOX_H

enum { KB_NATS_INBOX_BYTES = 256 };

/* Writes PREFIX.RANDOM, which no other connection has; a prefix of NULL is "_INBOX". NUL-terminated. */
void kb_nats_inbox_new(const char *prefix, char to[KB_NATS_INBOX_BYTES]);

#endif
