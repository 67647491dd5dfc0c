/* Random UUIDs (RFC 9562, version 4) for message ids. One thread of a process; safe across fork(). */
#ifndef KB_CORE_UUID_H
#define KB_CORE_UUID_H

enum { KB_UUID_CHARS = 36 };

/* Writes 36 characters, without a NUL, lower case. */
void kb_uuid(char to[KB_UUID_CHARS]);

/* A shorter id that cannot be guessed either: 96 random bits as 16 characters of A-Z a-z 0-9 - _, without a NUL. */
enum { KB_SHORT_ID_CHARS = 16 };
void kb_short_id(char to[KB_SHORT_ID_CHARS]);

#endif
