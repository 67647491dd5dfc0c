/* Asking over NATS and getting the answer: what nats_request, its asynchronous form and what is built on requests share
 * (requester.c, question.c), and the functions of scripts (request.c, async.c). */
#ifndef KB_KAMAILIO_NATS_REQUEST_H
#define KB_KAMAILIO_NATS_REQUEST_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

#include <stdbool.h>

#include "core/message.h"
#include "core/outbox.h"
#include "core/replies.h"
#include "core/uuid.h"
#include "kamailio/glue/suspend.h"
#include "kamailio/nats/publish.h"
#include "kamailio/nats/settings.h"

/* What becomes of a question, as scripts see it. */
enum kn_outcome { KN_ANSWERED = 1, KN_FAILED = -1, KN_TIMEOUT = -2, KN_NO_RESPONDERS = -3 };

/* -- the processes (requester.c): one with a connection for questions and their answers, and those that go on with
 * transactions -- */

/* In mod_init: how many processes there may be. In child_init(PROC_INIT): which of them are wanted, and their memory.
 * In child_init(PROC_MAIN): those that are. The routes of the configuration tell: without a call that asks none is
 * there, and without one that suspends transactions nobody who goes on with them. What a KEMI script does cannot be
 * known beforehand, so with KEMI all are. */
int kn_requester_processes(void);
bool kn_requester_init(void);
bool kn_requester_fork(void);

/* All of them NULL when nobody asks, or before the start. */
struct kb_outbox *kn_question_outbox(void);
struct kb_replies *kn_replies(void);

/* PREFIX.ID: the answers to questions of this server come to subjects of one word more. */
enum { KN_INBOX_BYTES = KN_INBOX_PREFIX_MAX + 1 + KB_UUID_SHORT_CHARS + 1 };
const char *kn_inbox(void);

/* Instead of a server's status, which is a number: the question was never sent. */
#define KN_UNSENT "unsent"

/* The same: the account may not publish to its subject. */
#define KN_FORBIDDEN "forbidden"

/* -- asking (question.c): from any process that runs routes -- */

#define KN_REQUEST_ASYNC "nats_request_async"

/* Asks what kn_build() has built, without a reply subject, and waits for the answer. All outcomes but KN_ANSWERED with
 * a log line that begins with the script's function. timeout_ms: 1 to KN_TIMEOUT_MAX_MS. */
enum kn_outcome kn_ask(const char *function, struct kb_message *question, unsigned timeout_ms);

/* Suspends the transaction of msg and asks: 1, or -1 and a log line, and the transaction is as it was. Routes or
 * callbacks of `s` are set. */
int kn_ask_and_suspend(const char *function, struct sip_msg *msg, struct kb_message *question, unsigned timeout_ms,
	struct kb_suspended *s);

/* In a resumer: struct kb_resumer.ended. */
bool kn_question_ended(enum kb_reply_state state, struct kb_slice flat, const struct kb_suspended *s);

/* The answer to the last question of this process, valid until the next one; NULL when that failed. */
const struct kb_message *kn_answer(void);
void kn_forget_answer(void);

/* Why the last question of this process failed, a word or two for scripts; NULL: it did not. */
const char *kn_error(void);

/* Puts it in words of the function that asked; `why` must last until the next question. */
void kn_set_error(const char *why);

/* For a question that cannot be asked, which is logged already: KN_FAILED. */
int kn_refuse(void);

/* -- request.c -- */

int kn_request3(struct sip_msg *msg, char *subject, char *payload, char *target);
int kn_request4(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout);
int kn_request5(struct sip_msg *msg, char *subject, char *payload, char *target, char *timeout, char *headers);
int kn_kemi_request(struct sip_msg *msg, str *subject, str *payload, int timeout_ms);
int kn_kemi_request_headers(struct sip_msg *msg, str *subject, str *payload, int timeout_ms, str *headers);

/* $natsAnswer, $natsAnswerHdr(name), $natsAnswerStatus, $natsError */
int kn_pv_answer(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_answer_header(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_answer_status(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_pv_error(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

/* 1 to KN_TIMEOUT_MAX_MS, or false and a log line. */
bool kn_timeout_in_range(const char *function, int timeout_ms);
bool kn_read_timeout(const char *function, struct kb_slice text, unsigned *timeout_ms);

/* -- async.c -- */

int kn_request_async4(struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure);
int kn_request_async5(
	struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure, char *timeout);
int kn_request_async6(
	struct sip_msg *msg, char *subject, char *payload, char *on_answer, char *on_failure, char *timeout, char *headers);
int kn_kemi_request_async(
	struct sip_msg *msg, str *subject, str *payload, str *on_answer, str *on_failure, int timeout_ms);

#endif
