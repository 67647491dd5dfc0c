#include "core/uuid.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "core/log.h"

enum { ID_BYTES = sizeof(uuid_t), POOL_IDS = 256, POOL_BYTES = POOL_IDS * ID_BYTES };

/* Random bytes for the ids to come: one system call for many, where libuuid makes one for each id. A process that was
 * forked must not use those of its parent. */
static struct {
	unsigned char bytes[POOL_BYTES];
	size_t used;
	pid_t owner;
} pool;

static void fill_by_libuuid(int error)
{
	static struct kb_log_limit limit;
	kb_log_limited(
		&limit, KB_LOG_WARNING, "the kernel provides no random numbers (%s), taking ids from libuuid", strerror(error));
	for (size_t i = 0; i < POOL_IDS; i++)
		uuid_generate_random(pool.bytes + i * ID_BYTES);
}

static void fill(pid_t self)
{
	size_t n = 0;
	while (n < POOL_BYTES) {
		ssize_t got = getrandom(pool.bytes + n, POOL_BYTES - n, GRND_NONBLOCK);
		if (got < 0 && errno != EINTR) {
			fill_by_libuuid(errno);
			break;
		}
		n += got > 0 ? (size_t)got : 0;
	}
	pool.used = 0;
	pool.owner = self;
}

static void take(uuid_t id)
{
	pid_t self = getpid();
	if (pool.owner != self || pool.used == POOL_BYTES)
		fill(self);
	memcpy(id, pool.bytes + pool.used, ID_BYTES);
	pool.used += ID_BYTES;
}

void kb_uuid_make(char to[KB_UUID_CHARS])
{
	uuid_t id;
	char text[UUID_STR_LEN];
	take(id);
	id[6] = (id[6] & 0x0f) | 0x40; /* version 4 */
	id[8] = (id[8] & 0x3f) | 0x80; /* variant of RFC 9562 */
	uuid_unparse_lower(id, text);
	memcpy(to, text, KB_UUID_CHARS);
}

void kb_uuid_make_short(char to[KB_UUID_SHORT_CHARS])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uuid_t id;
	_Static_assert((int)ID_BYTES == (int)KB_UUID_SHORT_CHARS, "a byte for each character");
	take(id);
	for (int i = 0; i < KB_UUID_SHORT_CHARS; i++)
		to[i] = digits[id[i] & 63];
}
