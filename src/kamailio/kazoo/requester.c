#include "kamailio/kazoo/requester.h"

#include <core/dprint.h>
#include <core/pt.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "amqp/reply_queue.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"

enum {
	REPLY_MAX = 1024 * 1024, /* bytes of address space for each request; memory is taken as replies need it */
	MOST_DEFAULT = 50        /* requests, as the manual has it for amqp_max_channels */
};

static struct kb_replies *replies;

struct kb_replies *kz_requester_replies(void)
{
	return replies;
}

const char *kz_requester_prefix(void)
{
	static char prefix[256];
	char random[KB_UUID_SHORT_CHARS];
	if (!prefix[0]) { /* the main process, from which all inherit it */
		kb_uuid_make_short(random);
		snprintf(prefix, sizeof prefix, "kamailio@%.180s-<%d>-%.*s", kz_settings()->node_hostname, (int)getpid(),
			(int)sizeof random, random);
	}
	return prefix;
}

struct kb_slice kz_requester_address(void)
{
	return replies ? kb_amqp_reply_queue_address(replies, kz_requester_prefix()) : kb_slice(NULL, 0);
}

/* Unless amqp_max_channels is set, no process is refused its one request at a time. */
static size_t most_requests(void)
{
	int set = kz_settings()->max_channels, processes = get_max_procs();
	if (set)
		return (size_t)set;
	return processes > MOST_DEFAULT ? (size_t)processes : MOST_DEFAULT;
}

bool kz_requester_init(size_t shares)
{
	size_t processes = (size_t)get_max_procs(), claimed = most_requests();
	kz_requester_prefix();
	replies = kb_replies_create(processes + claimed, processes, shares, REPLY_MAX);
	if (!replies) {
		LM_ERR("amqp_max_channels: cannot allocate shared memory for %zu requests: %s\n", processes + claimed,
			strerror(errno));
		return false;
	}
	kb_replies_limit(replies, claimed);
	kb_counts_set_replies(replies);
	return true;
}

void kz_requester_log_too_many(const char *function)
{
	static struct kb_log_limit limit;
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: request refused, too many requests in flight (amqp_max_channels=%zu)",
		function, most_requests());
}
