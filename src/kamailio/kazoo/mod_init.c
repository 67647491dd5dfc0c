#include "kamailio/kazoo/mod_init.h"

#include "kamailio/glue/event_route.h"
#include "kamailio/kazoo/settings.h"

static bool running;

bool kz_mod_init_is_running(void)
{
	return running;
}

void kz_mod_init_run(void)
{
	running = true;
	kb_event_route_run_by_name(kz_settings()->event_callback, "kazoo:mod-init");
	running = false;
}
