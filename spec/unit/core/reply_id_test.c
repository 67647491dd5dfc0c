/* core/reply_id: ids that name a slot are still ids that nobody can guess. */
#include "core/reply_id.h"

#include "check.h"

static struct kb_slice uuid(size_t slot)
{
	static char id[KB_UUID_CHARS];
	kb_reply_id_uuid(id, slot);
	return kb_slice(id, sizeof id);
}

static struct kb_slice word(size_t slot)
{
	static char id[KB_REPLY_ID_WORD_CHARS];
	kb_reply_id_word(id, slot);
	return kb_slice(id, sizeof id);
}

static void test_slots(void)
{
	static const size_t slots[] = {0, 1, 15, 16, 255, 65535, 65536 + 2048, KB_REPLY_ID_SLOTS - 1};
	for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
		CHECK(kb_reply_id_slot(uuid(slots[i])) == slots[i]);
		CHECK(kb_reply_id_slot(word(slots[i])) == slots[i]);
	}
	CHECK(kb_reply_id_slot(uuid(KB_REPLY_ID_SLOTS)) == 0); /* a wrong hint, which costs a search */
}

static void test_foreign_ids(void)
{
	CHECK(kb_reply_id_slot(kb_slice_from("00001f")) == 0x1f);
	CHECK(kb_reply_id_slot(kb_slice_from("0001f")) == SIZE_MAX);
	CHECK(kb_reply_id_slot(kb_slice_from("00001F")) == SIZE_MAX);
	CHECK(kb_reply_id_slot(kb_slice_from("an id of a script")) == SIZE_MAX);
	CHECK(kb_reply_id_slot(kb_slice_from("")) == SIZE_MAX);
	CHECK(kb_reply_id_slot(kb_slice(NULL, 0)) == SIZE_MAX);
}

/* RFC 9562: version 4 in the 13th digit, variant 10 in the 17th. */
static void test_is_a_uuid(void)
{
	for (size_t slot = 0; slot < 1000; slot++) {
		struct kb_slice id = uuid(slot);
		CHECK(id.p[14] == '4' && strchr("89ab", id.p[19]));
		for (size_t i = 0; i < id.n; i++)
			CHECK(
				i == 8 || i == 13 || i == 18 || i == 23 ? id.p[i] == '-' : strchr("0123456789abcdef", id.p[i]) != NULL);
	}
}

/* In front of the slot all is random: no character stays the same. */
static void test_differ(void)
{
	char first[KB_UUID_CHARS];
	bool changed[KB_UUID_CHARS] = {false};
	memcpy(first, uuid(7).p, sizeof first);
	for (int i = 0; i < 100; i++) {
		struct kb_slice id = uuid(7);
		for (size_t j = 0; j < id.n; j++)
			changed[j] |= id.p[j] != first[j];
	}
	for (size_t j = 0; j < sizeof first - KB_REPLY_ID_SLOT_DIGITS; j++)
		CHECK(changed[j] == (first[j] != '-' && j != 14));
}

int main(void)
{
	test_slots();
	test_foreign_ids();
	test_is_a_uuid();
	test_differ();
	return check_failures ? 1 : 0;
}
