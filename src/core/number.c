#include "core/number.h"

bool kb_number_read(struct kb_slice text, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned digit = (unsigned char)text.p[i] - (unsigned)'0';
		if (digit > 9 || digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (text.n)
		*number = value;
	return text.n > 0;
}

bool kb_number_read_signed(struct kb_slice text, int64_t max, int64_t *number)
{
	uint64_t value;
	bool negative = text.n > 0 && text.p[0] == '-';
	struct kb_slice digits = negative ? kb_slice(text.p + 1, text.n - 1) : text;
	if (!kb_number_read(digits, (uint64_t)max + negative, &value))
		return false;
	*number = (int64_t)(negative ? 0 - value : value);
	return true;
}
