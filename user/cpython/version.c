// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpython/version.h"

#include <stdio.h>
#include <string.h>
#include <glib.h>

#include "elf/insn.h"

enum {
	VERSION_MOST = 23,   /* characters of a version */
	FUNCTION_MOST = 512, /* bytes of Py_GetVersion() looked at; it has about 60 */
	RELEASE_FINAL = 0xf,
};

static bool parse_number(const char **text, int *number)
{
	const char *start = *text;

	*number = 0;
	while (g_ascii_isdigit(**text) && *text - start < 3)
		*number = *number * 10 + (*(*text)++ - '0');
	return *text > start;
}

static bool parse_literal(const char **text, const char *literal)
{
	if (!g_str_has_prefix(*text, literal))
		return false;
	*text += strlen(literal);
	return true;
}

bool python_version_parse(const char *text, struct python_version *version)
{
	const char *rest = text;
	int serial;

	if (strlen(text) > VERSION_MOST)
		return false;
	if (!parse_number(&rest, &version->major) || !parse_literal(&rest, ".") ||
	    !parse_number(&rest, &version->minor) || !parse_literal(&rest, ".") ||
	    !parse_number(&rest, &version->micro))
		return false;
	if ((parse_literal(&rest, "rc") || parse_literal(&rest, "a") || parse_literal(&rest, "b") ||
	     parse_literal(&rest, "c")) &&
	    !parse_number(&rest, &serial))
		return false;
	parse_literal(&rest, "+"); /* a build from a checkout */
	if (*rest || version->major < 2 || version->major > 3)
		return false;
	g_strlcpy(version->text, text, sizeof(version->text));
	return true;
}

bool python_version_from_hex(unsigned long hex, struct python_version *version)
{
	/* Include/patchlevel.h: major, minor, micro, release level (a, b, c, f) and serial */
	unsigned int level = hex >> 4 & 0xf;
	const char *levels[] = { [0xa] = "a", [0xb] = "b", [0xc] = "rc" };

	if (hex > UINT32_MAX || hex >> 24 < 2 || hex >> 24 > 3 ||
	    (level != RELEASE_FINAL && (level < 0xa || level > 0xc)))
		return false;
	version->major = (int)(hex >> 24);
	version->minor = (int)(hex >> 16 & 0xff);
	version->micro = (int)(hex >> 8 & 0xff);
	if (level == RELEASE_FINAL)
		snprintf(version->text, sizeof(version->text), "%d.%d.%d", version->major,
			 version->minor, version->micro);
	else
		snprintf(version->text, sizeof(version->text), "%d.%d.%d%s%lu", version->major,
			 version->minor, version->micro, levels[level], hex & 0xf);
	return true;
}

bool python_version_from_path(const char *path, struct python_version *version)
{
	const char *name = strrchr(path, '/');
	const char *rest = name ? name + 1 : path;

	parse_literal(&rest, "lib");
	if (!parse_literal(&rest, "python") || !parse_number(&rest, &version->major) ||
	    !parse_literal(&rest, ".") || !parse_number(&rest, &version->minor))
		return false;
	version->micro = 0;
	snprintf(version->text, sizeof(version->text), "%d.%d", version->major, version->minor);
	return true;
}

static bool version_from_constant(const struct elf_image *image, struct python_version *version)
{
	struct elf_symbol symbol;
	const uint8_t *bytes;
	unsigned long hex;

	if (!elf_image_exports(image, "Py_Version", &symbol))
		return false;
	bytes = elf_image_bytes(image, symbol.address, sizeof(hex));
	if (!bytes)
		return false;
	memcpy(&hex, bytes, sizeof(hex));
	return python_version_from_hex(hex, version);
}

/* A version that stands as a string at link-time address @address of the file. */
static bool version_at(const struct elf_image *image, uint64_t address,
		       struct python_version *version)
{
	size_t available = MIN(elf_image_available(image, address), VERSION_MOST + 1);
	const uint8_t *bytes = available ? elf_image_bytes(image, address, available) : NULL;

	return bytes && memchr(bytes, '\0', available) &&
	       python_version_parse((const char *)bytes, version);
}

/* The address that an instruction forms: "lea text(%rip), %rdx", or "mov $text, %edx" in builds at
 * fixed addresses. */
static bool formed_address(const ZydisDecoder *decoder, const struct insn *insn, uint64_t *address)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	unsigned int count = insn_operands(decoder, insn, operands);

	for (unsigned int i = 0; i < count; i++) {
		if (operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
			*address = operands[i].imm.value.u;
			return true;
		}
		if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    operands[i].mem.base == ZYDIS_REGISTER_RIP) {
			*address = insn_end(insn) + (uint64_t)operands[i].mem.disp.value;
			return true;
		}
	}
	return false;
}

static bool version_from_function(const struct elf_image *image, struct python_version *version)
{
	struct elf_symbol symbol;
	ZydisDecoder decoder;
	struct insn insn;
	uint64_t end, literal;

	if (!elf_image_exports(image, "Py_GetVersion", &symbol))
		return false;
	end = symbol.address + (symbol.size ? MIN(symbol.size, FUNCTION_MOST) : FUNCTION_MOST);
	insn_decoder_init(&decoder);
	for (uint64_t at = symbol.address; at < end; at = insn_end(&insn)) {
		if (!insn_decode(&decoder, image, at, &insn))
			return false;
		if (formed_address(&decoder, &insn, &literal) &&
		    version_at(image, literal, version))
			return true;
	}
	return false;
}

bool python_version_detect(const struct elf_image *image, const char *path,
			   struct python_version *version)
{
	return version_from_constant(image, version) || version_from_function(image, version) ||
	       python_version_from_path(path, version);
}
