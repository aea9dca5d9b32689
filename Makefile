# SPDX-License-Identifier: GPL-2.0-or-later
# pyleak: see README.md. V=1 shows the commands, WERROR=1 makes warnings errors, BUILD= is where files are made.
VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PYTHON ?= /usr/bin/python3
BUILD ?= build
CFLAGS ?= -O2 -g
JOBS ?= $(shell nproc)
WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror)
PACKAGES := glib-2.0 jansson libbpf libelf libdw libmicrohttpd libprotobuf-c zlib
# Quiet where pkg-config or a library is missing: scripts/dependencies names the package before anything is compiled.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lZydis -liberty -lm
CPPFLAGS_ALL = -D_GNU_SOURCE -DPYLEAK_VERSION='"$(VERSION)"' -I. -Iuser -I$(BUILD) -I$(BUILD)/proto $(PKG_CFLAGS) $(CPPFLAGS)
COMPILE = $(CC) -std=gnu11 $(WARNINGS) $(CFLAGS) $(CPPFLAGS_ALL) -MMD -MP
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

SOURCES := $(wildcard user/*/*.c)
LIBRARY_SOURCES := $(filter-out user/cli/main.c,$(SOURCES))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/%.o)
# Made by protoc-c; their headers are in the build folder too.
PROTO_SOURCES := $(wildcard user/*/*.proto)
LIBRARY_OBJECTS += $(PROTO_SOURCES:user/%.proto=$(BUILD)/proto/%.pb-c.o)
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_TESTS := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/unit/%)
# Sources of tests/unit that are not tests: helpers that every test links.
UNIT_HELPERS := $(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c))
UNIT_HELPER_OBJECTS := $(UNIT_HELPERS:%.c=$(BUILD)/%.o)
UNITS := pyleak.service pyleak@.service
C_FILES = $(wildcard bpf/*.[ch] user/*/*.[ch] tests/*/*.[ch])
SHELL_FILES = .ci/run completions/pyleak.bash $(shell grep -lE '^\#!.*\b(ba)?sh$$' scripts/* examples/*/* tests/distros/* 2>/dev/null)
# Macros of GLib and libbpf that cppcheck cannot see into.
CPPCHECK_MACROS = '-DG_GNUC_PRINTF(a,b)=' '-DLIBBPF_OPTS(type,name,...)=struct type name'
SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:
all: pyleak

# The program at the top is a copy: two build folders never make each other's copy look up to date.
pyleak: $(BUILD)/pyleak FORCE
	@cmp -s $< $@ || { $(if $(V),,printf '  %-8s %s\n' COPY $@;) install -m 755 $< $@; }

$(BUILD)/pyleak: $(BUILD)/user/cli/main.o $(BUILD)/libpyleak.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/libpyleak.a: $(LIBRARY_OBJECTS) $(BUILD)/.objects
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(LIBRARY_OBJECTS)

# Changes only when a source file comes or goes: the archive then loses the object of a file that went.
$(BUILD)/.objects: FORCE | $(BUILD)/.dependencies
	@echo '$(LIBRARY_OBJECTS)' | cmp -s - $@ || echo '$(LIBRARY_OBJECTS)' > $@

# Fails, naming the packages, as long as one is missing; never installs.
$(BUILD)/.dependencies: scripts/dependencies
	@scripts/dependencies check build
	@mkdir -p $(@D) && touch $@

$(filter $(BUILD)/user/trace/%,$(LIBRARY_OBJECTS)): | $(BUILD)/pyleak.skel.h

$(BUILD)/%.o: %.c | $(BUILD)/.dependencies
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(COMPILE) -c -o $@ $<

$(BUILD)/proto/%.pb-c.h: user/%.proto | $(BUILD)/.dependencies
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(BUILD)/proto && protoc-c --proto_path=user --c_out=$(BUILD)/proto $<

$(BUILD)/proto/%.pb-c.c: $(BUILD)/proto/%.pb-c.h ;

$(BUILD)/proto/%.pb-c.o: $(BUILD)/proto/%.pb-c.c
	$(call say,CC,$<)
	$(Q)$(COMPILE) -c -o $@ $<

$(filter $(BUILD)/user/report/%,$(LIBRARY_OBJECTS)): | $(PROTO_SOURCES:user/%.proto=$(BUILD)/proto/%.pb-c.h)

$(BUILD)/vmlinux.h: | $(BUILD)/.dependencies
	$(call say,BTF,$@)
	@test -r /sys/kernel/btf/vmlinux || { echo "this build host has no /sys/kernel/btf/vmlinux:" \
		"build on a kernel with CONFIG_DEBUG_INFO_BTF=y (Debian's kernels have it)" >&2; exit 1; }
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@

$(BUILD)/pyleak.bpf.o: $(wildcard bpf/*.c bpf/*.h) $(BUILD)/vmlinux.h
	$(call say,BPF,$@)
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) \
		-I. -I$(BUILD) -c -o $@ bpf/pyleak.bpf.c

$(BUILD)/pyleak.skel.h: $(BUILD)/pyleak.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name pyleak_bpf > $@

$(BUILD)/tests/unit/%: tests/unit/%.c $(UNIT_HELPER_OBJECTS) $(BUILD)/libpyleak.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(COMPILE) -o $@ $< $(UNIT_HELPER_OBJECTS) $(BUILD)/libpyleak.a $(PKG_LIBS) -lcmocka

$(BUILD)/tests/bench/%: tests/bench/%.c $(BUILD)/libpyleak.a
	$(call say,BENCH,$@)
	$(Q)mkdir -p $(@D) && $(COMPILE) -o $@ $< $(BUILD)/libpyleak.a $(PKG_LIBS)

# Where the program goes and what every unit allows, put into their templates.
$(BUILD)/systemd/%: packaging/systemd/%.in packaging/systemd/hardening FORCE
	@mkdir -p $(@D)
	@sed -e 's,@BINDIR@,$(PREFIX)/bin,' -e '/@HARDENING@/{r packaging/systemd/hardening' -e 'd}' $< > $@

install: $(BUILD)/pyleak docs/pyleak.1 $(UNITS:%=$(BUILD)/systemd/%)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -D -m 755 $(BUILD)/pyleak $(DESTDIR)$(PREFIX)/bin/pyleak
	$(Q)install -D -m 644 docs/pyleak.1 $(DESTDIR)$(PREFIX)/share/man/man1/pyleak.1
	$(Q)install -D -m 644 completions/pyleak.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/pyleak
	$(Q)install -D -m 644 -t $(DESTDIR)$(UNITDIR) $(UNITS:%=$(BUILD)/systemd/%)

# A Debian package, in $(BUILD)/deb. What dpkg-buildpackage needs is checked by itself.
deb:
	$(call say,DEB,$(BUILD)/deb)
	$(Q)rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/pyleak-$(VERSION)
	$(Q)tar -c --exclude=./build --exclude=./.git --exclude=./pyleak --exclude=__pycache__ . | tar -x -C $(BUILD)/deb/pyleak-$(VERSION)
	$(Q)mv $(BUILD)/deb/pyleak-$(VERSION)/packaging/debian $(BUILD)/deb/pyleak-$(VERSION)/debian
	$(Q)cd $(BUILD)/deb/pyleak-$(VERSION) && env -u MAKEFLAGS -u MAKELEVEL -u BUILD -u CC -u CFLAGS -u LDFLAGS -u CPPFLAGS \
		DEB_BUILD_OPTIONS=parallel=$(JOBS) dpkg-buildpackage -us -uc -b $(if $(V),,>../build.log 2>&1 || { cat ../build.log >&2; exit 1; })

# Runs every unit test, also after one has failed.
unit: $(UNIT_TESTS)
	@failed=; for test in $^; do echo "== $$test"; $$test || failed="$$failed $$test"; done; \
		test -z "$$failed" || { echo "unit tests failed:$$failed" >&2; exit 1; }; \
		echo "unit: $(words $(UNIT_TESTS)) programs passed"

unit-sanitized:
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=build/sanitize CFLAGS='$(SANITIZE)' WERROR=1 unit

lint:
	$(call say,LINT,clang-format)
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(call say,LINT,clocks)
	$(Q)# These macros ask twice, and the clock goes on between.
	$(Q)! grep -nE '(MIN|MAX|CLAMP|ABS)\([^;]*(now_ns|_time)\(\)' $(C_FILES)
	$(call say,LINT,cppcheck)
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --library=gtk --inline-suppr \
		--enable=warning,performance,portability -D_GNU_SOURCE -I. -Iuser $(CPPCHECK_MACROS) \
		--suppressions-list=tests/cppcheck.suppressions user tests/unit
	$(call say,LINT,shellcheck)
	$(Q)shellcheck $(SHELL_FILES)

# PYTEST_FLAGS: for example PYTEST_FLAGS='-k exactness -x'.
e2e: pyleak
	cd tests/e2e && PYLEAK_BUILD=$(BUILD) $(PYTHON) -m pytest -p no:cacheprovider $(PYTEST_FLAGS)

bench: pyleak
	$(PYTHON) tests/bench/bench.py

# The default mode on eight workloads: what it costs, beside other tools, and how right it is. BENCH_FLAGS: see --help.
bench-overhead: pyleak
	scripts/dependencies check bench
	$(PYTHON) tests/bench/overhead.py $(BENCH_FLAGS)

# A hundred idle processes and four that leak, under pyleak -a.
bench-host: pyleak
	$(PYTHON) tests/bench/host.py $(BENCH_FLAGS)

bench-accuracy: pyleak
	scripts/dependencies check bench
	$(PYTHON) tests/bench/accuracy.py $(BENCH_FLAGS)

# Builds with both compilers, warnings as errors; the gcc build is what the end-to-end tests run.
check:
	scripts/dependencies install build check cases packaging
	$(MAKE) --no-print-directory -j$(JOBS) BUILD=build/clang CC=clang WERROR=1 build/clang/pyleak
	$(MAKE) --no-print-directory -j$(JOBS) BUILD=build/gcc CC=gcc WERROR=1 pyleak
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory unit-sanitized
	$(MAKE) --no-print-directory BUILD=build/gcc CC=gcc WERROR=1 e2e

# An hour unless BENCH_FLAGS='--minutes N': whether pyleak grows; --serve scrapes it meanwhile.
bench-soak: pyleak
	scripts/dependencies check bench
	$(PYTHON) tests/bench/soak.py $(BENCH_FLAGS)

# Ten minutes each under pyleak -p and pyleak -a, unless BENCH_FLAGS='--minutes N': eight workers that come and go.
bench-prefork: pyleak
	scripts/dependencies check bench
	$(PYTHON) tests/bench/prefork.py $(BENCH_FLAGS)

# Exactness, stacks, frees, types and windows on the interpreters of Debian 13 and unstable, each in namespaces. Not part of check:
# the first time it downloads two systems.
DISTROS ?= /var/cache/pyleak-distros
check-distros: pyleak
	scripts/dependencies install build check distros
	PYLEAK_DISTROS=$(DISTROS) tests/distros/prepare
	cd tests/e2e && PYLEAK_DISTROS=$(DISTROS) $(PYTHON) -m pytest -p no:cacheprovider $(PYTEST_FLAGS) \
		test_exactness.py test_stacks.py test_frees.py test_types.py \
		test_windows.py::test_a_busy_target_is_sampled_within_its_budget_and_the_leak_is_found

# Builds the container image on a base of its own and runs it as the Kubernetes manifest says. Network for packages.
check-image:
	scripts/dependencies install image
	PYLEAK_DISTROS=$(DISTROS) $(PYTHON) tests/image/check.py

# Every case of docs/cases.md 20 times, over seeds and interpreters: hours. CASES_FLAGS: see --help.
check-cases: pyleak
	scripts/dependencies check bench cases
	$(PYTHON) tests/bench/cases.py $(CASES_FLAGS)

demo:
	scripts/dependencies install build demo
	$(MAKE) --no-print-directory -j$(JOBS) pyleak
	examples/demo/run

clean:
	rm -rf $(BUILD) pyleak

FORCE:
.PHONY: all install deb unit unit-sanitized lint e2e bench bench-overhead bench-accuracy bench-host bench-prefork bench-soak check check-cases check-distros check-image demo clean FORCE
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
