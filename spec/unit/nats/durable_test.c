/* nats/durable: which messages have waited here for too long. */
#include "nats/durable.h"

#include "net/tcp.h"
#include "check.h"
#include "core/clock.h"

enum { ACK_WAIT_MS = 1000 };

static const struct kb_durable config = {.stream = "S", .name = "D"};

/* A consumer that the server has described so, and is being pulled from. */
static void begin(struct kb_nats_durable *d, struct kb_buf *out, const char *max_deliver)
{
	char inbox[KB_NATS_INBOX_BYTES + 2], answer[200];
	bool news = false;
	kb_nats_durable_begin(d, &config, NULL, out, 1);
	snprintf(inbox, sizeof inbox, "%s.i", d->inbox);
	snprintf(answer, sizeof answer, "{\"config\":{\"durable_name\":\"D\",\"ack_wait\":%d000000%s}}", ACK_WAIT_MS,
		max_deliver);
	struct kb_message m = {.key = kb_slice_from(inbox), .payload = kb_slice_from(answer)};
	CHECK(kb_nats_durable_answer(d, &m, out, &news) && d->state == KB_NATS_PULLING);
}

static bool is_late(const struct kb_nats_durable *d, const char *delivered, int waited_ms)
{
	struct kb_buf properties = {0};
	kb_headers_add(&properties, KB_SLICE_LITERAL("delivered"), kb_slice_from(delivered));
	struct kb_message m = {.properties = kb_buf_slice(&properties)};
	bool late = kb_nats_durable_is_late(d, &m, kb_now_ms() - waited_ms);
	kb_buf_free(&properties);
	return late;
}

static void what_is_delivered_again_already_is_passed_over(void)
{
	struct kb_nats_durable d;
	struct kb_buf out = {0};
	begin(&d, &out, "");
	CHECK(!is_late(&d, "1", ACK_WAIT_MS / 2));
	CHECK(is_late(&d, "1", ACK_WAIT_MS * 2));
	CHECK(is_late(&d, "1000", ACK_WAIT_MS * 2));
	begin(&d, &out, ",\"max_deliver\":-1"); /* as servers write that there is no bound */
	CHECK(is_late(&d, "1000", ACK_WAIT_MS * 2));
	kb_buf_free(&out);
}

/* Nobody gets it any more. */
static void the_last_delivery_is_never_passed_over(void)
{
	struct kb_nats_durable d;
	struct kb_buf out = {0};
	begin(&d, &out, ",\"max_deliver\":3");
	CHECK(is_late(&d, "2", ACK_WAIT_MS * 2));
	CHECK(!is_late(&d, "3", ACK_WAIT_MS * 2));
	CHECK(!is_late(&d, "4", ACK_WAIT_MS * 2));
	begin(&d, &out, ",\"max_deliver\":1");
	CHECK(!is_late(&d, "1", ACK_WAIT_MS * 60));
	kb_buf_free(&out);
}

int main(void)
{
	what_is_delivered_again_already_is_passed_over();
	the_last_delivery_is_never_passed_over();
	return check_failures ? 1 : 0;
}
