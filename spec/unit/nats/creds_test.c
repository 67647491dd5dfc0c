/* nats/creds: the seeds and JWTs that files hold. */
#include "nats/creds.h"

#include "check.h"

/* A pair that the documentation of NATS shows. */
static const char seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
static const char public_key[] = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

static bool same(struct kb_slice s, const char *text)
{
	return kb_slice_equal(s, kb_slice_from(text));
}

static void finds_what_files_hold(void)
{
	static const char creds[] =
		"-----BEGIN NATS USER JWT-----\r\nhead.claims.signature\r\n------END NATS USER JWT------\n\n"
		"IMPORTANT: keep it secret\n-----BEGIN USER NKEY SEED-----\n"
		"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n------END USER NKEY SEED------\n";
	CHECK(same(kb_nats_creds_jwt(kb_slice_from(creds)), "head.claims.signature"));
	CHECK(same(kb_nats_creds_seed(kb_slice_from(creds)), seed));
	CHECK(same(kb_nats_creds_seed(kb_slice_from(seed)), seed));
	CHECK(kb_nats_creds_seed(KB_SLICE_LITERAL("# no seed\nSU\n")).n == 0);
	CHECK(kb_nats_creds_seed(kb_slice_from(public_key)).n == 0);
	CHECK(kb_nats_creds_jwt(kb_slice_from(seed)).n == 0 && kb_nats_creds_jwt(kb_slice(NULL, 0)).n == 0);
	CHECK(kb_nats_creds_jwt(KB_SLICE_LITERAL("-----BEGIN NATS USER JWT-----\n-----END")).n == 0);
}

int main(void)
{
	finds_what_files_hold();
	return check_failures ? 1 : 0;
}
