/* core/assert: what each of the three grades does when its condition holds, and when it does not. */
#include "core/assert.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "check.h"

/* Shared, so that the parent reads what a child that ended has logged. */
static struct {
	int lines;
	char last[1024];
} * logged;

static void keep(enum kb_log_level level, const char *line)
{
	(void)level;
	logged->lines++;
	snprintf(logged->last, sizeof logged->last, "%s", line);
}

static void expect_lines(int lines)
{
	CHECK(logged->lines == lines);
	logged->lines = 0;
}

/* The signal that ends a process which runs `run`; 0: none does. */
static int signal_of(void (*run)(void))
{
	pid_t child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		run();
		_exit(0);
	}
	int status = 0;
	CHECK(waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static volatile int two = 2;

static void requires_what_holds(void)
{
	kb_require(two == 2);
}

static void requires_what_does_not(void)
{
	kb_require(two == 3);
}

static void fatal(void)
{
	CHECK(signal_of(requires_what_holds) == 0);
	expect_lines(0);
	CHECK(signal_of(requires_what_does_not) == SIGABRT);
	expect_lines(1);
	CHECK_CONTAINS(logged->last, "assert_test.c:");
	CHECK_CONTAINS(logged->last, "requires_what_does_not()");
	CHECK_CONTAINS(logged->last, "two == 3");
}

static bool number_fails(int number)
{
	return kb_fails(number == 2);
}

static void fails_where_failures_abort(void)
{
	kb_assert_set_aborts(true);
	if (number_fails(3))
		_exit(0);
}

static void recoverable(void)
{
	kb_assert_set_aborts(false);
	CHECK(!number_fails(2));
	expect_lines(0);
	for (int i = 0; i < 100; i++)
		CHECK(number_fails(3));
	CHECK(logged->lines >= 1 && logged->lines < 100);
	CHECK(kb_assert_count() == 100);
	logged->lines = 0;
	CHECK_CONTAINS(logged->last, "number_fails()");
	CHECK_CONTAINS(logged->last, "number == 2");
	CHECK(signal_of(fails_where_failures_abort) == SIGABRT);
}

static void a_site_does_not_silence_another(void)
{
	logged->lines = 0;
	CHECK(kb_fails(two == 4));
	CHECK(kb_fails(two == 5));
	expect_lines(2);
}

static void note(void)
{
	kb_note(two == 2);
	expect_lines(0);
	kb_note(two == 6);
	expect_lines(1);
	CHECK_CONTAINS(logged->last, "two == 6");
}

int main(void)
{
	logged = mmap(NULL, sizeof *logged, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	kb_log_set_sink(keep);
	fatal();
	recoverable();
	a_site_does_not_silence_another();
	note();
	return check_failures ? 1 : 0;
}
