/* Random UUIDs (RFC 9562, version 4) for message ids. One thread of a process; safe across fork(). */
#ifndef KB_CORE_UUID_H
#define KB_CORE_UUID_H

enum { KB_UUID_CHARS = 36 };

/* Writes 36 characters, without a NUL, lower case. */
void kb_uuid(char to[KB_UUID_CHARS]);

#endif
