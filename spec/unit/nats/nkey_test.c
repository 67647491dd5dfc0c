/* nats/nkey: the public keys of seeds, and signatures that nats.c makes of the same. */
#include "nats/nkey.h"

#include <nats/nats.h>
#include <stdlib.h>

#include "check.h"
#include "nats/base64.h"

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

static void signs_as_others_do(void)
{
	struct kb_buf signature = {0}, ours = {0};
	unsigned char *theirs = NULL;
	int n = 0;
	CHECK(!kb_nats_nkey_sign(kb_slice_from(seed), KB_SLICE_LITERAL("a nonce"), &signature));
	CHECK(nats_Open(-1) == NATS_OK);
	CHECK(nats_Sign(seed, "a nonce", &theirs, &n) == NATS_OK && n == 64);
	CHECK(signature.n == 86); /* without padding */
	for (size_t i = 0; i < signature.n; i++)
		signature.p[i] = signature.p[i] == '-' ? '+' : signature.p[i] == '_' ? '/' : signature.p[i];
	CHECK(kb_nats_base64_decode(kb_buf_slice(&signature), &ours) && ours.n == 64);
	CHECK(theirs && ours.p && memcmp(ours.p, theirs, 64) == 0);
	free(theirs);
	nats_Close();
	kb_buf_free(&signature);
	kb_buf_free(&ours);
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
