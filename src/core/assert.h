/*
 * What must hold, in three grades. All of them are alive in every build, unlike assert().
 *
 *     kb_require(condition)   going on would do harm: one log line, then abort()
 *     kb_fails(condition)     the caller can recover, and must: if (kb_fails(record->size <= room)) return NULL;
 *     kb_note(condition)      worth a log line and nothing else
 *
 * kb_fails() is for what another process, or a bug of ours, may have broken. In our own debug and sanitizer builds
 * (KB_ASSERT_ABORTS) it ends the process, so that tests find the cause. A condition that holds costs one branch.
 */
#ifndef KB_CORE_ASSERT_H
#define KB_CORE_ASSERT_H

#include <stdbool.h>
#include "core/log.h"

/* One place in the source; each writes at most one line a second, however often its condition does not hold. */
struct kb_assert_site {
	const char *file, *function, *condition;
	int line;
	struct kb_log_limit limit;
};

/* These log that the condition of a site does not hold. The first never returns, the second returns true. */
void kb_assert_end(const struct kb_assert_site *site) __attribute__((noreturn, cold));
bool kb_assert_fail(struct kb_assert_site *site) __attribute__((cold));
void kb_assert_note(struct kb_assert_site *site) __attribute__((cold));

/* How many conditions of kb_fails() and kb_note() did not hold in this process so far, logged or not. */
uint64_t kb_assert_count(void);

/* Whether kb_fails() ends this process: for tests of the recovery. */
void kb_assert_set_aborts(bool aborts);

__attribute__((warn_unused_result)) static inline bool kb_assert_used(bool fails)
{
	return fails;
}

#define KB_ASSERT_SITE(text)                                                                                           \
	{                                                                                                                  \
		__FILE__, __func__, text, __LINE__,                                                                            \
		{                                                                                                              \
			0                                                                                                          \
		}                                                                                                              \
	}

#define kb_require(condition)                                                                                          \
	do {                                                                                                               \
		if (__builtin_expect(!(condition), 0)) {                                                                       \
			static const struct kb_assert_site kb_site = KB_ASSERT_SITE(#condition);                                   \
			kb_assert_end(&kb_site);                                                                                   \
		}                                                                                                              \
	} while (0)

/* True when the condition does not hold. */
#define kb_fails(condition)                                                                                            \
	kb_assert_used(__extension__({                                                                                     \
		static struct kb_assert_site kb_site = KB_ASSERT_SITE(#condition);                                             \
		__builtin_expect(!(condition), 0) && kb_assert_fail(&kb_site);                                                 \
	}))

#define kb_note(condition)                                                                                             \
	do {                                                                                                               \
		if (__builtin_expect(!(condition), 0)) {                                                                       \
			static struct kb_assert_site kb_site = KB_ASSERT_SITE(#condition);                                         \
			kb_assert_note(&kb_site);                                                                                  \
		}                                                                                                              \
	} while (0)

#endif
