#include "kamailio/kazoo/inboxes.h"

#include <core/dprint.h>

#include <poll.h>

#include "kamailio/kazoo/settings.h"
#include "kamailio/kazoo/zones.h"

/* by kz_source, then by zone */
static struct kb_inbox *inboxes[2 * KZ_ZONES_MAX + 1];
static size_t n_inboxes;

enum { LARGEST_MIN = (32 << 20) - 4096 /* bytes: of a message that is delivered whatever the parameters say */ };

/* What kazoo_publish sends, a worker must be able to receive. The message is a little longer here. */
static struct kb_inbox_size inbox_size(void)
{
	size_t largest = (size_t)kz_settings()->outbox_bytes / 2 + LARGEST_MIN / 64;
	return (struct kb_inbox_size){
		.bound = (size_t)kz_settings()->inbox_bytes, .largest = largest > LARGEST_MIN ? largest : LARGEST_MIN};
}

bool kz_inboxes_init(void)
{
	struct kb_inbox_size size = inbox_size();
	for (n_inboxes = 0; n_inboxes < 2 * kz_zones() + 1; n_inboxes++) {
		inboxes[n_inboxes] = n_inboxes ? kb_inbox_create_beside(inboxes[0], size)
									   : kb_inbox_create((size_t)kz_settings()->workers, size);
		if (!inboxes[n_inboxes]) {
			LM_ERR("amqp_inbox_size: cannot allocate shared memory for %d rings of %zu bytes\n", kz_settings()->workers,
				size.bound);
			return false;
		}
	}
	return true;
}

struct kb_inbox *kz_inboxes_get(enum kz_source source, size_t zone)
{
	return inboxes[(size_t)source * kz_zones() + zone];
}

struct kb_record *kz_inboxes_next(size_t worker, struct kb_inbox **from, struct kb_message *m)
{
	static size_t turn; /* each worker is a process of its own */
	for (size_t i = 0; i < n_inboxes; i++) {
		turn = (turn + 1) % n_inboxes;
		*from = inboxes[turn];
		struct kb_record *record = kb_inbox_next(*from, worker, m);
		if (record)
			return record;
	}
	return NULL;
}

static bool has_next(size_t worker)
{
	for (size_t i = 0; i < n_inboxes; i++)
		if (kb_inbox_has_next(inboxes[i], worker))
			return true;
	return false;
}

void kz_inboxes_wait(size_t worker, int timeout_ms)
{
	struct kb_wake *wake = kb_inbox_worker_wake(inboxes[0], worker); /* one for all inboxes */
	kb_wake_arm(wake);
	if (!has_next(worker)) {
		struct pollfd p = {kb_wake_fd(wake), POLLIN, 0};
		poll(&p, 1, timeout_ms);
	}
	kb_wake_disarm(wake);
}
