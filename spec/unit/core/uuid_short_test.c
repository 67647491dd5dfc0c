/* core/uuid, the shorter ids: words of a NATS subject, that never come twice. */
#include "check.h"

#include <stdlib.h>
#include "core/uuid.h"

enum { COUNT = 20000 };

struct id {
	char text[KB_UUID_SHORT_CHARS];
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

int main(void)
{
	static struct id ids[COUNT];
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t seen[256] = {0};
	for (size_t i = 0; i < COUNT; i++) {
		kb_uuid_make_short(ids[i].text);
		for (size_t j = 0; j < KB_UUID_SHORT_CHARS; j++)
			seen[(unsigned char)ids[i].text[j]]++;
	}
	size_t known = 0;
	for (const char *d = digits; *d; d++) {
		known += seen[(unsigned char)*d];
		CHECK(seen[(unsigned char)*d] > COUNT * KB_UUID_SHORT_CHARS / 64 / 2); /* none is rare */
	}
	CHECK(known == COUNT * KB_UUID_SHORT_CHARS);
	qsort(ids, COUNT, sizeof *ids, compare);
	for (size_t i = 1; i < COUNT; i++)
		CHECK(compare(&ids[i - 1], &ids[i]) != 0);
	return check_failures ? 1 : 0;
}
