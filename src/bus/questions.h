/* The loop of the process that asks: questions from an outbox go out, their answers come back on the same connection.
 */
#ifndef KB_BUS_QUESTIONS_H
#define KB_BUS_QUESTIONS_H

#include "bus/publisher.h"
#include "core/replies.h"

/* The exchange for answers, direct, and the queue and routing key on it under which the answers to this server come,
 * different on each connection so that no answer goes to one that is dead: "PREFIX-targeted-N". The text is in a buffer
 * of the function's own. A process has one prefix. */
#define KB_REPLY_EXCHANGE "targeted"
struct kb_slice kb_reply_address(const struct kb_replies *replies, const char *prefix);

/* kb_publisher_run() with the subscription to the answers: role, at_once, context, message_max and what publisher.h
 * says of answers are filled in here. The replies are open while there is a connection and the subscription stands. */
void kb_questions_run(const struct kb_publisher *p, struct kb_replies *replies, const char *reply_prefix);

#endif
