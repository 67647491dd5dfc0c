#include "kamailio/glue/policy_reload.h"

#include <core/dprint.h>

#include <errno.h>
#include <string.h>

#include "core/stats.h"

static kb_counter *version; /* shared by all processes */
static uint64_t seen;       /* the version that this process has loaded */

bool kb_policy_reload_init(void)
{
	struct kb_stats *memory = kb_stats_create(1, 1);
	if (memory)
		version = kb_stats_row(memory, 0);
	else
		LM_ERR("cannot allocate shared memory: %s\n", strerror(errno));
	return memory != NULL;
}

bool kb_policy_reload_due(void)
{
	uint64_t now = kb_counter_get(version);
	bool due = now != seen;
	seen = now;
	return due;
}

void kb_policy_reload_rpc(rpc_t *rpc, void *context, const char *file, bool (*loads)(struct kb_buf *why))
{
	struct kb_buf why = {0};
	if (!file || !file[0]) {
		rpc->fault(context, 400, "lua_policy is not set");
	} else if (!loads(&why)) {
		LM_ERR("lua_policy: reload failed, the old policy stays active: %.*s\n", (int)why.n, why.p ? why.p : "");
		rpc->fault(context, 500, "reload failed, the old policy stays active: %.*s", (int)why.n, why.p ? why.p : "");
	} else {
		kb_counter_add_among(version, 1); /* several processes serve RPC */
		rpc->rpl_printf(
			context, "%s is valid; each process reloads it before its next message or within a second", file);
	}
	kb_buf_free(&why);
}
