/* Random UUIDs (RFC 9562, version 4) for message ids, and shorter ids. One thread of a process; safe across fork(). */
#ifndef KB_CORE_UUID_H
#define KB_CORE_UUID_H

enum { KB_UUID_CHARS = 36, KB_UUID_SHORT_CHARS = 16 };

/* Both come from the kernel's random numbers, a pool of them for each process. When the kernel refuses them (early
 * after boot, or a filter of system calls), the ids come from libuuid's own generator, and a line is logged. */

/* Writes 36 characters, without a NUL, lower case. */
void kb_uuid_make(char to[KB_UUID_CHARS]);

/* 96 random bits (94 from libuuid's generator) as 16 characters of A-Z a-z 0-9 - _, without a NUL. */
void kb_uuid_make_short(char to[KB_UUID_SHORT_CHARS]);

#endif
