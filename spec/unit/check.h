/* For programs of one file that test one module: a check, and what the module has logged. */
#ifndef KB_SPEC_UNIT_CHECK_H
#define KB_SPEC_UNIT_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int check_failures;

#define CHECK(condition)                                                                                               \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			check_failures++;                                                                                          \
		}                                                                                                              \
	} while (0)

#define CHECK_TEXT(got, wanted) check_text(__FILE__, __LINE__, got, wanted)

static inline void check_text(const char *file, int line, const char *got, const char *wanted)
{
	if (strcmp(got, wanted) == 0)
		return;
	fprintf(stderr, "%s:%d: got    %s\n%s:%d: wanted %s\n", file, line, got, file, line, wanted);
	check_failures++;
}

#define CHECK_CONTAINS(text, part) check_contains(__FILE__, __LINE__, text, part)

static inline void check_contains(const char *file, int line, const char *text, const char *part)
{
	if (strstr(text, part))
		return;
	fprintf(stderr, "%s:%d: got         %s\n%s:%d: wanted in it %s\n", file, line, text, file, line, part);
	check_failures++;
}

#endif
