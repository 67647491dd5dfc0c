/* core/number: digits and nothing else, with or without a sign, up to a bound. */
#include "core/number.h"

#include "check.h"

static bool reads(const char *text, uint64_t max, uint64_t wanted)
{
	uint64_t number = 12345;
	return kb_number_read(kb_slice_from(text), max, &number) && number == wanted;
}

static bool refuses(const char *text, uint64_t max)
{
	uint64_t number = 12345;
	return !kb_number_read(kb_slice_from(text), max, &number) && number == 12345;
}

static void reads_digits(void)
{
	CHECK(reads("0", 0, 0));
	CHECK(reads("7", 10, 7));
	CHECK(reads("007", 7, 7));
	CHECK(reads("18446744073709551615", UINT64_MAX, UINT64_MAX));
	CHECK(reads("0000000000000000000000000000001", 1, 1));
}

static void refuses_anything_else(void)
{
	CHECK(refuses("", 10) && refuses(NULL, 10));
	CHECK(refuses("-1", 10) && refuses("+1", 10) && refuses(" 1", 10) && refuses("1 ", 10));
	CHECK(refuses("1a", 10) && refuses("0x1", 10) && refuses("/", 10) && refuses(":", 10) && refuses("\xb1", 10));
	uint64_t number = 12345;
	CHECK(!kb_number_read(KB_SLICE_LITERAL("1\0"), 10, &number) && number == 12345);
}

static void holds_the_bound(void)
{
	CHECK(reads("255", 255, 255) && refuses("256", 255) && refuses("2550", 255));
	CHECK(refuses("1", 0) && refuses("9", 8) && reads("8", 8, 8));
	CHECK(refuses("18446744073709551616", UINT64_MAX));
	CHECK(refuses("99999999999999999999", UINT64_MAX));
}

static bool reads_signed(const char *text, int64_t max, int64_t wanted)
{
	int64_t number = 12345;
	return kb_number_read_signed(kb_slice_from(text), max, &number) && number == wanted;
}

static bool refuses_signed(const char *text, int64_t max)
{
	int64_t number = 12345;
	return !kb_number_read_signed(kb_slice_from(text), max, &number) && number == 12345;
}

static void reads_digits_after_a_minus_sign(void)
{
	CHECK(reads_signed("0", 10, 0) && reads_signed("-0", 10, 0));
	CHECK(reads_signed("7", 10, 7) && reads_signed("-7", 10, -7) && reads_signed("-007", 10, -7));
	CHECK(refuses_signed("", 10) && refuses_signed(NULL, 10) && refuses_signed("-", 10));
	CHECK(refuses_signed("--1", 10) && refuses_signed("+1", 10) && refuses_signed("- 1", 10));
	CHECK(refuses_signed("1-", 10) && refuses_signed("-1a", 10) && refuses_signed("-1.0", 10));
}

static void holds_the_range_of_a_signed_type(void)
{
	CHECK(reads_signed("127", 127, 127) && refuses_signed("128", 127));
	CHECK(reads_signed("-128", 127, -128) && refuses_signed("-129", 127));
	CHECK(
		reads_signed("9223372036854775807", INT64_MAX, INT64_MAX) && refuses_signed("9223372036854775808", INT64_MAX));
	CHECK(reads_signed("-9223372036854775808", INT64_MAX, INT64_MIN) &&
		  refuses_signed("-9223372036854775809", INT64_MAX));
}

int main(void)
{
	reads_digits();
	refuses_anything_else();
	holds_the_bound();
	reads_digits_after_a_minus_sign();
	holds_the_range_of_a_signed_type();
	return check_failures ? 1 : 0;
}
