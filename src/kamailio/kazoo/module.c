/* The kazoo module: the names that configurations use, and the callbacks of the core. */
#include <core/dprint.h>
#include <core/kemi.h>

#include "kamailio/glue/deep_bind.h"
#include "kamailio/glue/fixup.h"
#include "kamailio/glue/log_sink.h"
#include "kamailio/glue/message_pv.h"
#include "kamailio/glue/policy_reload.h"
#include "kamailio/glue/process.h"
#include "kamailio/glue/script.h"
#include "kamailio/kazoo/async.h"
#include "kamailio/kazoo/brokers.h"
#include "kamailio/kazoo/delivery.h"
#include "kamailio/kazoo/encode.h"
#include "kamailio/kazoo/event.h"
#include "kamailio/kazoo/inboxes.h"
#include "kamailio/kazoo/json.h"
#include "kamailio/kazoo/message.h"
#include "kamailio/kazoo/mod_init.h"
#include "kamailio/kazoo/publish.h"
#include "kamailio/kazoo/query.h"
#include "kamailio/kazoo/request.h"
#include "kamailio/kazoo/requester.h"
#include "kamailio/kazoo/rpc.h"
#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/stats.h"
#include "kamailio/kazoo/subscribe.h"
#include "kamailio/kazoo/transformations.h"
#include "kamailio/kazoo/zones.h"

MODULE_VERSION

static cmd_export_t functions[] = {
	{"kazoo_publish", KB_FUNCTION(kz_publish3), 3, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_publish", KB_FUNCTION(kz_publish4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_publish", KB_FUNCTION(kz_publish5), 5, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_publish_wait", KB_FUNCTION(kz_publish_wait4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_publish_wait", KB_FUNCTION(kz_publish_wait5), 5, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_publish_wait", KB_FUNCTION(kz_publish_wait6), 6, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_query", KB_FUNCTION(kz_query3), 3, kz_query_fixup, kz_query_fixup_free, ANY_ROUTE},
	{"kazoo_query", KB_FUNCTION(kz_query4), 4, kz_query_fixup, kz_query_fixup_free, ANY_ROUTE},
	{"kazoo_query", KB_FUNCTION(kz_query5), 5, kz_query_fixup, kz_query_fixup_free, ANY_ROUTE},
	{"kazoo_async_query", KB_FUNCTION(kz_async_query5), 5, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_async_query", KB_FUNCTION(kz_async_query6), 6, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_query_async", KB_FUNCTION(kz_async_query5), 5, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_query_async", KB_FUNCTION(kz_async_query6), 6, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_subscribe", KB_FUNCTION(kz_subscribe1), 1, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_subscribe", KB_FUNCTION(kz_subscribe4), 4, kb_fixup_text, kb_fixup_text_free, ANY_ROUTE},
	{"kazoo_ack", kz_delivery_ack, 0, NULL, NULL, ANY_ROUTE},
	{"kazoo_reject", kz_delivery_reject, 0, NULL, NULL, ANY_ROUTE},
	{"kazoo_requeue", kz_delivery_requeue, 0, NULL, NULL, ANY_ROUTE},
	{"kazoo_json", KB_FUNCTION(kz_json), 3, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"kazoo_json_keys", KB_FUNCTION(kz_json_keys), 3, kb_fixup_text_target3, kb_fixup_text_target3_free, ANY_ROUTE},
	{"kazoo_encode", KB_FUNCTION(kz_encode), 2, kb_fixup_text_target2, kb_fixup_text_target2_free, ANY_ROUTE},
	{0, 0, 0, 0, 0, 0},
};

static pv_export_t variables[] = {
	{{"kzE", 3}, PVT_OTHER, kz_delivery_pv_payload, 0, 0, 0, 0, 0},
	{{"kzEx", 4}, PVT_OTHER, kz_delivery_pv_exchange, 0, 0, 0, 0, 0},
	{{"kzHdr", 5}, PVT_OTHER, kz_delivery_pv_header, 0, kb_message_pv_parse_name, 0, 0, 0},
	{{"kzProp", 6}, PVT_OTHER, kz_delivery_pv_property, 0, kb_message_pv_parse_name, 0, 0, 0},
	{{"kzQueue", 7}, PVT_OTHER, kz_delivery_pv_queue, 0, 0, 0, 0, 0},
	{{"kzR", 3}, PVT_OTHER, kz_request_pv_result, 0, 0, 0, 0, 0},
	{{"kzRK", 4}, PVT_OTHER, kz_delivery_pv_routing_key, 0, 0, 0, 0, 0},
	{{"kzRedelivered", 13}, PVT_OTHER, kz_delivery_pv_redelivered, 0, 0, 0, 0, 0},
	{{0, 0}, 0, 0, 0, 0, 0, 0, 0},
};

static tr_export_t transformations[] = {
	{{"kz", 2}, kz_transformations_parse},
	{{0, 0}, 0},
};

#define KEMI(name, function, ...)                                                                                      \
	{                                                                                                                  \
		str_init("kazoo"), str_init(name), SR_KEMIP_INT, (void *)function, __VA_ARGS__                                 \
	}
static sr_kemi_t kemi[] = {
	KEMI("kazoo_publish", kz_publish_kemi, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_publish_headers", kz_publish_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_publish_properties", kz_publish_kemi_properties,
		{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_publish_wait", kz_publish_kemi_wait, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_INT}),
	KEMI("kazoo_publish_wait_properties", kz_publish_kemi_wait_properties,
		{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_query", kz_query_kemi, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_query_headers", kz_query_kemi_headers, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_async_query", kz_async_query_kemi,
		{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_query_async", kz_async_query_kemi,
		{SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	KEMI("kazoo_ack", kz_delivery_ack_kemi, {0}),
	KEMI("kazoo_reject", kz_delivery_reject_kemi, {0}),
	KEMI("kazoo_requeue", kz_delivery_requeue_kemi, {0}),
	KEMI("kazoo_subscribe", kz_subscribe_kemi, {SR_KEMIP_STR}),
	KEMI("kazoo_subscribe_simple", kz_subscribe_kemi_simple, {SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR}),
	{{0, 0}, {0, 0}, 0, NULL, {0}},
};

static int mod_init(void)
{
	kb_log_sink_install();
	if (!kz_settings_check() || !kz_event_check_policy() || !kz_brokers_check() || !kz_zones_check() ||
		!kz_inboxes_init() || !kz_request_check() || !kz_query_check() || !kz_message_check() || !kz_stats_register() ||
		!kz_rpc_register() || !kb_policy_reload_init())
		return -1;
	kb_process_announce(kz_settings()->workers + kz_async_processes() + kz_brokers_processes());
	return 0;
}

static int child_init(int rank)
{
	if (rank == PROC_INIT)
		return kz_message_init() && kz_requester_init((size_t)kz_async_processes()) && kz_async_init() &&
					   kz_stats_init()
				   ? 0
				   : -1;
	if (rank != PROC_MAIN)
		return 0;
	kz_mod_init_run();
	return kz_event_fork() && kz_async_fork() && kz_brokers_fork() ? 0 : -1;
}

struct module_exports exports = {
	.name = "kazoo",
	.cmds = functions,
	.params = kz_parameters,
	.pv_items = variables,
	.init_mod_f = mod_init,
	.init_child_f = child_init,
};

int mod_register(char *path, int *dlflags, void *reserved1, void *reserved2)
{
	(void)reserved1, (void)reserved2;
	if (!kb_deep_bind_ensure(dlflags))
		return 0;
	if (register_trans_mod(path, transformations) < 0)
		return -1;
	return sr_kemi_modules_add(kemi);
}
