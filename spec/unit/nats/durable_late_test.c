/* nats/durable: which messages have waited here for too long. */
#include "durable_scene.h"

static bool is_late(const struct scene *s, const char *delivered, int waited_ms)
{
	struct kb_buf properties = {0};
	kb_headers_add(&properties, KB_SLICE_LITERAL("delivered"), kb_slice_from(delivered));
	struct kb_message m = {.properties = kb_buf_slice(&properties)};
	bool late = kb_nats_durable_is_late(&s->d, &m, s->now - waited_ms, s->now);
	kb_buf_free(&properties);
	return late;
}

static void begin_with(struct scene *s, const char *described)
{
	begin(s, &plain);
	reply(s, 'i', described);
	CHECK(s->d.state == KB_NATS_DURABLE_PULLING);
}

static void what_is_delivered_again_already_is_passed_over(void)
{
	struct scene s;
	begin_with(&s, CONFIG(""));
	CHECK(!is_late(&s, "1", ACK_WAIT_MS));
	CHECK(is_late(&s, "1", ACK_WAIT_MS + 1));
	CHECK(is_late(&s, "1000", ACK_WAIT_MS * 2));
	end(&s);
	begin_with(&s, CONFIG(",\"max_deliver\":-1")); /* as servers write that there is no bound */
	CHECK(is_late(&s, "1000", ACK_WAIT_MS * 2));
	end(&s);
}

/* Nobody gets it any more. */
static void the_last_delivery_is_never_passed_over(void)
{
	struct scene s;
	begin_with(&s, CONFIG(",\"max_deliver\":3"));
	CHECK(is_late(&s, "2", ACK_WAIT_MS * 2));
	CHECK(!is_late(&s, "3", ACK_WAIT_MS * 2));
	CHECK(!is_late(&s, "4", ACK_WAIT_MS * 2));
	end(&s);
	begin_with(&s, CONFIG(",\"max_deliver\":1"));
	CHECK(!is_late(&s, "1", ACK_WAIT_MS * 60));
	end(&s);
}

static void a_time_that_the_server_does_not_say_is_its_default(void)
{
	static const char *const without[] = {"{\"config\":{}}", "{\"config\":{\"ack_wait\":0}}",
		"{\"config\":{\"ack_wait\":999999}}", "{\"config\":{\"ack_wait\":\"long\"}}",
		"{\"config\":{\"ack_wait\":99999999999999999999999}}", "{\"config\":{\"ack_wait\":9000000000000000}}"};
	struct scene s;
	for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
		begin_with(&s, without[i]);
		CHECK(s.d.ack_wait_ms == 30000);
		end(&s);
	}
}

int main(void)
{
	what_is_delivered_again_already_is_passed_over();
	the_last_delivery_is_never_passed_over();
	a_time_that_the_server_does_not_say_is_its_default();
	return check_failures ? 1 : 0;
}
