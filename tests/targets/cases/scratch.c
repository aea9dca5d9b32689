/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image library with a leak of its own: the work space of every scale() is lost. */
#include <stdlib.h>
#include <string.h>

int scale(const unsigned char *pixels, size_t count);
int scale(const unsigned char *pixels, size_t count)
{
	unsigned char *volatile work = malloc(count), *volatile out = malloc(count / 4 + 1);
	int sum = 0;

	if (work && out) {
		memcpy(work, pixels, count);
		for (size_t i = 0; i < count / 4; i++)
			sum += out[i] = work[4 * i];
	}
	free(out);
	return sum;
}
