#include "kamailio/nats/broker.h"

#include <core/dprint.h>

#include <stdint.h>

#include "kamailio/glue/settings.h"
#include "kamailio/nats/security.h"
#include "kamailio/nats/settings.h"
#include "nats/broker.h"
#include "nats/options.h"

struct kb_broker_config kn_broker_config(enum kb_broker_role role, const char *name)
{
	static struct kb_nats_options options; /* the same for all connections */
	const struct kn_settings *s = kn_settings();
	options = (struct kb_nats_options){.pings_out_max = s->max_pings_out,
		.inbox_prefix = s->inbox_prefix,
		.tls = s->tls,
		.credentials = kn_security_credentials()};
	return (struct kb_broker_config){.urls = s->urls,
		.n_urls = s->n_urls,
		.client_name = name,
		.role = role,
		.connect_timeout_ms = 2000,
		.heartbeat_s = s->ping_interval_s,
		.message_max = SIZE_MAX, /* only the server limits it (max_payload) */
		.tls = kn_security_tls(),
		.options = &options};
}

bool kn_broker_check(void)
{
	size_t bad = 0;
	struct kb_broker_config config = kn_broker_config(KB_ROLE_PUBLISH, "");
	struct kb_broker *broker = kb_nats.open(&config, &(struct kb_broker_events){0}, &bad);
	if (!broker)
		LM_ERR("nats_url: \"%s\" is invalid, see the line above; expected nats://[user:password@]host[:port] or "
			   "tls://...\n",
			kb_settings_without_password(config.urls[bad]));
	kb_nats.close(broker);
	return broker != NULL;
}
