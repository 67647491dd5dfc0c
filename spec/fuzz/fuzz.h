/* What the fuzz targets share. Each *_fuzz.c hands bytes to the readers of one kind of input and checks what holds for
 * any bytes; under libFuzzer it is spec/fuzz/run that makes them up, in the unit suite they come from corpus/
 * (replay.c).
 */
#ifndef KB_SPEC_FUZZ_FUZZ_H
#define KB_SPEC_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include "core/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Ends the program as a sanitizer does: libFuzzer keeps the input. */
#define MUST(condition)                                                                                                \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			abort();                                                                                                   \
		}                                                                                                              \
	} while (0)

/* True when a reader of `whole` may return `part`. */
static inline bool lies_in(struct kb_slice part, struct kb_slice whole)
{
	return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* Takes the first line off, without its end: for readers that take more than one text. */
static inline struct kb_slice take_line(struct kb_slice *rest)
{
	const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;
	struct kb_slice line = kb_slice(rest->p, end ? (size_t)(end - rest->p) : rest->n);
	*rest = end ? kb_slice(end + 1, rest->n - line.n - 1) : kb_slice("", 0);
	return line;
}

#endif
