/* core/uuid: no two alike, also not in a process that was forked in between. */
#include "core/uuid.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

enum { EACH = 2000 };

struct id {
	char text[KB_UUID_CHARS];
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

static void check_form(const struct id *id)
{
	for (int i = 0; i < KB_UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		CHECK(dash ? id->text[i] == '-' : strchr("0123456789abcdef", id->text[i]) != NULL);
	}
	CHECK(id->text[14] == '4');
	CHECK(strchr("89ab", id->text[19]) != NULL);
}

int main(void)
{
	struct id *ids = mmap(NULL, 2 * EACH * sizeof *ids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	kb_uuid(ids[0].text); /* the parent has a pool when it forks */
	pid_t child = fork();
	for (int i = 0; i < EACH; i++)
		kb_uuid(ids[i + (child ? 0 : EACH)].text);
	if (child == 0)
		_exit(0);
	CHECK(waitpid(child, NULL, 0) == child);
	qsort(ids, 2 * EACH, sizeof *ids, compare);
	for (int i = 0; i < 2 * EACH; i++) {
		check_form(&ids[i]);
		CHECK(i == 0 || compare(&ids[i - 1], &ids[i]) != 0);
	}
	munmap(ids, 2 * EACH * sizeof *ids);
	return check_failures ? 1 : 0;
}
