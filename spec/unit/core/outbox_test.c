/* core/outbox between two processes: every message once, in order, none lost to sleep; and why it refuses some. */
#include "core/outbox.h"

#include <unistd.h>
#include "lanes.h"

/* -- a writer that retries when it is full, a reader that sleeps when it is empty -- */

static bool outbox_ready(void *ring)
{
	return !kb_ring_empty(ring);
}

static void write_to_outbox(struct kb_outbox *outbox, size_t writer)
{
	unsigned char bytes[1024];
	for (uint32_t i = 0; i < MESSAGES;) {
		struct kb_message m = {.key = KB_SLICE_LITERAL("key"), .payload = kb_slice(bytes, payload_of(i, bytes))};
		if (kb_outbox_put(outbox, writer, &m) == KB_OUTBOX_ACCEPTED)
			i++;
		else
			usleep(1); /* the reader has to run */
	}
}

static void read_outbox(struct kb_outbox *outbox)
{
	struct kb_ring *ring = kb_outbox_ring(outbox, 0);
	uint64_t cursor = kb_ring_cursor(ring);
	for (uint32_t i = 0; i < MESSAGES;) {
		struct kb_message m;
		struct kb_record *record = kb_ring_next(ring, &cursor);
		if (!record) {
			if (sleep_on(kb_outbox_wake(outbox, 0), outbox_ready, ring))
				continue;
			CHECK(!"the writer woke nobody");
			return;
		}
		CHECK(kb_message_decode(record->data, record->size, &m));
		CHECK(is_payload_of(i, m.payload) && kb_slice_equal(m.key, KB_SLICE_LITERAL("key")));
		kb_ring_settle(ring, record, KB_DONE);
		i++;
	}
	CHECK(kb_ring_empty(ring));
}

static void carries_an_outbox_between_processes(void)
{
	struct kb_outbox *outbox = kb_outbox_create(1, 16384, 1);
	pid_t child = fork();
	if (child == 0) {
		write_to_outbox(outbox, 0);
		_exit(check_failures);
	}
	read_outbox(outbox);
	end_child(child);
	CHECK(kb_outbox_totals(outbox).accepted == MESSAGES);
	CHECK(kb_outbox_totals(outbox).bytes_used == 0);
	CHECK(kb_outbox_totals(outbox).bytes_high <= 16384);
	kb_outbox_destroy(outbox);
}

static void says_why_an_outbox_refuses(void)
{
	struct kb_outbox *outbox = kb_outbox_create(3, 4096, 2);
	static char bytes[4096];
	struct kb_message m = {.payload = kb_slice(bytes, 100)};
	struct kb_message large = {.payload = kb_slice(bytes, kb_outbox_message_max(outbox) + 1)};
	uint64_t accepted = 0;
	while (kb_outbox_room(outbox, 1, &m) == KB_OUTBOX_ACCEPTED) {
		CHECK(kb_outbox_put(outbox, 1, &m) == KB_OUTBOX_ACCEPTED);
		accepted++;
	}
	CHECK(accepted > 10);
	CHECK(kb_outbox_put(outbox, 1, &m) == KB_OUTBOX_FULL);
	CHECK(kb_outbox_put(outbox, 1, &large) == KB_OUTBOX_TOO_LARGE);
	CHECK(kb_outbox_room(outbox, 1, &large) == KB_OUTBOX_TOO_LARGE);
	CHECK(kb_outbox_put(outbox, 2, &m) == KB_OUTBOX_ACCEPTED); /* a ring for each writer */
	CHECK(kb_outbox_wake(outbox, 0) != kb_outbox_wake(outbox, 1));
	struct kb_outbox_totals totals = kb_outbox_totals(outbox);
	CHECK(totals.accepted == accepted + 1 && totals.refused == 4 && totals.too_large == 2);
	CHECK(totals.bytes_used > accepted * 100 && totals.bytes_high <= 4096);
	kb_outbox_destroy(outbox);
	kb_outbox_destroy(NULL);
}

int main(void)
{
	carries_an_outbox_between_processes();
	says_why_an_outbox_refuses();
	return check_failures ? 1 : 0;
}
