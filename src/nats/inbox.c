#include "nats/inbox.h"

#include <stdio.h>
#include "core/uuid.h"

void kb_nats_inbox_new(const char *prefix, char to[KB_NATS_INBOX_BYTES])
{
	char id[KB_UUID_SHORT_CHARS];
	kb_uuid_make_short(id);
	snprintf(to, KB_NATS_INBOX_BYTES, "%s.%.*s", prefix ? prefix : "_INBOX", KB_UUID_SHORT_CHARS, id);
}
