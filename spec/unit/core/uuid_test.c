/* core/uuid: no two alike, also not in a process that was forked in between, nor when the kernel has no random numbers.
 */
#include "core/uuid.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uuid/uuid.h>
#include "check.h"
#include "core/log.h"

enum { EACH = 2000 };

struct id {
	char text[KB_UUID_CHARS];
};

static bool refused;
static int lines, refusals;

/* In place of the C library's, for our code and for libuuid alike. */
ssize_t getrandom(void *to, size_t n, unsigned flags)
{
	if (!refused)
		return syscall(SYS_getrandom, to, n, flags);
	refusals++;
	errno = EAGAIN;
	return -1;
}

static void count_line(enum kb_log_level level, const char *line)
{
	(void)level;
	CHECK_CONTAINS(line, "libuuid");
	lines++;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct id));
}

static void check_form(const struct id *id)
{
	uuid_t parsed;
	char text[UUID_STR_LEN], again[UUID_STR_LEN];
	snprintf(text, sizeof text, "%.*s", KB_UUID_CHARS, id->text);
	CHECK(uuid_parse(text, parsed) == 0);
	CHECK(uuid_type(parsed) == UUID_TYPE_DCE_RANDOM && uuid_variant(parsed) == UUID_VARIANT_DCE);
	uuid_unparse_lower(parsed, again);
	CHECK_TEXT(text, again);
}

static void check_all(struct id *ids, size_t n)
{
	qsort(ids, n, sizeof *ids, compare);
	for (size_t i = 0; i < n; i++) {
		check_form(&ids[i]);
		CHECK(i == 0 || compare(&ids[i - 1], &ids[i]) != 0);
	}
}

static void no_two_alike(void)
{
	struct id *ids = mmap(NULL, 2 * EACH * sizeof *ids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	kb_uuid_make(ids[0].text); /* the parent has a pool when it forks */
	pid_t child = fork();
	for (int i = 0; i < EACH; i++)
		kb_uuid_make(ids[i + (child ? 0 : EACH)].text);
	if (child == 0)
		_exit(0);
	CHECK(waitpid(child, NULL, 0) == child);
	check_all(ids, 2 * EACH);
	munmap(ids, 2 * EACH * sizeof *ids);
}

static bool are_nearly_the_same(const struct id *a, const struct id *b)
{
	static const int fixed[] = {8, 13, 14, 18, 23}; /* the dashes and the version */
	size_t same = 0;
	for (size_t i = 0; i < KB_UUID_CHARS; i++)
		same += a->text[i] == b->text[i];
	return same > sizeof fixed / sizeof fixed[0] + 20;
}

/* Bytes of a clock would be the same in one id and the next. */
static void libuuid_makes_them_when_the_kernel_refuses(void)
{
	static struct id ids[EACH];
	refused = true;
	for (int i = 0; i < EACH; i++)
		kb_uuid_make(ids[i].text);
	refused = false;
	CHECK(refusals > 0 && lines == 1);
	for (int i = 1; i < EACH; i++)
		CHECK(!are_nearly_the_same(&ids[i - 1], &ids[i]));
	check_all(ids, EACH);
}

int main(void)
{
	kb_log_set_sink(count_line);
	no_two_alike();
	libuuid_makes_them_when_the_kernel_refuses();
	return check_failures ? 1 : 0;
}
