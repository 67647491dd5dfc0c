/* core/message: a flat form of it, a list of headers, and headers as scripts write them. */
#include "core/message.h"

#include "fuzz.h"

static void reads_flat_form(struct kb_slice record)
{
	struct kb_message m;
	uint64_t *copy = malloc(record.n + 1), *again = NULL; /* a record is aligned to 8 */
	memcpy(copy, record.p, record.n);
	record.p = (const char *)copy;
	if (kb_message_decode(copy, record.n, &m)) {
		size_t size = kb_message_size(&m);
		const struct kb_slice parts[] = {m.exchange, m.key, m.reply, m.headers, m.properties, m.payload};
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
			MUST(lies_in(parts[i], record));
		MUST(size <= record.n && (again = malloc(size)));
		kb_message_encode(&m, again);
		MUST(memcmp(again, copy, size) == 0);
	}
	free(again);
	free(copy);
}

static void walks_list(struct kb_slice list)
{
	struct kb_buf again = {0};
	struct kb_slice rest = list, name, value;
	while (kb_headers_next(&rest, &name, &value)) {
		MUST(lies_in(name, list) && lies_in(value, list) && lies_in(rest, list));
		MUST(kb_headers_find(list, name).p);
		kb_headers_add(&again, name, value);
	}
	MUST(again.n <= list.n && (!again.n || memcmp(again.p, list.p, again.n) == 0));
	kb_buf_free(&again);
}

static void reads_text(struct kb_slice text)
{
	struct kb_buf headers = {0};
	struct kb_slice bad = kb_slice(NULL, 0), name, value;
	if (!kb_headers_parse(text, &headers, &bad))
		MUST(bad.n && lies_in(bad, text));
	struct kb_slice rest = kb_buf_slice(&headers);
	while (kb_headers_next(&rest, &name, &value))
		MUST(name.n && !memchr(name.p, '=', name.n) && !memchr(name.p, ';', name.n));
	MUST(rest.n == 0);
	kb_buf_free(&headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kb_slice input = kb_slice(bytes, size);
	reads_flat_form(input);
	walks_list(input);
	reads_text(input);
	return 0;
}
