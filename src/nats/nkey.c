#include "nats/nkey.h"

#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <string.h>

enum {
	KEY_BYTES = 32,
	SEED_BYTES = 2 + KEY_BYTES + 2, /* two of prefix, two of checksum */
	PUBLIC_BYTES = 1 + KEY_BYTES + 2,
	PREFIX_SEED = 18 << 3, /* 'S' */
	PREFIX_USER = 20 << 3, /* 'U' */
	SIGNATURE_BYTES = 64
};

static const char alphabet[] = KB_NATS_NKEY_DIGITS;

/* -- base32 and checksum -- */

static size_t base32_decode(struct kb_slice text, unsigned char *to, size_t size)
{
	unsigned bits = 0, value = 0;
	size_t n = 0;
	for (size_t i = 0; i < text.n; i++) {
		const char *c = memchr(alphabet, text.p[i], sizeof alphabet - 1);
		if (!c)
			return 0;
		value = value << 5 | (unsigned)(c - alphabet);
		bits += 5;
		if (bits >= 8 && n < size) {
			bits -= 8;
			to[n++] = (unsigned char)(value >> bits);
		}
	}
	return n;
}

static void base32_encode(const unsigned char *bytes, size_t n, struct kb_buf *to)
{
	unsigned bits = 0, value = 0;
	for (size_t i = 0; i < n; i++) {
		value = value << 8 | bytes[i];
		for (bits += 8; bits >= 5; bits -= 5)
			kb_buf_append_byte(to, alphabet[value >> (bits - 5) & 31]);
	}
	if (bits)
		kb_buf_append_byte(to, alphabet[value << (5 - bits) & 31]);
}

/* CRC-16/XMODEM, as the format asks for. */
static unsigned crc16(const unsigned char *bytes, size_t n)
{
	unsigned crc = 0;
	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned)bytes[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xffff;
	}
	return crc;
}

/* -- keys -- */

/* Fills the private key of a seed. NULL, or what is wrong with the seed. */
static const char *seed_key(struct kb_slice seed, unsigned char key[KEY_BYTES])
{
	unsigned char raw[SEED_BYTES];
	const char *fault = NULL;
	if (seed.n != KB_NATS_NKEY_SEED_CHARS || base32_decode(seed, raw, sizeof raw) != sizeof raw)
		fault = "not an nkey seed of 58 base32 characters";
	else if (crc16(raw, SEED_BYTES - 2) != (raw[SEED_BYTES - 2] | (unsigned)raw[SEED_BYTES - 1] << 8))
		fault = "the seed has a wrong checksum";
	else if ((raw[0] & 0xf8) != PREFIX_SEED || ((raw[0] & 7) << 5 | (raw[1] & 0xf8) >> 3) != PREFIX_USER)
		fault = "the seed does not belong to a user (SU...)";
	else
		memcpy(key, raw + 2, KEY_BYTES);
	explicit_bzero(raw, sizeof raw);
	return fault;
}

const char *kb_nats_nkey_public(struct kb_slice seed, struct kb_buf *to)
{
	unsigned char raw[PUBLIC_BYTES] = {PREFIX_USER}, key[KEY_BYTES];
	const char *fault = seed_key(seed, key);
	if (fault)
		return fault;
	ed25519_sha512_public_key(raw + 1, key);
	explicit_bzero(key, sizeof key);
	unsigned crc = crc16(raw, 1 + KEY_BYTES);
	raw[PUBLIC_BYTES - 2] = (unsigned char)crc;
	raw[PUBLIC_BYTES - 1] = (unsigned char)(crc >> 8);
	base32_encode(raw, sizeof raw, to);
	return NULL;
}

static void append_base64url(const unsigned char *bytes, size_t n, struct kb_buf *to)
{
	struct base64_encode_ctx context;
	char text[BASE64_ENCODE_LENGTH(SIGNATURE_BYTES)], rest[BASE64_ENCODE_FINAL_LENGTH];
	base64url_encode_init(&context);
	kb_buf_append(to, text, base64_encode_update(&context, text, n, bytes));
	size_t more = base64_encode_final(&context, rest);
	while (more && rest[more - 1] == '=')
		more--;
	kb_buf_append(to, rest, more);
}

const char *kb_nats_nkey_sign(struct kb_slice seed, struct kb_slice text, struct kb_buf *to)
{
	unsigned char key[KEY_BYTES], public_key[KEY_BYTES], signature[SIGNATURE_BYTES];
	const char *fault = seed_key(seed, key);
	if (fault)
		return fault;
	ed25519_sha512_public_key(public_key, key);
	ed25519_sha512_sign(public_key, key, text.n, (const unsigned char *)text.p, signature);
	explicit_bzero(key, sizeof key);
	append_base64url(signature, sizeof signature, to);
	return NULL;
}
