#include "amqp/percent.h"

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the two characters behind a percent sign stand for; 0: none. */
static char byte_of(const char *digits)
{
	int high = digit_of(digits[0]), low = high < 0 ? -1 : digit_of(digits[1]);
	return (char)(low < 0 ? 0 : high << 4 | low);
}

static bool is_encoded(const char *text)
{
	for (; *text; text++)
		if (*text == '%' && !byte_of(text + 1))
			return false;
	return true;
}

bool kb_amqp_percent_decode(char *text)
{
	if (!is_encoded(text))
		return false;
	char *to = text;
	for (; *text; text++) {
		bool encoded = *text == '%';
		*to++ = encoded ? byte_of(text + 1) : *text;
		text += encoded ? 2 : 0;
	}
	*to = '\0';
	return true;
}
