#include "broker/nats_nkey.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum {
	KEY_BYTES = 32,
	SEED_BYTES = 2 + KEY_BYTES + 2, /* two of prefix, two of checksum */
	PUBLIC_BYTES = 1 + KEY_BYTES + 2,
	SEED_CHARS = 58,       /* of base32 */
	PREFIX_SEED = 18 << 3, /* 'S' */
	PREFIX_USER = 20 << 3, /* 'U' */
	SIGNATURE_BYTES = 64
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* -- finding them in files -- */

static bool is_base32(struct kb_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!memchr(alphabet, s.p[i], sizeof alphabet - 1))
			return false;
	return true;
}

static struct kb_slice next_line(struct kb_slice *text)
{
	const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
	struct kb_slice line = kb_slice(text->p, end ? (size_t)(end - text->p) : text->n);
	*text = end ? kb_slice(end + 1, text->n - line.n - 1) : kb_slice(NULL, 0);
	while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = kb_slice(line.p + 1, line.n - 1);
	return line;
}

struct kb_slice kb_nats_seed_find(struct kb_slice text)
{
	while (text.n) {
		struct kb_slice line = next_line(&text);
		if (line.n == SEED_CHARS && line.p[0] == 'S' && is_base32(line))
			return line;
	}
	return kb_slice(NULL, 0);
}

struct kb_slice kb_nats_jwt_find(struct kb_slice text)
{
	bool inside = false;
	while (text.n) {
		struct kb_slice line = next_line(&text);
		if (line.n && line.p[0] == '-')
			inside = memmem(line.p, line.n, "BEGIN NATS USER JWT", 19) != NULL;
		else if (inside && line.n)
			return line;
	}
	return kb_slice(NULL, 0);
}

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

static const char *seed_key(struct kb_slice seed, EVP_PKEY **key)
{
	unsigned char raw[SEED_BYTES];
	const char *fault = NULL;
	if (seed.n != SEED_CHARS || base32_decode(seed, raw, sizeof raw) != sizeof raw)
		fault = "it is no nkey seed of 58 characters in base32";
	else if (crc16(raw, SEED_BYTES - 2) != (raw[SEED_BYTES - 2] | (unsigned)raw[SEED_BYTES - 1] << 8))
		fault = "the checksum of the seed is wrong";
	else if ((raw[0] & 0xf8) != PREFIX_SEED || ((raw[0] & 7) << 5 | (raw[1] & 0xf8) >> 3) != PREFIX_USER)
		fault = "the seed is not that of a user (SU...)";
	else if (!(*key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw + 2, KEY_BYTES)))
		fault = "OpenSSL does not take the seed";
	OPENSSL_cleanse(raw, sizeof raw);
	return fault;
}

const char *kb_nats_nkey_public(struct kb_slice seed, struct kb_buf *to)
{
	unsigned char raw[PUBLIC_BYTES] = {PREFIX_USER};
	size_t n = KEY_BYTES;
	EVP_PKEY *key = NULL;
	const char *fault = seed_key(seed, &key);
	if (!fault && EVP_PKEY_get_raw_public_key(key, raw + 1, &n) != 1)
		fault = "OpenSSL has no public key for the seed";
	EVP_PKEY_free(key);
	unsigned crc = crc16(raw, 1 + KEY_BYTES);
	raw[PUBLIC_BYTES - 2] = (unsigned char)crc;
	raw[PUBLIC_BYTES - 1] = (unsigned char)(crc >> 8);
	if (!fault)
		base32_encode(raw, sizeof raw, to);
	return fault;
}

static void append_base64url(const unsigned char *bytes, size_t n, struct kb_buf *to)
{
	unsigned char text[2 * SIGNATURE_BYTES];
	int size = EVP_EncodeBlock(text, bytes, (int)n);
	while (size > 0 && text[size - 1] == '=')
		size--;
	for (int i = 0; i < size; i++)
		kb_buf_append_byte(to, text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char)text[i]);
}

const char *kb_nats_nkey_sign(struct kb_slice seed, struct kb_slice text, struct kb_buf *to)
{
	unsigned char signature[SIGNATURE_BYTES];
	size_t n = sizeof signature;
	EVP_PKEY *key = NULL;
	const char *fault = seed_key(seed, &key);
	EVP_MD_CTX *context = fault ? NULL : EVP_MD_CTX_new();
	if (!fault && (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
					  EVP_DigestSign(context, signature, &n, (const unsigned char *)text.p, text.n) != 1))
		fault = "OpenSSL cannot sign with the seed";
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	if (!fault)
		append_base64url(signature, n, to);
	return fault;
}
