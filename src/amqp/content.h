/* A content, which is a header and a body that follow a method, as it comes in frame by frame on one channel. */
#ifndef KB_AMQP_CONTENT_H
#define KB_AMQP_CONTENT_H

#include <amqp.h>
#include "core/message.h"

/* The strings of `m` lie in the library's pool of the channel, which the caller releases when the content is done with,
 * or detached from it. Zero-initialise. */
struct kb_amqp_content {
	bool active;
	bool discard;   /* it is not handed over */
	bool in_buffer; /* the body came in several frames and lies in `body` */
	struct kb_message m;
	size_t expected;  /* bytes of body still to come */
	unsigned useless; /* frames that have brought it no further: the library keeps each until the content ends */
	struct kb_buf body;
	struct kb_buf names;               /* exchange and key of a detached content */
	struct kb_buf headers, properties; /* the lists of `m` */
};

enum { KB_AMQP_USELESS_MAX = 64 /* more of them, and the broker does not speak the protocol */ };

/* Forgets what was there. */
void kb_amqp_content_clear(struct kb_amqp_content *c);
void kb_amqp_content_free(struct kb_amqp_content *c);

/* The method is there; exchange, key and origin are the caller's to fill. */
void kb_amqp_content_begin(struct kb_amqp_content *c, bool discard);

/* Copies what of `m` lies in the library's pool: then that can be released before the content is complete, and a long
 * body lies in memory once. False: out of memory, and nothing is changed. */
bool kb_amqp_content_detach(struct kb_amqp_content *c);

/* A header or body frame for the content. True when it is complete now. */
bool kb_amqp_content_header(struct kb_amqp_content *c, const amqp_frame_t *frame);
bool kb_amqp_content_body(struct kb_amqp_content *c, const amqp_frame_t *frame);

#endif
