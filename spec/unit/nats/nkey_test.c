/* nats/nkey: the public keys of seeds, and a signature that nats.c made of the same. */
#include "nats/nkey.h"

#include "check.h"

/* A pair that the documentation of NATS shows. */
static const char seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
static const char public_key[] = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

static bool same(struct kb_slice s, const char *text)
{
	return kb_slice_equal(s, kb_slice_from(text));
}

static void knows_the_public_key(void)
{
	struct kb_buf key = {0};
	CHECK(!kb_nats_nkey_public(kb_slice_from(seed), &key));
	CHECK(same(kb_buf_slice(&key), public_key));
	kb_buf_free(&key);
}

/* Ed25519 is deterministic (RFC 8032, section 5.1.6): nats_Sign of nats.c 3.4.1 gives these bytes, as any other does.
 */
static void signs_as_others_do(void)
{
	struct kb_buf signature = {0};
	CHECK(!kb_nats_nkey_sign(kb_slice_from(seed), KB_SLICE_LITERAL("a nonce"), &signature));
	CHECK(same(kb_buf_slice(&signature),
		"kEpu5Y9mmop2LEGamb0zUCwC2hcIDiUDyA-sAindWPua-ECTydjqWoqqeEWcLZh_hLjL9vqveLD69vgknXhPCA"));
	kb_buf_free(&signature);
}

static void refuses_wrong_seeds(void)
{
	static const char *const wrong[] = {"", "SU", "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
		"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VX",
		"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3V0",
		"SAACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"};
	struct kb_buf out = {0};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		CHECK(kb_nats_nkey_public(kb_slice_from(wrong[i]), &out) != NULL);
		CHECK(kb_nats_nkey_sign(kb_slice_from(wrong[i]), KB_SLICE_LITERAL("x"), &out) != NULL);
	}
	CHECK(out.n == 0);
	kb_buf_free(&out);
}

int main(void)
{
	knows_the_public_key();
	signs_as_others_do();
	refuses_wrong_seeds();
	return check_failures ? 1 : 0;
}
