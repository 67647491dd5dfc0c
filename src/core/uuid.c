#include "core/uuid.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { ID_BYTES = 16, POOL_BYTES = 256 * ID_BYTES };

/* Random bytes for the ids to come: one system call for many. A process that was forked must not use those of its
 * parent.
 */
static struct {
	unsigned char bytes[POOL_BYTES];
	size_t used;
	pid_t owner;
} pool;

/* For a kernel without random numbers: ids that are still apart, though they could be guessed. */
static void fill_from_clock(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t x = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + ((uint64_t)getpid() << 40);
	for (size_t i = 0; i < POOL_BYTES; i += sizeof x) {
		uint64_t z = x += 0x9e3779b97f4a7c15u; /* splitmix64 */
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		z ^= z >> 31;
		memcpy(pool.bytes + i, &z, sizeof z);
	}
}

static void fill(pid_t self)
{
	size_t n = 0;
	while (n < POOL_BYTES) {
		ssize_t got = getrandom(pool.bytes + n, POOL_BYTES - n, GRND_NONBLOCK);
		if (got < 0 && errno != EINTR)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	if (n < POOL_BYTES)
		fill_from_clock();
	pool.used = 0;
	pool.owner = self;
}

static void take(unsigned char id[ID_BYTES])
{
	pid_t self = getpid();
	if (pool.owner != self || pool.used == POOL_BYTES)
		fill(self);
	memcpy(id, pool.bytes + pool.used, ID_BYTES);
	pool.used += ID_BYTES;
}

void kb_uuid(char to[KB_UUID_CHARS])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char id[ID_BYTES];
	take(id);
	id[6] = (id[6] & 0x0f) | 0x40; /* version 4 */
	id[8] = (id[8] & 0x3f) | 0x80; /* variant of RFC 9562 */
	for (int i = 0; i < ID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = hex[id[i] >> 4];
		*to++ = hex[id[i] & 15];
	}
}

void kb_short_id(char to[KB_SHORT_ID_CHARS])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char id[ID_BYTES];
	_Static_assert((int)ID_BYTES == (int)KB_SHORT_ID_CHARS, "a byte for each character");
	take(id);
	for (int i = 0; i < KB_SHORT_ID_CHARS; i++)
		to[i] = digits[id[i] & 63];
}
