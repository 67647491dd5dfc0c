/* The processes that have a connection to a broker. */
#ifndef KB_KAMAILIO_KAZOO_BROKERS_H
#define KB_KAMAILIO_KAZOO_BROKERS_H

#include <stdbool.h>

/* In mod_init: false and a log line when an address cannot be used. */
bool kz_brokers_check(void);

/* In mod_init, after kz_zones_check(): how many processes kz_brokers_fork() will start. */
int kz_brokers_processes(void);

/* In child_init(PROC_MAIN), after kz_mod_init_run(): false and a log line. */
bool kz_brokers_fork(void);

#endif
