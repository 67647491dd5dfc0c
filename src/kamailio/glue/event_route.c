#include "kamailio/glue/event_route.h"

#include <core/action.h>
#include <core/dprint.h>
#include <core/dset.h>
#include <core/flags.h>
#include <core/fmsg.h>
#include <core/kemi.h>
#include <core/mod_fix.h>
#include <core/parser/msg_parser.h>
#include <core/receive.h>
#include <core/route.h>
#include <core/usr_avp.h>
#include <core/xavp.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kamailio/glue/python_error.h"

/* A parsed faked request, kept between events, and a copy of it from before any route changed it. */
static struct sip_msg request, untouched;
static bool have_request;

int kb_event_route_index(const char *name, void *context)
{
	(void)context;
	int index = route_lookup(&event_rt, (char *)(uintptr_t)name);
	return index >= 0 && event_rt.rlist[index] ? index : -1;
}

static bool make_request(void)
{
	if (have_request)
		free_sip_msg(&request);
	have_request = faked_msg_get_new(&request) == 0;
	memcpy(&untouched, &request, sizeof request);
	return have_request;
}

/* Parsing costs more than most routes do, so the request is made again only after a route has changed it. */
static struct sip_msg *fresh_request(void)
{
	if ((!have_request || memcmp(&request, &untouched, sizeof request) != 0) && !make_request())
		return NULL;
	clear_branches();
	request.id = untouched.id = faked_msg_next()->id; /* values cached by message id must not survive the event */
	return &request;
}

bool kb_event_route_is_faked(struct sip_msg *msg)
{
	return msg == &request || faked_msg_match(msg);
}

/* True when the route left variables behind, which must not be visible to the next event. This check costs a tenth of
 * clearing empty lists, which takes a twelfth of the time of a NATS delivery. */
static bool left_variables(void)
{
	static const avp_flags_t lists[] = {AVP_TRACK_FROM | AVP_CLASS_URI, AVP_TRACK_TO | AVP_CLASS_URI,
		AVP_TRACK_FROM | AVP_CLASS_USER, AVP_TRACK_TO | AVP_CLASS_USER, AVP_TRACK_FROM | AVP_CLASS_DOMAIN,
		AVP_TRACK_TO | AVP_CLASS_DOMAIN};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (get_avp_list(lists[i]))
			return true;
	return *xavp_get_crt_list() || *xavu_get_crt_list() || *xavi_get_crt_list();
}

/* The function of kamailio.cfg that calls a function of this engine's script. The engine's own interface for events
 * treats a function that does not exist as if it had run. NULL: the engine has no such function. */
static cmd_function caller_of(const sr_kemi_eng_t *engine)
{
	static const char *const callers[][2] = {{"lua", "lua_run"}, {"python", "python_exec"}, {"jsdt", "jsdt_run"},
		{"ruby", "ruby_run"}, {"sqlang", "sqlang_run"}};
	for (size_t i = 0; i < sizeof callers / sizeof *callers; i++)
		if (strcmp(engine->ename.s, callers[i][0]) == 0)
			return find_export((char *)(uintptr_t)callers[i][1], 2, 0);
	return NULL;
}

static gparam_t text_parameter(const char *text)
{
	return (gparam_t){.type = GPARAM_TYPE_STR, .v.str = {(char *)(uintptr_t)text, (int)strlen(text)}};
}

static int call(sr_kemi_eng_t *engine, struct sip_msg *msg, const char *callback, const char *event)
{
	static cmd_function caller;
	gparam_t name = text_parameter(callback), parameter = text_parameter(event);
	if (!caller)
		caller = caller_of(engine);
	if (!caller)
		return sr_kemi_route(engine, msg, EVENT_ROUTE, &name.v.str, &parameter.v.str);
	flag_t flags_before = getsflags();
	setsflagsval(0);
	int result = caller(msg, (char *)&name, (char *)&parameter);
	setsflagsval(flags_before);
	return result;
}

/* For Python the result is the value that the function returned. It is negative also when the function returned nothing
 * and after an error, which the engine logs. The other engines report whether the function ran. */
static bool has_failed(const sr_kemi_eng_t *engine, int result)
{
	if (result >= 0)
		return false;
	return strcmp(engine->ename.s, "python") != 0 || kb_python_error_is_missing_function();
}

static bool run_callback(struct sip_msg *msg, const char *callback, const char *event)
{
	sr_kemi_eng_t *engine = sr_kemi_eng_get();
	if (!engine)
		LM_ERR("event_callback \"%s\" is set, but the configuration has no KEMI script (cfgengine)\n", callback);
	else if (has_failed(engine, call(engine, msg, callback, event)))
		LM_ERR("event_callback \"%s\" failed for %s\n", callback, event);
	else
		return true;
	return false;
}

/* Runs the callback, or the route when there is none, and clears what routes leave behind in the process. */
static bool run(int index, const char *callback, const char *event)
{
	bool ran = true;
	struct sip_msg *msg = fresh_request();
	if (!msg) {
		LM_ERR("cannot make the faked request for an event route\n");
		return false;
	}
	int route_type_before = get_route_type();
	set_route_type(EVENT_ROUTE);
	if (callback)
		ran = run_callback(msg, callback, event);
	else
		run_top_route(event_rt.rlist[index], msg, NULL);
	set_route_type(route_type_before);
	if (left_variables())
		ksr_msg_env_reset();
	return ran;
}

void kb_event_route_run(int index)
{
	run(index, NULL, NULL);
}

bool kb_event_route_run_callback(const char *callback, const char *event)
{
	return run(-1, callback, event);
}

void kb_event_route_run_by_name(const char *callback, const char *event)
{
	int index = kb_event_route_index(event, NULL);
	if (callback && callback[0])
		kb_event_route_run_callback(callback, event);
	else if (index >= 0)
		kb_event_route_run(index);
}
