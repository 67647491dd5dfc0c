/* The nats module: the names that configurations use, and the callbacks of the core. */
#include <core/kemi.h>

#include "kamailio/glue/deep_bind.h"
#include "kamailio/glue/fixup.h"
#include "kamailio/glue/log_sink.h"
#include "kamailio/glue/message_pv.h"
#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/nats/async.h"
#include "kamailio/nats/broker.h"
#include "kamailio/nats/delivery.h"
#include "kamailio/nats/event.h"
#include "kamailio/nats/kv.h"
#include "kamailio/nats/publish.h"
#include "kamailio/nats/reply.h"
#include "kamailio/nats/request.h"
#include "kamailio/nats/requester.h"
#include "kamailio/nats/respond.h"
#include "kamailio/nats/rpc.h"
#include "kamailio/nats/security.h"
#include "kamailio/nats/settings.h"
#include "kamailio/nats/stats.h"
#include "kamailio/nats/stream.h"
#include "kamailio/nats/verdict.h"

MODULE_VERSION

static cmd_export_t functions[] = {
	{"nats_publish", KB_FUNCTION(kn_publish2), 2, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_publish", KB_FUNCTION(kn_publish3), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_publish", KB_FUNCTION(kn_publish4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_request", KB_FUNCTION(kn_request3), 3, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"nats_request", KB_FUNCTION(kn_request4), 4, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"nats_request", KB_FUNCTION(kn_request5), 5, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"nats_request_async", KB_FUNCTION(kn_async_request4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_request_async", KB_FUNCTION(kn_async_request5), 5, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_request_async", KB_FUNCTION(kn_async_request6), 6, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_kv_get", KB_FUNCTION(kn_kv_get), 3, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"nats_kv_put", KB_FUNCTION(kn_kv_put), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_kv_create", KB_FUNCTION(kn_kv_create), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_kv_update", KB_FUNCTION(kn_kv_update), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_kv_delete", KB_FUNCTION(kn_kv_delete2), 2, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_kv_delete", KB_FUNCTION(kn_kv_delete3), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_respond", KB_FUNCTION(kn_respond1), 1, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_respond", KB_FUNCTION(kn_respond2), 2, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_js_publish", KB_FUNCTION(kn_stream_publish2), 2, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_js_publish", KB_FUNCTION(kn_stream_publish3), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_js_publish_wait", KB_FUNCTION(kn_stream_publish_wait3), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_js_publish_wait", KB_FUNCTION(kn_stream_publish_wait4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_ack", KB_FUNCTION(kn_verdict_ack), 0, 0, 0, ANY_ROUTE},
	{"nats_nak", KB_FUNCTION(kn_verdict_nak0), 0, 0, 0, ANY_ROUTE},
	{"nats_nak", KB_FUNCTION(kn_verdict_nak1), 1, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"nats_term", KB_FUNCTION(kn_verdict_term), 0, 0, 0, ANY_ROUTE},
	{"nats_progress", KB_FUNCTION(kn_verdict_progress), 0, 0, 0, ANY_ROUTE},
	{0, 0, 0, 0, 0, 0},
};

static pv_export_t variables[] = {
	{{"natsData", 8}, PVT_OTHER, kn_delivery_pv_data, 0, 0, 0, 0, 0},
	{{"natsSubject", 11}, PVT_OTHER, kn_delivery_pv_subject, 0, 0, 0, 0, 0},
	{{"natsReply", 9}, PVT_OTHER, kn_delivery_pv_reply, 0, 0, 0, 0, 0},
	{{"natsHdr", 7}, PVT_OTHER, kn_delivery_pv_header, 0, kb_message_pv_parse_name, 0, 0, 0},
	{{"natsProp", 8}, PVT_OTHER, kn_delivery_pv_property, 0, kb_message_pv_parse_name, 0, 0, 0},
	{{"natsAnswer", 10}, PVT_OTHER, kn_reply_pv, 0, 0, 0, 0, 0},
	{{"natsAnswerHdr", 13}, PVT_OTHER, kn_reply_pv_header, 0, kb_message_pv_parse_name, 0, 0, 0},
	{{"natsAnswerStatus", 16}, PVT_OTHER, kn_reply_pv_status, 0, 0, 0, 0, 0},
	{{"natsValue", 9}, PVT_OTHER, kn_kv_pv_value, 0, 0, 0, 0, 0},
	{{"natsRevision", 12}, PVT_OTHER, kn_kv_pv_revision, 0, 0, 0, 0, 0},
	{{"natsError", 9}, PVT_OTHER, kn_reply_pv_error, 0, 0, 0, 0, 0},
	{{0, 0}, 0, 0, 0, 0, 0, 0, 0},
};

#define KEMI(name, function, ...)                                                                                      \
	{                                                                                                                  \
		str_init("nats"), str_init(name), SR_KEMIP_INT, (void *)function, __VA_ARGS__                                  \
	}
static sr_kemi_t kemi[] = {
	KEMI("publish", kn_publish_kemi, {SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("publish_request", kn_publish_kemi_request, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("publish_headers", kn_publish_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("request", kn_request_kemi, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}),
	KEMI("request_headers", kn_request_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT, SR_KEMIP_STR}),
	KEMI(
		"request_async", kn_async_request_kemi, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}),
	KEMI("kv_get", kn_kv_kemi_get, {SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kv_put", kn_kv_kemi_put, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kv_create", kn_kv_kemi_create, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kv_update", kn_kv_kemi_update, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kv_delete", kn_kv_kemi_delete, {SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kv_delete_revision", kn_kv_kemi_delete_revision, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("respond", kn_respond_kemi, {SR_KEMIP_STR}),
	KEMI("respond_headers", kn_respond_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("js_publish", kn_stream_publish_kemi, {SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("js_publish_headers", kn_stream_publish_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("js_publish_wait", kn_stream_publish_kemi_wait, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}),
	KEMI("js_publish_wait_headers", kn_stream_publish_kemi_wait_headers,
		{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT, SR_KEMIP_STR}),
	KEMI("ack", kn_verdict_ack_kemi, {0}),
	KEMI("nak", kn_verdict_nak_kemi, {SR_KEMIP_INT}),
	KEMI("term", kn_verdict_term_kemi, {0}),
	KEMI("progress", kn_verdict_progress_kemi, {0}),
	{{0, 0}, {0, 0}, 0, NULL, {0}},
};

static int mod_init(void)
{
	kb_log_sink_install();
	if (!kn_settings_check() || !kn_broker_check() || !kn_security_check() || !kn_event_check_policy() ||
		!kn_stats_register() || !kn_rpc_register() || !kb_policy_reload_init())
		return -1;
	kb_process_announce(kn_settings()->publish_workers + (int)kn_settings()->n_subscriptions + kn_async_processes() +
						kn_requester_processes() + KN_STREAM_PROCESSES);
	return 0;
}

static int child_init(int rank)
{
	if (rank == PROC_INIT)
		return kn_publish_init() && kn_async_init() && kn_requester_init(kn_async_is_wanted()) && kn_stream_init() &&
					   kn_stats_init()
				   ? 0
				   : -1;
	if (rank != PROC_MAIN)
		return 0;
	return kn_event_fork() && kn_publish_fork() && kn_async_fork() && kn_requester_fork() && kn_stream_fork() ? 0 : -1;
}

struct module_exports exports = {
	.name = "nats",
	.cmds = functions,
	.params = kn_parameters,
	.pv_items = variables,
	.init_mod_f = mod_init,
	.init_child_f = child_init,
};

int mod_register(char *path, int *dlflags, void *reserved1, void *reserved2)
{
	(void)path, (void)reserved1, (void)reserved2;
	if (!kb_deep_bind_ensure(dlflags))
		return 0;
	return sr_kemi_modules_add(kemi);
}
