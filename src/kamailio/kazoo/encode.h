/* kazoo_encode. */
#ifndef KB_KAMAILIO_KAZOO_ENCODE_H
#define KB_KAMAILIO_KAZOO_ENCODE_H

#include <core/parser/msg_parser.h>

/* Assigns the text as a word of a routing key (core/routing_key.h) to the target: 1 or -1. */
int kz_encode(struct sip_msg *msg, char *text, char *target);

#endif
