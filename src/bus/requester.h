/* The loop of the requester: the process that sends the requests of an outbox and, on the same connection, receives
 * their replies. */
#ifndef KB_BUS_REQUESTER_H
#define KB_BUS_REQUESTER_H

#include "bus/publisher.h"
#include "core/replies.h"

enum { KB_REQUESTER_IDS = 2 };

/* How requests and replies are told apart on a bus; `context` is that of struct kb_requester. */
struct kb_requester_bus {
	/* The subscription that brings the replies, on a connection that is new; it lasts until the next call. */
	const struct kb_subscription *(*subscription)(void *context);

	/* The id of a request, part of the request; empty: it has none. */
	struct kb_slice (*request_id)(const struct kb_message *request);

	/* Writes the ids that this reply may carry, the most likely one first, and returns how many there are. They are
	 * valid until the next call. */
	size_t (*reply_ids)(void *context, const struct kb_message *reply, struct kb_slice ids[KB_REQUESTER_IDS]);

	/* The request has been given to the connection. May be NULL. */
	void (*sent)(void *context, const struct kb_message *request);

	/* The broker lets us publish nothing to this subject: calls end() with the id of each request that went there. May
	 * be NULL. */
	void (*forbidden)(
		void *context, struct kb_slice subject, void (*end)(void *, struct kb_slice id), void *end_context);

	bool whole;                 /* the slot gets the encoded message (kb_message_encode()), otherwise its payload */
	bool many;                  /* several replies to a request are usual, and those behind the first are not logged */
	bool says_too_large;        /* a reply that was read and is too large is logged here, not where it is waited for */
	enum kb_reply_state unsent; /* how a request ends that the connection has no room for */
	size_t read_factor;         /* replies are read up to so many times the room; 0: up to config.message_max */
};

struct kb_requester {
	const struct kb_requester_bus *bus;
	void *context;
	struct kb_replies *replies;

	/* Of its fields, `context` and everything about replies are filled in, and so are `at_once` and the role. */
	struct kb_publisher publisher;

	/* For requests that this process sends itself; both may be NULL. The reply to one of them: true; `reply` is NULL
	 * when it was not sent. The connection opened or ended. */
	bool (*own_reply)(struct kb_slice id, const struct kb_message *reply);
	void (*connection)(void);
};

/* kb_publisher_run() with the subscription to the replies: requests can be sent (kb_replies_are_open()) while there is
 * a connection with that subscription. */
void kb_requester_run(const struct kb_requester *requester);

#endif
