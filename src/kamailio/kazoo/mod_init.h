/* The event kazoo:mod-init, which runs once at the start and is when scripts subscribe. */
#ifndef KB_KAMAILIO_KAZOO_MOD_INIT_H
#define KB_KAMAILIO_KAZOO_MOD_INIT_H

#include <stdbool.h>

/* In child_init(PROC_MAIN), before the first fork: runs event_route[kazoo:mod-init] or its callback. */
void kz_mod_init_run(void);

/* True while it runs. Nothing is sent meanwhile: no process has a connection yet. */
bool kz_mod_init_is_running(void);

#endif
