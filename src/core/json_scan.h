/*
 * Moving through JSON text: what all readers of JSON here have in common.
 *
 * Lenient, unless the scan is strict: comments count as blanks, a quote in single quotes may be escaped, half of a
 * surrogate pair becomes U+FFFD, literals are in any case, NaN and Infinity are null. What a reader makes of the text,
 * and which structure it accepts, is its own.
 */
#ifndef KB_CORE_JSON_SCAN_H
#define KB_CORE_JSON_SCAN_H

#include "core/json.h"

/* A position in the text, the first thing found wrong with it, and the first thing in it that a copy loses. */
struct kb_json_scan {
	const char *start, *p, *end;
	int depth;
	bool strict;
	bool escaped; /* an escape was passed since this was cleared */
	struct kb_json_error error, lost;
};

struct kb_json_scan kb_json_scan_of(struct kb_slice text);

/* Notes what is wrong at s->p, unless something was before; always false. */
bool kb_json_scan_fail(struct kb_json_scan *s, const char *what);

/* Notes what a copy of the text lacks from `at` on, unless something was lost before. */
void kb_json_scan_lose(struct kb_json_scan *s, const char *what, const char *at);

/* Moves past the comment at s->p and the blanks and comments behind it; stays when it is not a complete comment. */
void kb_json_scan_comments(struct kb_json_scan *s);

static inline bool kb_json_scan_is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline void kb_json_scan_blanks(struct kb_json_scan *s)
{
	while (s->p < s->end && kb_json_scan_is_blank(*s->p))
		s->p++;
	if (s->p < s->end && *s->p == '/' && !s->strict)
		kb_json_scan_comments(s);
}

/* Moves past c; false when it is not there. */
static inline bool kb_json_scan_take(struct kb_json_scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* -- structure -- */

enum kb_json_step { KB_JSON_ITEM, KB_JSON_CLOSED, KB_JSON_BROKEN };

/* Steps to the next item inside an open bracket; a comma before the closing one is fine. */
enum kb_json_step kb_json_scan_next(struct kb_json_scan *s, char close, bool first);

/* -- strings -- */

/* True at a quote of either kind. */
bool kb_json_scan_at_string(const struct kb_json_scan *s);

/* Of eight bytes at once: the high bit of each that is a control character, not ASCII, a quote or a backslash; after
 * the first such byte there may be others that are not. (The bit tricks for a zero byte and for a byte below n.) */
static inline uint64_t kb_json_scan_special(uint64_t v)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
	uint64_t control = v - ones * 0x20;
	uint64_t quote = (v ^ ones * '"') - ones, single = (v ^ ones * '\'') - ones, slash = (v ^ ones * '\\') - ones;
	uint64_t equal = (quote & ~(v ^ ones * '"')) | (single & ~(v ^ ones * '\'')) | (slash & ~(v ^ ones * '\\'));
	return (v | ((control | equal) & ~v)) & high;
}

/* Moves past bytes that need no thought, eight at a time; what is left over is for the caller's own test. */
static inline const char *kb_json_scan_plain(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t v;
		memcpy(&v, p, sizeof v);
		if (kb_json_scan_special(v))
			break;
		p += 8;
	}
	return p;
}

/* Bytes of the well-formed UTF-8 sequence (RFC 3629) of one character that is not ASCII at s->p; 0: none. */
size_t kb_json_scan_utf8(const struct kb_json_scan *s);

/* The code point of the \u escape whose digits start at s->p, which moves past it, or past both halves of a surrogate
 * pair. A half alone is U+FFFD, and -1 in a strict scan. -1: no hex digits. */
long kb_json_scan_code_point(struct kb_json_scan *s);

/* Writes to `to` what the escape stands for whose backslash is before s->p, and moves past it. The number of bytes,
 * never more than those of the escape; 0 when JSON has no such escape. */
size_t kb_json_scan_escape(struct kb_json_scan *s, char to[4]);

/* -- numbers and literals -- */

struct kb_json_number {
	const char *whole, *whole_end; /* the digits before a point or exponent, leading zeros included; may be none */
	const char *end;               /* where an exponent without digits begins, else behind the number */
	bool bare_point;               /* no digit comes behind the point */
};

/* Moves past the number at s->p. False when it is not a number; s->error says why. Unless the scan is strict, digits
 * may lack behind a point and in an exponent. */
bool kb_json_scan_number(struct kb_json_scan *s, struct kb_json_number *number);

/* True at a byte that a number begins with; -Infinity is a literal. */
static inline bool kb_json_scan_at_number(const struct kb_json_scan *s)
{
	if (s->p < s->end && *s->p == '-')
		return s->strict || s->end - s->p < 2 || (s->p[1] | 32) != 'i';
	return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* Moves past true, false or null, which NaN and Infinity are too: its type, or KB_JSON_NONE. */
enum kb_json_type kb_json_scan_literal(struct kb_json_scan *s);

#endif
