/* {kz.json,path}, {kz.json.count,path} and {kz.encode} (kazoo manual, 7). */
#ifndef KB_KAMAILIO_KAZOO_TRANSFORMATIONS_H
#define KB_KAMAILIO_KAZOO_TRANSFORMATIONS_H

#include <core/pvar.h>

/* Parses what follows "kz." up to the closing brace, for register_trans_mod(). */
char *kz_transformations_parse(str *in, trans_t *t);

#endif
