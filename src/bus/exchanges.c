#include "bus/exchanges.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	DOUBTS = 64,
	KNOWN = 256,       /* a power of two */
	TRUSTED_MS = 1000, /* since a lookup found it */
	FORGET_MS = 10000, /* without a message to a missing one */
	PAUSE_MS = 100,    /* between two lookups of one that is waited for; doubles */
	PAUSE_MAX_MS = 1000
};

enum state { NONE, IN_DOUBT, LOOKUP, MISSING, THERE };

struct doubt {
	enum state state;
	uint8_t size;
	char name[KB_EXCHANGE_NAME_MAX];
	int64_t due_at;    /* IN_DOUBT */
	int64_t used_at;   /* MISSING: of the last message; THERE: of the lookup */
	int pause_ms;      /* while it is waited for */
	uint64_t *covered; /* for each writer: the messages before it were there when the lookup was sent */
	char why[300];
};

/* An exchange that took messages, and the first connection on which it did. There is one for each hash: a name that has
 * another's place takes it over. */
struct known {
	uint64_t hash; /* 0: none */
	uint64_t since;
};

struct kb_exchanges {
	size_t writers;
	int patience_ms;
	uint64_t connection; /* counts them */
	int64_t connected_at;
	size_t n; /* doubts that are not NONE */
	struct doubt *next;
	struct doubt doubts[DOUBTS];
	struct known known[KNOWN];
	uint64_t covered[]; /* writers for each doubt */
};

struct kb_exchanges *kb_exchanges_new(size_t writers, int patience_ms)
{
	struct kb_exchanges *x = calloc(1, sizeof *x + DOUBTS * writers * sizeof x->covered[0]);
	if (!x)
		return NULL;
	x->writers = writers;
	x->patience_ms = patience_ms;
	for (size_t i = 0; i < DOUBTS; i++)
		x->doubts[i].covered = x->covered + i * writers;
	return x;
}

void kb_exchanges_free(struct kb_exchanges *x)
{
	free(x);
}

/* -- those that are known -- */

static void note_known(struct kb_exchanges *x, struct kb_slice exchange, uint64_t since)
{
	uint64_t hash = kb_slice_hash(exchange);
	struct known *k = &x->known[hash & (KNOWN - 1)];
	if (k->hash != hash || since < k->since)
		*k = (struct known){hash, since};
}

void kb_exchanges_expect(struct kb_exchanges *x, struct kb_slice exchange)
{
	note_known(x, exchange, 0);
}

void kb_exchanges_used(struct kb_exchanges *x, struct kb_slice exchange)
{
	note_known(x, exchange, x->connection);
}

static bool is_awaited(const struct kb_exchanges *x, const struct known *k, uint64_t hash, int64_t now)
{
	return k->hash == hash && k->since < x->connection && now - x->connected_at < x->patience_ms;
}

/* -- those in doubt -- */

static struct kb_slice name_of(const struct doubt *d)
{
	return kb_slice(d->name, d->size);
}

static void drop(struct kb_exchanges *x, struct doubt *d)
{
	x->n -= d->state != NONE;
	d->state = NONE;
}

static bool is_over(const struct doubt *d, int64_t now)
{
	return (d->state == THERE && now - d->used_at >= TRUSTED_MS) ||
		   (d->state == MISSING && now - d->used_at >= FORGET_MS);
}

static struct doubt *find(struct kb_exchanges *x, struct kb_slice exchange)
{
	for (size_t i = 0; x->n && i < DOUBTS; i++)
		if (x->doubts[i].state != NONE && kb_slice_equal(name_of(&x->doubts[i]), exchange))
			return &x->doubts[i];
	return NULL;
}

static struct doubt *free_place(struct kb_exchanges *x, int64_t now)
{
	for (size_t i = 0; i < DOUBTS; i++) {
		if (is_over(&x->doubts[i], now))
			drop(x, &x->doubts[i]);
		if (x->doubts[i].state == NONE)
			return &x->doubts[i];
	}
	return NULL;
}

static void put_in_doubt(struct doubt *d, int64_t now)
{
	d->state = IN_DOUBT;
	d->due_at = now;
	d->pause_ms = 0;
}

bool kb_exchanges_doubt(struct kb_exchanges *x, struct kb_slice exchange, int64_t now)
{
	struct doubt *d = find(x, exchange);
	if (!d) {
		d = exchange.n <= KB_EXCHANGE_NAME_MAX ? free_place(x, now) : NULL;
		if (!d)
			return false;
		memcpy(d->name, exchange.p, exchange.n);
		d->size = (uint8_t)exchange.n;
		x->n++;
	} else if (d->state != THERE) {
		return true;
	} else if (!is_over(d, now)) {
		return false;
	}
	put_in_doubt(d, now);
	return true;
}

bool kb_exchanges_any(const struct kb_exchanges *x)
{
	return x->n > 0;
}

void kb_exchanges_connected(struct kb_exchanges *x, int64_t now)
{
	x->connection++;
	x->connected_at = now;
	for (size_t i = 0; i < DOUBTS; i++) {
		struct doubt *d = &x->doubts[i];
		if (d->state == MISSING || d->state == THERE)
			drop(x, d);
		else if (d->state == LOOKUP)
			put_in_doubt(d, now);
	}
}

enum kb_exchange_verdict kb_exchanges_verdict(
	struct kb_exchanges *x, struct kb_slice exchange, size_t writer, uint64_t end, int64_t now, const char **why)
{
	struct doubt *d = find(x, exchange);
	if (!d || d->state == THERE)
		return KB_EXCHANGE_SEND;
	if (d->state != MISSING)
		return KB_EXCHANGE_WAIT;
	d->used_at = now;
	if (end > d->covered[writer]) {
		put_in_doubt(d, now);
		return KB_EXCHANGE_WAIT;
	}
	*why = d->why;
	return KB_EXCHANGE_MISSING;
}

/* -- looking them up -- */

bool kb_exchanges_next(struct kb_exchanges *x, int64_t now, struct kb_slice *exchange)
{
	x->next = NULL;
	for (size_t i = 0; x->n && i < DOUBTS; i++) {
		struct doubt *d = &x->doubts[i];
		if (d->state == LOOKUP)
			return false;
		if (is_over(d, now))
			drop(x, d);
		if (d->state == IN_DOUBT && d->due_at <= now && (!x->next || d->due_at < x->next->due_at))
			x->next = d;
	}
	if (x->next)
		*exchange = name_of(x->next);
	return x->next != NULL;
}

void kb_exchanges_lookup_sent(struct kb_exchanges *x, const uint64_t *written)
{
	x->next->state = LOOKUP;
	memcpy(x->next->covered, written, x->writers * sizeof *written);
}

static void wait_for(struct doubt *d, int64_t now)
{
	int doubled = d->pause_ms ? d->pause_ms * 2 : PAUSE_MS;
	d->pause_ms = doubled > PAUSE_MAX_MS ? PAUSE_MAX_MS : doubled;
	d->due_at = now + d->pause_ms;
	d->state = IN_DOUBT;
}

static struct doubt *in_lookup(struct kb_exchanges *x)
{
	for (size_t i = 0; x->n && i < DOUBTS; i++)
		if (x->doubts[i].state == LOOKUP)
			return &x->doubts[i];
	return NULL;
}

bool kb_exchanges_lookup_done(struct kb_exchanges *x, bool missing, const char *why, int64_t now)
{
	struct doubt *d = in_lookup(x);
	if (!d)
		return false;
	d->used_at = now;
	if (!missing) {
		d->state = THERE;
		return false;
	}
	uint64_t hash = kb_slice_hash(name_of(d));
	struct known *k = &x->known[hash & (KNOWN - 1)];
	if (is_awaited(x, k, hash, now)) {
		wait_for(d, now);
		return true;
	}
	if (k->hash == hash)
		k->hash = 0;
	d->state = MISSING;
	snprintf(d->why, sizeof d->why, "%s", why);
	return false;
}

int kb_exchanges_until(const struct kb_exchanges *x, int64_t now, int ms)
{
	int until = ms;
	for (size_t i = 0; x->n && i < DOUBTS; i++) {
		const struct doubt *d = &x->doubts[i];
		if (d->state == LOOKUP)
			return ms; /* its result wakes us */
		if (d->state == IN_DOUBT && d->due_at < now + until)
			until = d->due_at > now ? (int)(d->due_at - now) : 0;
	}
	return until;
}
