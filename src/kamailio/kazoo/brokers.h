/* The processes that have a connection to a broker. */
#ifndef KB_KAMAILIO_KAZOO_BROKERS_H
#define KB_KAMAILIO_KAZOO_BROKERS_H

#include <stdbool.h>

/* In mod_init: what is wrong with an address stops the start, with a log line. */
bool kz_brokers_check(void);
int kz_brokers_processes(void);
bool kz_brokers_fork(void);

#endif
