/* Words of a line of the protocol, separated by blanks. */
#ifndef KB_NATS_WORDS_H
#define KB_NATS_WORDS_H

#include <strings.h>
#include "core/slice.h"

/* The next word of the line, which moves past it and the blanks before it; empty at the end. */
static inline struct kb_slice kb_nats_words_next(struct kb_slice *line)
{
	const char *p = line->p, *end = line->p + line->n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	const char *word = p;
	while (p < end && *p != ' ' && *p != '\t')
		p++;
	*line = kb_slice(p, (size_t)(end - p));
	return kb_slice(word, (size_t)(p - word));
}

/* Names of operations are the same in upper and lower case. */
static inline bool kb_nats_words_equal(struct kb_slice word, const char *name)
{
	return word.n == strlen(name) && strncasecmp(word.p, name, word.n) == 0;
}

#endif
