// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/capabilities.h"

#include <string.h>
#include <glib.h>
#include <linux/capability.h>

struct capability {
	unsigned int number;
	const char *name;
	unsigned int instead; /* one that includes it; 0 (CAP_CHOWN): there is none */
};

static const struct capability needed[] = {
	{ CAP_BPF, "CAP_BPF", CAP_SYS_ADMIN },
	{ CAP_PERFMON, "CAP_PERFMON", CAP_SYS_ADMIN },
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", 0 },
};

/* For files that are not everybody's to read, and for /proc/PID/map_files. */
static const struct capability reading[] = {
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", CAP_DAC_OVERRIDE },
	{ CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", CAP_SYS_ADMIN },
};

uint64_t capabilities_parse(const char *status)
{
	const char *line = strstr(status, "\nCapEff:");
	const char *digits = line ? line + strlen("\nCapEff:") : NULL;
	char *end;
	uint64_t set = digits ? g_ascii_strtoull(digits, &end, 16) : 0;

	return digits && end != digits ? set : UINT64_MAX;
}

uint64_t capabilities_effective(void)
{
	g_autofree char *status = NULL;

	if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL))
		return UINT64_MAX;
	return capabilities_parse(status);
}

bool capabilities_have(uint64_t set, unsigned int number)
{
	return set >> number & 1;
}

static char *list_missing(uint64_t set, const struct capability *wanted, guint count)
{
	const char *names[G_N_ELEMENTS(needed) + G_N_ELEMENTS(reading)];
	GString *list = g_string_new(NULL);
	guint missing = 0;

	for (guint i = 0; i < count; i++)
		if (!capabilities_have(set, wanted[i].number) &&
		    !(wanted[i].instead && capabilities_have(set, wanted[i].instead)))
			names[missing++] = wanted[i].name;
	for (guint i = 0; i < missing; i++)
		g_string_append_printf(list, "%s%s",
				       !i		 ? ""
				       : i + 1 < missing ? ", "
							 : " and ",
				       names[i]);
	return g_string_free(list, !missing);
}

char *capabilities_missing(uint64_t set)
{
	return list_missing(set, needed, G_N_ELEMENTS(needed));
}

char *capabilities_explain_unreadable(uint64_t set)
{
	g_autofree char *missing = list_missing(set, reading, G_N_ELEMENTS(reading));

	if (missing)
		return g_strdup_printf("not permitted to read it: missing %s; run with sudo",
				       missing);
	return g_strdup("not permitted to read it, although nothing is missing: a security module "
			"(AppArmor, SELinux) refuses");
}
