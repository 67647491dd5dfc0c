#include "kamailio/kazoo/requester.h"

#include <stdio.h>
#include <unistd.h>

#include "amqp/reply_queue.h"
#include "core/log.h"
#include "core/uuid.h"
#include "kamailio/glue/request_slots.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"

enum { REPLY_MAX = 1024 * 1024 /* bytes of address space for each request; memory is taken as replies need it */ };

static struct kb_replies *replies;
static size_t most; /* requests in flight */

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

bool kz_requester_init(size_t shares)
{
	most = (size_t)kz_settings()->max_requests;
	kz_requester_prefix();
	replies = kb_request_slots_create("amqp_max_requests", &most, shares, REPLY_MAX);
	if (!replies)
		return false;
	kb_replies_limit(replies, most);
	kb_counts_set_replies(replies);
	return true;
}

void kz_requester_log_too_many(const char *function)
{
	static struct kb_log_limit limit;
	kb_log_limited(&limit, KB_LOG_ERROR, "%s: request refused, too many requests in flight (amqp_max_requests=%zu)",
		function, most);
}
