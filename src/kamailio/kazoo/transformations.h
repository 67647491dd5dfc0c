/* {kz.json,path}, {kz.json.count,path} and {kz.encode} (kazoo manual, 7). */
#ifndef KB_KAMAILIO_KAZOO_TRANSFORMATIONS_H
#define KB_KAMAILIO_KAZOO_TRANSFORMATIONS_H

#include <core/pvar.h>

/* For register_trans_mod(): parses the text after "kz." up to the closing brace, and returns a pointer to that brace.
 * NULL and a log line when it is not a transformation of this module. */
char *kz_transformations_parse(str *in, trans_t *t);

#endif
