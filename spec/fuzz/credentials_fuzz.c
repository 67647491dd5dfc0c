/* nats/creds and nats/nkey: a file that may hold a seed and a JWT. */
#include "nats/creds.h"
#include "nats/nkey.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice text = kb_slice(bytes, size), seed = kb_nats_creds_seed(text), jwt = kb_nats_creds_jwt(text);
	struct kb_buf key = {0}, signature = {0};
	MUST(lies_in(seed, text) && lies_in(jwt, text));
	MUST(!jwt.n || !memchr(jwt.p, '\n', jwt.n));
	const char *wrong = kb_nats_nkey_public(seed, &key);
	MUST((kb_nats_nkey_sign(seed, text, &signature) == NULL) == (wrong == NULL));
	MUST(wrong ? key.n == 0 && signature.n == 0 : key.n == 56 && key.p[0] == 'U' && signature.n == 86);
	kb_buf_free(&key);
	kb_buf_free(&signature);
	return 0;
}
