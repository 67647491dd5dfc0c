#include "kamailio/glue/request_slots.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { STRICT_DEFAULT = 1024 };

/* Where the system never promises more memory than it has (vm.overcommit_memory=2), address space counts as memory. */
static bool is_memory_strict(void)
{
	char mode = 0;
	int file = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	bool strict = read(file, &mode, 1) == 1 && mode == '2';
	close(file);
	return strict;
}

static struct kb_replies *create(size_t most, size_t shares, size_t bytes)
{
	size_t processes = (size_t)get_max_procs();
	return kb_replies_create(processes + most, processes, shares, bytes);
}

/* An address space that is limited (ulimit -v, mlock_pages) allows some of them. */
static struct kb_replies *create_fewer(const char *parameter, size_t *most, size_t shares, size_t bytes)
{
	struct kb_replies *replies = NULL;
	for (*most = STRICT_DEFAULT; !(replies = create(*most, shares, bytes)) && *most > 1; *most /= 2)
		;
	if (replies)
		LM_NOTICE("%s: %zu instead of %d, there is no address space for more\n", parameter, *most, KB_REQUESTS_DEFAULT);
	return replies;
}

struct kb_replies *kb_request_slots_create(const char *parameter, size_t *most, size_t shares, size_t bytes)
{
	bool is_default = *most == KB_REQUESTS_DEFAULT;
	struct kb_replies *replies = is_default && is_memory_strict() ? NULL : create(*most, shares, bytes);
	if (!replies && is_default)
		replies = create_fewer(parameter, most, shares, bytes);
	if (!replies)
		LM_ERR("%s: cannot allocate shared memory for %zu requests: %s\n", parameter, *most, strerror(errno));
	return replies;
}
