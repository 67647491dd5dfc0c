#include "nats/subscriptions.h"

#include <stdlib.h>
#include "bus/traffic.h"
#include "nats/subject.h"
#include "core/clock.h"

enum { REFUSED_S = 30 /* until a subscription is tried again */ };

static void start(struct kb_broker *b, struct kb_nats_subscription *s, int64_t now)
{
	uint64_t sid = (uint64_t)(s - b->subscriptions) + 1;
	if (s->config->durable) {
		kb_nats_durable_begin(&s->durable, s->config->durable, b->store.inbox_prefix, &b->link.out, sid, now);
		kb_traffic_subscription(b->config.traffic, s->index, s->durable.why);
		return;
	}
	kb_nats_wire_put_subscribe(
		&b->link.out, kb_slice_from(s->config->routing[0]), kb_slice_from(s->config->queue.name), sid);
	kb_traffic_subscription(b->config.traffic, s->index, NULL);
}

void kb_nats_subscriptions_report(struct kb_broker *b, const struct kb_nats_subscription *s)
{
	const struct kb_nats_durable *d = &s->durable;
	bool good = !d->why[0];
	kb_traffic_subscription(b->config.traffic, s->index, good ? NULL : d->why);
	kb_log(good ? KB_LOG_NOTICE : KB_LOG_ERROR, "nats: consumer \"%s\" of stream \"%s\": %s", d->config->name,
		d->config->stream, good ? "consuming" : d->why);
}

void kb_nats_subscriptions_tick(struct kb_broker *b, int64_t now)
{
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct kb_nats_subscription *s = &b->subscriptions[i];
		bool news = false;
		if (s->config->durable)
			kb_nats_durable_tick(&s->durable, &b->link.out, now, &news);
		if (news)
			kb_nats_subscriptions_report(b, s);
	}
}

static const char *fault_of(const struct kb_subscription *config)
{
	const struct kb_durable *d = config->durable;
	const char *group = config->queue.name, *fault;
	if (d) {
		fault = kb_nats_subject_word_fault(kb_slice_from(d->stream)) ? "the stream name is not a single word" : NULL;
		fault = kb_nats_subject_word_fault(kb_slice_from(d->name)) ? "the consumer name is not a single word" : fault;
		return d->filter && kb_nats_subject_pattern_fault(kb_slice_from(d->filter)) ? "the filter is not a subject"
																					: fault;
	}
	fault = kb_nats_subject_pattern_fault(kb_slice_from(config->n_routing ? config->routing[0] : ""));
	return !fault && *group && kb_nats_subject_fault(kb_slice_from(group)) ? "the queue group is not a subject" : fault;
}

static struct kb_nats_subscription *add_subscription(struct kb_broker *b)
{
	struct kb_nats_subscription *grown = realloc(b->subscriptions, (b->n_subscriptions + 1) * sizeof *b->subscriptions);
	if (!grown)
		return NULL;
	b->subscriptions = grown;
	return &grown[b->n_subscriptions];
}

enum kb_broker_result kb_nats_subscriptions_add(
	struct kb_broker *b, const struct kb_subscription *config, uint32_t index)
{
	if (!b->link.up)
		return KB_BROKER_LOST;
	const char *fault = fault_of(config);
	if (!fault && config->durable && !b->link.info.headers)
		fault = "stream consumers need headers, which the server does not support (no_header_support)";
	if (fault) {
		kb_log(KB_LOG_ERROR, "nats: cannot subscribe to \"%.200s\" (queue group \"%.200s\"): %s",
			config->n_routing ? config->routing[0] : "", config->queue.name, fault);
		kb_traffic_subscription(b->config.traffic, index, fault);
		return KB_BROKER_INVALID;
	}
	struct kb_nats_subscription *s = add_subscription(b);
	if (!s)
		return KB_BROKER_AGAIN;
	*s = (struct kb_nats_subscription){.config = config, .index = index};
	b->n_subscriptions++;
	start(b, s, kb_clock_ms());
	kb_nats_link_write(&b->link);
	return b->link.up ? KB_BROKER_OK : KB_BROKER_LOST;
}

static bool begins_with(struct kb_slice text, const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	return text.n >= n + m && memcmp(text.p, a, n) == 0 && memcmp(text.p + n, b, m) == 0;
}

/* `rest` follows the opening quote of the subject that was refused. */
static bool is_it(const struct kb_nats_subscription *s, struct kb_slice rest)
{
	return s->config->durable ? begins_with(rest, s->durable.inbox, ".*\"")
							  : begins_with(rest, s->config->routing[0], "\"");
}

/* For subjects of the configuration, the server's error says enough; for an inbox, what follows from it is not obvious.
 */
static void log_if_inbox(const struct kb_broker *b, const struct kb_nats_subscription *s)
{
	const char *prefix = b->store.inbox_prefix ? b->store.inbox_prefix : "_INBOX";
	const char *subject = s->config->durable ? s->durable.inbox : s->config->routing[0];
	size_t n = strlen(prefix);
	if (strncmp(subject, prefix, n) == 0 && subject[n] == '.')
		kb_log(KB_LOG_ERROR,
			"nats: cannot receive replies from %s: no permission to subscribe to \"%s%s\", allow \"%s.>\"; retrying in "
			"%d s",
			b->address, subject, s->config->durable ? ".*" : "", prefix, REFUSED_S);
}

/* The error of the server contains: Subscription to "subject". */
void kb_nats_subscriptions_note_refusal(struct kb_broker *b, struct kb_slice text, const char *what, int64_t now)
{
	static const char words[] = "ubscription to \"";
	const char *at = memmem(text.p, text.n, words, sizeof words - 1);
	if (!at)
		return;
	at += sizeof words - 1;
	struct kb_slice rest = kb_slice(at, text.n - (size_t)(at - text.p));
	if (b->store.inbox[0] && begins_with(rest, b->store.inbox, ".*\"")) {
		kb_nats_link_fail(&b->link, what); /* acknowledgements of streams could not come */
		return;
	}
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct kb_nats_subscription *s = &b->subscriptions[i];
		if (is_it(s, rest)) {
			s->retry_at = now + REFUSED_S * 1000;
			b->refused = true;
			kb_traffic_subscription(b->config.traffic, s->index, what);
			log_if_inbox(b, s);
		}
	}
}

void kb_nats_subscriptions_retry(struct kb_broker *b, int64_t now)
{
	b->refused = false;
	for (size_t i = 0; i < b->n_subscriptions; i++) {
		struct kb_nats_subscription *s = &b->subscriptions[i];
		if (s->retry_at && s->retry_at <= now) {
			s->retry_at = 0;
			start(b, s, now);
		}
		b->refused |= s->retry_at != 0;
	}
}
