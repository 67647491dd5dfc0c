#include "core/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

void kb_uuid(char to[KB_UUID_CHARS])
{
	uuid_t id;
	char text[KB_UUID_CHARS + 1];
	uuid_generate_random(id);
	uuid_unparse_lower(id, text);
	memcpy(to, text, KB_UUID_CHARS);
}
