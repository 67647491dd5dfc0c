/* Makes keys and JWTs of NATS for a spec: an operator, an account of its and users of that; "name value" lines.
 *
 *     nats_keys
 *
 * Formats: docs.nats.io, "NATS NKeys" and "JWTs" (version 2 claims). Nothing here is shared with what is tested. */
#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { OPERATOR = 'O' - 'A', ACCOUNT = 0, USER = 'U' - 'A', SEED = 'S' - 'A', TEXT = 2000 };

struct pair {
	unsigned char private_key[32], raw_public_key[32];
	char public_key[64], seed[64];
};

static void die(const char *what)
{
	fprintf(stderr, "nats_keys: %s\n", what);
	exit(1);
}

/* -- encodings -- */

static void base32(const unsigned char *bytes, size_t n, char *to)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	for (size_t bit = 0; bit < n * 8; bit += 5) {
		unsigned two = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < n ? bytes[bit / 8 + 1] : 0);
		*to++ = alphabet[two >> (11 - bit % 8) & 31];
	}
	*to = '\0';
}

/* CRC-16/XMODEM, low byte first, behind the bytes. */
static void add_checksum(unsigned char *bytes, size_t n)
{
	unsigned crc = 0;
	for (size_t bit = 0; bit < n * 8; bit++) {
		unsigned top = crc >> 15 ^ (bytes[bit / 8] >> (7 - bit % 8) & 1u);
		crc = (crc << 1 ^ top * 0x1021) & 0xffff;
	}
	bytes[n] = (unsigned char)crc;
	bytes[n + 1] = (unsigned char)(crc >> 8);
}

static void base64url(const void *bytes, size_t n, char *to)
{
	struct base64_encode_ctx context;
	base64url_encode_init(&context);
	char *end = to + base64_encode_update(&context, to, n, bytes);
	end += base64_encode_final(&context, end);
	while (end > to && end[-1] == '=')
		end--;
	*end = '\0';
}

/* -- keys -- */

static struct pair make_pair(unsigned kind)
{
	struct pair p;
	unsigned char public_key[35] = {(unsigned char)(kind << 3)};
	/* five bits of a letter for each: 'S', then the kind, which begins with the last three bits of the first byte */
	unsigned char seed[36] = {(unsigned char)(SEED << 3 | kind >> 2), (unsigned char)(kind << 6)};
	if (getrandom(p.private_key, sizeof p.private_key, 0) != sizeof p.private_key)
		die("cannot make a key");
	ed25519_sha512_public_key(p.raw_public_key, p.private_key);
	memcpy(public_key + 1, p.raw_public_key, 32);
	memcpy(seed + 2, p.private_key, 32);
	add_checksum(public_key, 33);
	add_checksum(seed, 34);
	base32(public_key, sizeof public_key, p.public_key);
	base32(seed, sizeof seed, p.seed);
	return p;
}

/* -- JWTs -- */

static void sign(const struct pair *by, const char *text, char *to)
{
	unsigned char signature[64];
	ed25519_sha512_sign(by->raw_public_key, by->private_key, strlen(text), (const unsigned char *)text, signature);
	base64url(signature, sizeof signature, to);
}

/* `nats` is the part of the claims that depends on what the subject is. expires_in: seconds; 0: never. */
static void print_jwt(
	const char *name, const struct pair *by, const struct pair *subject, const char *nats, long expires_in)
{
	static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}";
	char claims[TEXT], expires[40] = "", jwt[2 * TEXT], signature[100];
	long now = (long)time(NULL);
	if (expires_in)
		snprintf(expires, sizeof expires, "\"exp\":%ld,", now + expires_in);
	snprintf(claims, sizeof claims,
		"{\"jti\":\"%s\",\"iat\":%ld,%s\"iss\":\"%s\",\"name\":\"%s\",\"sub\":\"%s\",\"nats\":{%s,\"version\":2}}",
		name, now - 60, expires, by->public_key, name, subject->public_key, nats);
	base64url(header, sizeof header - 1, jwt);
	strcat(jwt, ".");
	base64url(claims, strlen(claims), jwt + strlen(jwt));
	sign(by, jwt, signature);
	printf("%s %s.%s\n", name, jwt, signature);
}

int main(void)
{
	static const char in_operator[] = "\"type\":\"operator\"";
	static const char in_account[] =
		"\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,"
		"\"conn\":-1,\"leaf\":-1},\"default_permissions\":{\"pub\":{},\"sub\":{}},\"type\":\"account\"";
	static const char in_user[] = "\"pub\":{},\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\"";
	struct pair op = make_pair(OPERATOR), account = make_pair(ACCOUNT), user = make_pair(USER);
	struct pair stranger = make_pair(USER), elsewhere = make_pair(ACCOUNT);
	print_jwt("operator_jwt", &op, &op, in_operator, 0);
	print_jwt("account_jwt", &op, &account, in_account, 0);
	print_jwt("user_jwt", &account, &user, in_user, 0);
	print_jwt("expired_jwt", &account, &user, in_user, -10);
	print_jwt("brief_jwt", &account, &user, in_user, 6);
	print_jwt("unknown_account_jwt", &elsewhere, &user, in_user, 0);
	printf("account %s\nuser %s\nuser_seed %s\n", account.public_key, user.public_key, user.seed);
	printf("stranger %s\nstranger_seed %s\n", stranger.public_key, stranger.seed);
	return 0;
}
