#include "core/assert.h"

#include <stdlib.h>

#ifdef KB_ASSERT_ABORTS
static bool failures_abort = true;
#else
static bool failures_abort = false;
#endif

static uint64_t count;

uint64_t kb_assert_count(void)
{
	return count;
}

void kb_assert_set_aborts(bool aborts)
{
	failures_abort = aborts;
}

void kb_assert_end(const struct kb_assert_site *site)
{
	kb_log(KB_LOG_ERROR, "%s:%d: %s(): ending the process, this must hold: %s", site->file, site->line, site->function,
		site->condition);
	abort();
}

bool kb_assert_fail(struct kb_assert_site *site)
{
	if (failures_abort)
		kb_assert_end(site);
	count++;
	kb_log_limited(&site->limit, KB_LOG_ERROR, "%s:%d: %s(): recovering, this should hold: %s", site->file, site->line,
		site->function, site->condition);
	return true;
}

void kb_assert_note(struct kb_assert_site *site)
{
	count++;
	kb_log_limited(&site->limit, KB_LOG_WARNING, "%s:%d: %s(): this should hold: %s", site->file, site->line,
		site->function, site->condition);
}
