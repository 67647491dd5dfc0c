/*
 * Ids of requests. A reply names the request that it belongs to by its id, and the id ends in the number of the slot
 * that waits for the reply (reply.h): the last KB_REPLY_ID_SLOT_DIGITS characters, in hexadecimal. So the slot is found
 * without a search. The number is a hint and no secret: a reply is matched by the whole id.
 */
#ifndef KB_CORE_REPLY_ID_H
#define KB_CORE_REPLY_ID_H

#include "core/slice.h"
#include "core/uuid.h"

enum {
	KB_REPLY_ID_SLOT_DIGITS = 6,
	KB_REPLY_ID_SLOTS = 1 << 24, /* higher numbers do not fit: such slots are found by a search */
	KB_REPLY_ID_WORD_CHARS = KB_UUID_SHORT_CHARS + KB_REPLY_ID_SLOT_DIGITS
};

/* A UUID of version 4 with 98 random bits. 36 characters, no NUL. */
void kb_reply_id_uuid(char to[KB_UUID_CHARS], size_t slot);

/* A word of a NATS subject with 96 random bits. No NUL. */
void kb_reply_id_word(char to[KB_REPLY_ID_WORD_CHARS], size_t slot);

/* The slot that an id names, any id, also one that somebody else has made; SIZE_MAX: it names none. */
size_t kb_reply_id_slot(struct kb_slice id);

#endif
