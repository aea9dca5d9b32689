// SPDX-License-Identifier: GPL-2.0-or-later
#include "report/gzip.h"

#include <zlib.h>

/* zlib.h: 15 is the largest window, 16 more makes the header that of gzip. 8: the usual memory. */
enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8 };

GByteArray *gzip_compress(const uint8_t *bytes, size_t size)
{
	z_stream stream = { .next_in = (uint8_t *)bytes, .avail_in = size };
	GByteArray *out = NULL;
	int status;

	if (size > UINT32_MAX ||
	    deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	out = g_byte_array_new();
	g_byte_array_set_size(out, deflateBound(&stream, size));
	stream.next_out = out->data;
	stream.avail_out = out->len;
	status = deflate(&stream, Z_FINISH);
	g_byte_array_set_size(out, stream.total_out);
	deflateEnd(&stream);
	if (status == Z_STREAM_END)
		return out;
	g_byte_array_unref(out);
	return NULL;
}
