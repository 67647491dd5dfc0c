#include "nats/subject.h"

enum rules { PUBLISH, SUBSCRIBE };

static const char *word_fault(const char *word, const char *end, bool last, enum rules rules)
{
	if (word == end)
		return "empty word between dots";
	if (end - word > 1 || (*word != '*' && *word != '>'))
		return NULL;
	if (rules == PUBLISH)
		return "wildcards are allowed only in subscriptions";
	return *word == '>' && !last ? "the wildcard > must be the last word" : NULL;
}

static const char *fault(struct kb_slice subject, enum rules rules)
{
	const char *word = subject.p, *end = subject.p + subject.n, *what = NULL;
	if (subject.n == 0)
		return "empty";
	if (subject.n > KB_NATS_LINE_MAX)
		return "too long";
	for (const char *c = subject.p; c < end && !what; c++) {
		if (*c == '.') {
			what = word_fault(word, c, false, rules);
			word = c + 1;
		} else if ((unsigned char)*c <= ' ' || *c == 0x7f) {
			what = "contains a space or control character";
		}
	}
	return what ? what : word_fault(word, end, true, rules);
}

const char *kb_nats_subject_fault(struct kb_slice subject)
{
	return fault(subject, PUBLISH);
}

const char *kb_nats_subject_pattern_fault(struct kb_slice pattern)
{
	return fault(pattern, SUBSCRIBE);
}

const char *kb_nats_subject_word_fault(struct kb_slice word)
{
	return word.n && memchr(word.p, '.', word.n) ? "contains a dot" : kb_nats_subject_fault(word);
}
