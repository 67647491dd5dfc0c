/* nats_js_consumer: stream=NAME;durable=NAME;... */
#include "kamailio/nats/consumer.h"

#include <core/dprint.h>

#include <limits.h>
#include <string.h>

#include "core/message.h"
#include "core/number.h"
#include "nats/subject.h"

static bool take_number(const char *name, struct kb_slice value, int *to)
{
	uint64_t n;
	if (kb_number_read(value, INT_MAX, &n) && n > 0) {
		*to = (int)n;
		return true;
	}
	LM_ERR("nats_js_consumer: %s=%.*s must be a positive number\n", name, KB_SLICE_FMT(value));
	return false;
}

struct consumer_text {
	const char *stream, *durable, *filter, *deliver, *event;
};

static bool take_field(struct kb_slice name, struct kb_slice value, struct consumer_text *text, struct kb_durable *d)
{
	const struct {
		const char *name;
		const char **text;
		int *number;
	} fields[] = {{"stream", &text->stream, NULL}, {"durable", &text->durable, NULL}, {"filter", &text->filter, NULL},
		{"deliver", &text->deliver, NULL}, {"event", &text->event, NULL}, {"ack_wait", NULL, &d->ack_wait_ms},
		{"max_deliver", NULL, &d->max_deliver}, {"max_ack_pending", NULL, &d->max_ack_pending}};
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		if (!kb_slice_equal(name, kb_slice_from(fields[i].name)))
			continue;
		if (fields[i].number)
			return take_number(fields[i].name, value, fields[i].number);
		*fields[i].text = strndup(value.p, value.n);
		return *fields[i].text != NULL;
	}
	LM_ERR("nats_js_consumer: unknown field \"%.*s\", expected stream, durable, filter, deliver, ack_wait, "
		   "max_deliver, max_ack_pending or event\n",
		KB_SLICE_FMT(name));
	return false;
}

static bool is_deliver_policy(const char *deliver)
{
	static const char *const all[] = {"all", "new", "last", "last_per_subject"};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(deliver, all[i]) == 0)
			return true;
	LM_ERR("nats_js_consumer: deliver=%s must be all, new, last or last_per_subject\n", deliver);
	return false;
}

static const char *fault_of(const struct consumer_text *t)
{
	if (!t->stream || !t->durable)
		return "must name a stream and a durable consumer: stream=NAME;durable=NAME";
	if (kb_nats_subject_word_fault(kb_slice_from(t->stream)) || kb_nats_subject_word_fault(kb_slice_from(t->durable)))
		return "names of streams and consumers must not contain dots, wildcards or spaces";
	if (!t->filter && t->deliver && strcmp(t->deliver, "last_per_subject") == 0)
		return "deliver=last_per_subject needs a filter";
	return t->filter ? kb_nats_subject_pattern_fault(kb_slice_from(t->filter)) : NULL;
}

static bool read_fields(const char *value, struct consumer_text *text, struct kb_durable *d)
{
	struct kb_buf fields = {0};
	struct kb_slice bad, rest, name, field;
	bool good = kb_headers_parse(kb_slice_from(value), &fields, &bad);
	if (!good)
		LM_ERR("nats_js_consumer: \"%.*s\" is not of the form field=value\n", KB_SLICE_FMT(bad));
	rest = kb_buf_slice(&fields);
	while (good && kb_headers_next(&rest, &name, &field))
		good = take_field(name, field, text, d);
	kb_buf_free(&fields);
	return good;
}

bool kn_consumer_read(const char *value, struct kb_durable *durable, const char **event)
{
	struct consumer_text text = {0};
	*durable = (struct kb_durable){0};
	if (!read_fields(value, &text, durable))
		return false;
	const char *fault = fault_of(&text);
	if (fault)
		LM_ERR("nats_js_consumer: \"%s\": %s\n", value, fault);
	if (fault || (text.deliver && !is_deliver_policy(text.deliver)))
		return false;
	durable->stream = text.stream;
	durable->name = text.durable;
	durable->filter = text.filter;
	durable->deliver = text.deliver;
	*event = text.event ? text.event : text.filter ? text.filter : text.stream;
	return true;
}
