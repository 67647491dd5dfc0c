#include "core/reply_id.h"

static void put_slot(char digits[KB_REPLY_ID_SLOT_DIGITS], size_t slot)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = KB_REPLY_ID_SLOT_DIGITS; i-- > 0; slot >>= 4)
		digits[i] = hex[slot & 15];
}

void kb_reply_id_uuid(char to[KB_UUID_CHARS], size_t slot)
{
	kb_uuid_make(to);
	put_slot(to + KB_UUID_CHARS - KB_REPLY_ID_SLOT_DIGITS, slot);
}

void kb_reply_id_word(char to[KB_REPLY_ID_WORD_CHARS], size_t slot)
{
	kb_uuid_make_short(to);
	put_slot(to + KB_UUID_SHORT_CHARS, slot);
}

static int value_of(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

size_t kb_reply_id_slot(struct kb_slice id)
{
	size_t slot = 0;
	if (id.n < KB_REPLY_ID_SLOT_DIGITS)
		return SIZE_MAX;
	for (size_t i = id.n - KB_REPLY_ID_SLOT_DIGITS; i < id.n; i++) {
		int value = value_of(id.p[i]);
		if (value < 0)
			return SIZE_MAX;
		slot = slot << 4 | (size_t)value;
	}
	return slot;
}
