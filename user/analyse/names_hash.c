// SPDX-License-Identifier: GPL-2.0-or-later
#include "analyse/names_hash.h"

#include <string.h>

GChecksum *names_hash_new(void)
{
	return g_checksum_new(G_CHECKSUM_SHA256);
}

void names_hash_string(GChecksum *hash, const char *text)
{
	text = text ? text : "";
	g_checksum_update(hash, (const guchar *)text, strlen(text) + 1);
}

void names_hash_number(GChecksum *hash, uint64_t number)
{
	uint64_t little_endian = GUINT64_TO_LE(number);

	g_checksum_update(hash, (const guchar *)&little_endian, sizeof(little_endian));
}

uint64_t names_hash_end(GChecksum *hash)
{
	guint8 digest[32];
	gsize size = sizeof(digest);
	uint64_t id;

	g_checksum_get_digest(hash, digest, &size);
	g_checksum_free(hash);
	memcpy(&id, digest, sizeof(id));
	id = GUINT64_FROM_BE(id);
	return id ? id : 1;
}
