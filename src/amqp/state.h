/* The inside of an AMQP broker, for broker.c, questions.c and incoming.c alone. */
#ifndef KB_AMQP_STATE_H
#define KB_AMQP_STATE_H

#include "amqp/content.h"
#include "amqp/link.h"
#include "amqp/url.h"
#include "bus/broker.h"
#include "bus/subscription.h"
#include "core/log.h"

enum {
	KB_AMQP_PUBLISH_CHANNEL = 1,
	KB_AMQP_FIRST_SUBSCRIPTION_CHANNEL = 2,
	KB_AMQP_QUESTION_CHANNELS = 16, /* at most, from the highest number down */
	KB_AMQP_RESUBSCRIBE_MS = 2000,  /* the first pause of a subscription that is refused; doubles */
	KB_AMQP_RESUBSCRIBE_MAX_MS = 60000,
	KB_AMQP_FOLLOW_MS = 5000,   /* that each has a connection before it follows the others again */
	KB_AMQP_OFFENCE_MS = 30000, /* the first pause of a subscription that costs the connection; doubles */
	KB_AMQP_OFFENCE_MAX_MS = 3600000
};

/* A subscription over which the broker closed the connection, and with it all others. It stays out of the connections
 * that follow until its pause is over. Outlives them. */
struct kb_amqp_offence {
	int64_t until; /* ms; 0: none */
	int pause_ms;
	char why[500];
};

struct kb_amqp_subscription {
	const struct kb_subscription *s;
	struct kb_amqp_content incoming;
	int64_t retry_at;    /* ms; 0 while it stands */
	int pause_ms;        /* the last one, on this connection; 0 once it stands */
	uint32_t generation; /* of its channel: a tag means nothing on the next one; 0: the channel is closed */
	bool closing;        /* we closed the channel, and its end is still to come */
	bool counting;       /* we asked how many messages wait, and the answer is still to come */
	struct kb_amqp_offence offence;
};

/* For questions to one exchange: when the broker closes it, because there is no such exchange or we may not publish to
 * it, that costs no question to another one. Without confirms: a question's confirm is its answer. */
struct kb_amqp_question_channel {
	bool open;
	uint64_t used; /* number of the last question on it */
	struct kb_buf exchange;
	struct kb_amqp_content returned;
};

struct kb_broker {
	const struct kb_broker_config *config;
	struct kb_broker_events events;
	struct kb_amqp_address *addresses;
	size_t n_addresses, current;
	bool once_more;    /* the next attempt is at the address of the last one */
	int64_t follow_at; /* ms; not before that to another address after the other processes */

	struct kb_amqp_link link;
	char address[300]; /* "host:port" */

	uint64_t next_sequence;
	uint64_t sequence_base;          /* sequence of the message before delivery tag 1 of this channel */
	bool publishing;                 /* the publish channel is open */
	bool renewing;                   /* we closed it, and its end is still to come */
	struct kb_amqp_content returned; /* or a delivery that is for nobody */
	struct {
		bool expected;               /* the content under way is that of a return */
		struct kb_buf exchange, key; /* copies: what belongs to a long content is released before its end */
		char reason[300];
	} back;

	struct kb_amqp_question_channel questions[KB_AMQP_QUESTION_CHANNELS];
	uint64_t questions_asked;

	struct {
		bool open, asked; /* its channel; and the answer is still to come */
	} lookup;

	struct kb_amqp_subscription *subscriptions;
	size_t n_subscriptions;
	struct kb_amqp_content
		*held; /* complete, and refused by delivered(): to be offered again before anything is read */

	struct kb_log_limit too_large, refused, bad_questions, odd;
};

/* -- broker.c -- */

/* Logs, ends the connection, and returns KB_BROKER_LOST. */
enum kb_broker_result kb_amqp_lost(struct kb_broker *b, const char *why);

/* Passes on what a call of the link says. */
enum kb_broker_result kb_amqp_checked(struct kb_broker *b, const char *why);

/* NULL, or why not. */
const char *kb_amqp_open_publish_channel(struct kb_broker *b);

amqp_channel_t kb_amqp_channel_of(size_t subscription);

/* NULL when none stands there. */
struct kb_amqp_subscription *kb_amqp_subscription_on(struct kb_broker *b, amqp_channel_t channel);

/* Its channel is closed or about to be, and why: what came on it can no longer be acknowledged. */
void kb_amqp_subscription_fell(struct kb_broker *b, struct kb_amqp_subscription *sub, int pause_ms, const char *why);

enum kb_broker_result kb_amqp_settle(struct kb_broker *b, const struct kb_origin *origin, enum kb_outcome outcome);

/* -- questions.c -- */

/* Puts a question into `out`, on the channel of its exchange. False as for kb_amqp_put_publish(). */
bool kb_amqp_ask(struct kb_broker *b, const struct kb_message *m);

/* NULL when no question went by this channel. */
struct kb_amqp_question_channel *kb_amqp_question_channel_on(struct kb_broker *b, amqp_channel_t channel);

/* The properties of a question that came back are in q->returned. */
void kb_amqp_question_returned(struct kb_broker *b, struct kb_amqp_question_channel *q);

/* The broker has closed the channel. */
void kb_amqp_question_channel_closed(struct kb_broker *b, struct kb_amqp_question_channel *q, const char *why);

/* All channels are gone with the connection. */
void kb_amqp_questions_clear(struct kb_broker *b);
void kb_amqp_questions_free(struct kb_broker *b);

/* The highest number that the broker allows. */
amqp_channel_t kb_amqp_highest_channel(const struct kb_broker *b);

/* -- lookup.c -- */

enum kb_broker_result kb_amqp_ask_exchange(struct kb_broker *b, struct kb_slice exchange);

/* True for a frame of the channel that exchanges are asked for on, which is handled then. */
bool kb_amqp_lookup_frame(struct kb_broker *b, const amqp_frame_t *frame);

/* -- incoming.c -- */

/* Handles one frame; *delivered counts contents. KB_BROKER_AGAIN: a message is held, and nothing more may be read. */
enum kb_broker_result kb_amqp_dispatch(struct kb_broker *b, const amqp_frame_t *frame, unsigned *delivered);

/* Offers the held message again. False: still nobody has room. */
bool kb_amqp_offer_held(struct kb_broker *b);

#endif
