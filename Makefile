# SPDX-License-Identifier: GPL-2.0-or-later
# pyleak: see README.md. V=1 shows the commands.
VERSION := 0.1.0
PREFIX ?= /usr/local
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
BUILD ?= build
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror)
PACKAGES := glib-2.0 jansson libbpf libelf libdw
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES))
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES)) -lZydis -lm
CPPFLAGS_ALL := -D_GNU_SOURCE -DPYLEAK_VERSION='"$(VERSION)"' -I. -Iuser -I$(BUILD) $(PKG_CFLAGS) $(CPPFLAGS)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

BPF_SOURCES := $(wildcard bpf/*.bpf.c)
SOURCES := $(wildcard user/*/*.c)
LIBRARY_SOURCES := $(filter-out user/cli/main.c,$(SOURCES))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/%.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/unit/%)

.DELETE_ON_ERROR:
.SECONDARY:
all: pyleak

pyleak: $(BUILD)/user/cli/main.o $(BUILD)/libpyleak.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/libpyleak.a: $(LIBRARY_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/user/trace/%.o: $(BUILD)/pyleak.skel.h

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) $(CPPFLAGS_ALL) -MMD -MP -c -o $@ $<

$(BUILD)/vmlinux.h:
	$(call say,BTF,$@)
	$(Q)mkdir -p $(@D) && test -r /sys/kernel/btf/vmlinux || { echo "this build host has no /sys/kernel/btf/vmlinux: build on a kernel with CONFIG_DEBUG_INFO_BTF" >&2; exit 1; }
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@

$(BUILD)/pyleak.bpf.o: $(wildcard bpf/*.c bpf/*.h) $(BUILD)/vmlinux.h
	$(call say,BPF,$@)
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Wextra $(if $(WERROR),-Werror) -I. -I$(BUILD) -c -o $@ bpf/pyleak.bpf.c

$(BUILD)/pyleak.skel.h: $(BUILD)/pyleak.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name pyleak_bpf > $@

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libpyleak.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) $(CPPFLAGS_ALL) -MMD -MP -o $@ $< $(BUILD)/libpyleak.a $(PKG_LIBS) -lcmocka

unit: $(UNIT_TESTS)
	$(Q)set -e; for test in $^; do $$test; done

clean:
	rm -rf $(BUILD) pyleak

.PHONY: all unit clean
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
