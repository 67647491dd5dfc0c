#include "kamailio/kazoo/async.h"

#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/glue/suspend.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/request.h"
#include "kamailio/kazoo/requester.h"
#include "kamailio/kazoo/settings.h"

/* What kamailio.cfg gets instead of a 1: it ends the script, as configurations for Debian's module count on. */
enum { IN_FLIGHT = 0 };

static const char function[] = "kazoo_async_query";

/* -- the processes -- */

bool kz_async_init(void)
{
	static const char *const names[] = {function, "kazoo_query_async", NULL};
	bool wanted;
	return kb_suspend_init(function, names, &wanted);
}

static void resumer_main(void *argument)
{
	kb_suspend_run_resumer(&(struct kb_resumer){.function = function,
		.replies = kz_requester_replies(),
		.share = (size_t)(intptr_t)argument,
		.ended = kz_request_ended,
		.forget = kz_request_forget_result});
}

int kz_async_processes(void)
{
	return kz_settings()->workers;
}

bool kz_async_fork(void)
{
	for (intptr_t i = 0; i < kz_async_processes(); i++)
		if (kb_process_fork(KB_PROCESS_ROUTES, "kazoo query resumer", resumer_main, (void *)i) < 0)
			return false;
	return true;
}

/* -- the functions of scripts -- */

static int request(struct sip_msg *msg, struct kz_request_parameters *p, struct kb_suspended *s)
{
	struct kb_request r = kz_request_new(function, msg, p);
	return kb_request_suspend(&r, s);
}

int kz_async_query6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_reply,
	char *on_failure, char *flags)
{
	struct kz_request_parameters p = {.headers = {NULL, 0}};
	struct kb_slice reply_route, failure_route;
	struct kb_suspended s = {0};
	(void)flags; /* none are defined */
	if (!kb_suspend_is_loaded(function) || !kz_message_get(msg, function, "exchange", exchange, &p.exchange) ||
		!kz_message_get(msg, function, "routing_key", routing_key, &p.routing_key) ||
		!kz_message_get(msg, function, "json_payload", payload, &p.payload) ||
		!kz_message_get(msg, function, "success route", on_reply, &reply_route) ||
		!kz_message_get(msg, function, "error route", on_failure, &failure_route) ||
		!kb_suspend_find_routes(function, reply_route, failure_route, &s))
		return kz_request_refuse();
	int outcome = request(msg, &p, &s);
	return outcome > 0 ? IN_FLIGHT : outcome;
}

int kz_async_query5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *on_reply, char *on_failure)
{
	return kz_async_query6(msg, exchange, routing_key, payload, on_reply, on_failure, NULL);
}

int kz_async_query_kemi(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *on_reply, str *on_failure)
{
	struct kz_request_parameters p = {.exchange = kb_str_to_slice(exchange),
		.routing_key = kb_str_to_slice(routing_key),
		.payload = kb_str_to_slice(payload)};
	struct kb_suspended s = {0};
	if (!kb_suspend_is_loaded(function) ||
		!kb_suspend_find_callbacks(function, kb_str_to_slice(on_reply), kb_str_to_slice(on_failure), &s))
		return kz_request_refuse();
	return request(msg, &p, &s);
}
