# SPDX-License-Identifier: Apache-2.0
#
# weir. `make help` lists the targets. Objects go to build/ (or build/<VARIANT>/), never into the
# source tree. Packages that a target needs are listed in tools/deps.sh and nowhere else.

VERSION := 0.1.0

# Where `make install` puts things; DESTDIR is put in front of each.
prefix     ?= /usr/local
ifeq ($(prefix),/usr)
sysconfdir ?= /etc
else
sysconfdir ?= $(prefix)/etc
endif
sbindir    ?= $(prefix)/sbin
mandir     ?= $(prefix)/share/man
# For who builds modules: headers in a folder weir/, and how to compile with them.
includedir ?= $(prefix)/include
pcdir      ?= $(prefix)/share/pkgconfig
# Files of modules; modules/ in homedir leads there.
modulesdir ?= $(prefix)/lib/weir/modules
unitdir    ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
bashdir    ?= $(prefix)/share/bash-completion/completions
zshdir     ?= $(prefix)/share/zsh/site-functions
# logrotate and systemd's run directory know no prefix.
rotatedir  ?= /etc/logrotate.d
confdir    ?= $(sysconfdir)/weir
logdir     ?= /var/log/weir
statedir   ?= /var/lib/weir
# Where relative names of a configuration begin, unless -p says so; logs/ in it leads to logdir.
homedir    ?= $(statedir)
pidfile    ?= /run/weir.pid
DESTDIR    ?=

# What a person may set on the command line.
VARIANT      ?=
FUZZ_SECONDS ?= 30
# LTO=1 (gcc): the program is optimised as a whole. Some 6 % fewer instructions a request, nearly twice
# the time to build. Tests and the library are as without.
LTO          ?=
# Only test programs whose path contains this: make unit T=base/test_str
T            ?=
# Further arguments of pytest: make func PYTEST_ARGS='-k retry -x'
PYTEST_ARGS  ?=
JOBS         ?= $(shell nproc 2>/dev/null || echo 2)
# They wait more than they compute.
FUNC_JOBS    ?= $(shell expr $(JOBS) + 1)
# Seconds that one test program, and the whole functional suite, may take.
TEST_TIMEOUT ?= 120
FUNC_TIMEOUT ?= 1500
# Not the first python3 of the path: the packages of tools/deps.sh belong to this one.
PYTHON       ?= $(if $(wildcard /usr/bin/python3),/usr/bin/python3,python3)
CLANG_FORMAT ?= clang-format-14

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
SHELL := /bin/sh
export PYTHONDONTWRITEBYTECODE := 1

# ---- variant -----------------------------------------------------------------------------------

B := build$(if $(VARIANT),/$(VARIANT))

ifeq ($(origin CC),default)
CC := gcc
endif
AR_ := ar

V_CFLAGS  :=
V_LDFLAGS :=
OPT       := -O2
FORTIFY   := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
PIE       := -fPIE

# FORTIFY is off under sanitizers: they intercept the unchecked names.
ifeq ($(VARIANT),)
else ifeq ($(VARIANT),gcc)
else ifeq ($(VARIANT),clang)
CC := clang
else ifeq ($(VARIANT),asan)
OPT       := -O1
FORTIFY   := -U_FORTIFY_SOURCE
V_CFLAGS  := -DWR_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
V_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),tsan)
OPT       := -O1
FORTIFY   := -U_FORTIFY_SOURCE
V_CFLAGS  := -fsanitize=thread -fno-omit-frame-pointer
V_LDFLAGS := -fsanitize=thread
else ifeq ($(VARIANT),msan)
CC        := clang
OPT       := -O1
FORTIFY   := -U_FORTIFY_SOURCE
V_CFLAGS  := -DWR_DEBUG -fsanitize=memory -fsanitize-memory-track-origins -fno-sanitize-recover=all \
             -fno-omit-frame-pointer
V_LDFLAGS := -fsanitize=memory
else ifeq ($(VARIANT),fuzz)
CC        := clang
OPT       := -O1
FORTIFY   := -U_FORTIFY_SOURCE
V_CFLAGS  := -DWR_DEBUG -DWR_FUZZ -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
             -fno-omit-frame-pointer
V_LDFLAGS := -fsanitize=address,undefined
else ifeq ($(VARIANT),cov)
OPT       := -O0
FORTIFY   := -U_FORTIFY_SOURCE
# WR_COV: a test whose child ends by a signal writes its counters first.
V_CFLAGS  := -DWR_COV --coverage -fprofile-update=atomic
V_LDFLAGS := --coverage
else ifeq ($(VARIANT),analyzer)
# gcc 12 loses sight of memory that a list or a thread holds ("leak of <unknown>"); LeakSanitizer sees
# real leaks.
V_CFLAGS  := -fanalyzer -Wno-analyzer-malloc-leak
else
$(error unknown VARIANT "$(VARIANT)": gcc, clang, asan, tsan, msan, fuzz, cov, analyzer or nothing)
endif

# Asked of the compiler once; empty (and no error) when there is no compiler yet, see `deps`.
CC_MACROS  := $(shell printf '__clang_major__ __GNUC__\n' | $(CC) -E -P -x c - 2>/dev/null)
CC_IS_CLANG := $(if $(filter __clang_major__,$(firstword $(CC_MACROS))),,y)
CC_MAJOR   := $(if $(CC_IS_CLANG),$(word 1,$(CC_MACROS)),$(word 2,$(CC_MACROS)))
CC_NAME    := $(if $(CC_IS_CLANG),clang,gcc)

# Warnings are errors with the compilers that we develop with; another version may know new
# warnings and shall still build weir. WERROR=1 and WERROR=0 decide otherwise.
WERROR ?= $(if $(filter gcc-12 clang-14,$(CC_NAME)-$(CC_MAJOR)),1,0)

# ---- flags -------------------------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wvla -Wwrite-strings -Wcast-qual -Wcast-align \
        -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wformat=2 \
        -Wimplicit-fallthrough -Wdouble-promotion
ifeq ($(CC_IS_CLANG),y)
WARN += -Wcomma -Wassign-enum
else
WARN += -Wduplicated-cond -Wduplicated-branches -Wlogical-op
endif
ifeq ($(WERROR),1)
WARN += -Werror
endif
WARN_CONV := -Wconversion -Wno-sign-conversion

PKGS      := libpcre2-8 zlib libbrotlienc libzstd jansson libssl libcrypto libcares libcrypt
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS) 2>/dev/null))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS) 2>/dev/null))$(PKG_LIBS)
# cmocka is for tests only.
CMOCKA     = $(eval CMOCKA := $$(shell pkg-config --cflags --libs cmocka 2>/dev/null))$(CMOCKA)

PATH_DEFS := -DWR_PREFIX='"$(homedir)"' -DWR_CONF_PATH='"$(confdir)/weir.conf"' \
             -DWR_PID_PATH='"$(pidfile)"' -DWR_LOG_DIR='"$(logdir)"' -DWR_STATE_DIR='"$(statedir)"'
CPPFLAGS_ := -D_GNU_SOURCE -Isrc -DWR_VERSION='"$(VERSION)"' $(PATH_DEFS) $(FORTIFY)
CFLAGS_    = -std=gnu11 $(OPT) -g $(WARN) -fno-common -fno-strict-aliasing -fwrapv \
             -fstack-protector-strong $(PIE) -pthread $(V_CFLAGS) $(PKG_CFLAGS)
LDFLAGS_  := -pie -pthread -Wl,-z,relro,-z,now $(V_LDFLAGS)
LIBS_      = $(PKG_LIBS)

# Modules that are loaded find the program's functions in it.
LDFLAGS_  += -rdynamic

# Objects have both forms; only the link of the program takes the one for the whole.
ifneq ($(filter-out 0,$(LTO)),)
LTO_OBJ   := $(if $(CC_IS_CLANG),$(error LTO=1 is for gcc),-flto=auto -ffat-lto-objects)
LTO_LINK  := -fno-lto
endif

# CPPFLAGS, CFLAGS, LDFLAGS and LIBS of the user come last and win.
COMPILE  = $(CC) $(CPPFLAGS_) $(CFLAGS_) $(CPPFLAGS) $(CFLAGS)
LINK     = $(CC) $(CFLAGS_) $(LTO_LINK) $(CFLAGS) $(LDFLAGS_) $(LDFLAGS)

# ---- files -------------------------------------------------------------------------------------

SRCS      := $(sort $(shell find src -name '*.c' 2>/dev/null))
HDRS      := $(sort $(shell find src -name '*.h' -not -path '*/tbl/*' 2>/dev/null))
MAIN_SRC  := $(filter src/main/main.c,$(SRCS))
LIB_SRCS  := $(filter-out src/main/main.c,$(SRCS))
LIB_OBJS  := $(LIB_SRCS:%.c=$(B)/%.o)
MAIN_OBJ  := $(MAIN_SRC:%.c=$(B)/%.o)
LIB       := $(B)/libweir.a
PROG      := $(if $(MAIN_SRC),$(B)/weir)

CONV_OBJS := $(patsubst %.c,$(B)/%.o,$(filter src/base/% src/io/% src/conf/% \
             src/http/h1_parse.c src/http/h1_chunk.c src/http/h1_write.c src/http/hdr.c \
             src/http/uri.c src/net/proxy_head.c src/proto/%_codec.c,$(SRCS)))

# tests/proto: the suite for protocols; its other files are included by tests.
TEST_SRCS := $(sort $(shell find tests/unit tests/sim -name '*.c' 2>/dev/null) \
             $(wildcard tests/proto/test_*.c))
UNIT_SRCS := $(filter tests/unit/% tests/proto/%,$(TEST_SRCS))
UNIT_SRCS := $(foreach f,$(UNIT_SRCS),$(if $(filter test_%,$(notdir $f)),$f))
SIM_SRCS  := $(foreach f,$(filter tests/sim/%,$(TEST_SRCS)),$(if $(filter test_%,$(notdir $f)),$f))
# The other files beside the tests are helpers: the simulator, scripted peers.
HELP_SRCS := $(filter-out $(UNIT_SRCS) $(SIM_SRCS),$(TEST_SRCS))
SIM_OBJS  := $(patsubst %.c,$(B)/%.o,$(filter tests/sim/sim%,$(HELP_SRCS)))
HELP_LIB  := $(if $(HELP_SRCS),$(B)/libtest.a)
UNIT_BINS := $(UNIT_SRCS:%.c=$(B)/%)
SIM_BINS  := $(SIM_SRCS:%.c=$(B)/%)
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_SRCS:%.c=$(B)/%)
# The traffic program of the functional tests and of the soak; it shares nothing with what it tests.
TRAFFIC   := $(B)/tests/soak/traffic
FUNC_FILES := $(shell find tests/func -name '*.py' 2>/dev/null)

# -j for a make that this one starts, unless the user gave one.
J = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
pick = $(if $(T),$(foreach b,$1,$(if $(findstring $(T),$b),$b)),$1)

# ---- building ----------------------------------------------------------------------------------

.PHONY: all
all: $(LIB) $(PROG)
ifeq ($(PROG),)
	@echo "make: no src/main/main.c: built the library only"
endif

# Changes when the compiler or a flag does, so that everything is built anew then.
FLAGS_NOW = $(COMPILE) $(LTO_OBJ) | $(LDFLAGS_) $(LDFLAGS) $(LIBS_) $(LIBS)
$(B)/.flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || \
	    printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@

.PHONY: FORCE
FORCE:

# What a module is built with: the version and the text of all public headers without their comments.
PUBLIC_HDRS := $(sort $(filter-out %_int.h src/lb/% src/mod/% src/main/% src/observe/%,$(shell find src -name '*.h')))
STRIP_COMMENTS = awk '{ \
    for (;;) { \
        if (c) { i = index($$0, "*/"); if (!i) { $$0 = ""; break } $$0 = substr($$0, i + 2); c = 0 } \
        i = index($$0, "/*"); if (!i) break; \
        out = out substr($$0, 1, i - 1); $$0 = substr($$0, i + 2); c = 1 \
    } \
    $$0 = out $$0; out = ""; $$1 = $$1; if ($$0 != "") print }'
$(B)/interface.h: $(PUBLIC_HDRS) Makefile
	@mkdir -p $(@D)
	@sum=$$(cat $(PUBLIC_HDRS) | $(STRIP_COMMENTS) | sha256sum | cut -c1-16) && \
	    printf '/* Made by make. */\n#define WR_INTERFACE "%s-%s"\n' '$(VERSION)' "$$sum" > $@

$(B)/src/main/plugin.o: $(B)/interface.h
$(B)/src/main/plugin.o: WARN_FILE := -include $(B)/interface.h

$(CONV_OBJS): WARN_FILE := $(WARN_CONV)

$(B)/src/%.o: src/%.c $(B)/.flags
	@mkdir -p $(@D)
	$(Q)$(call say,CC,$<)$(COMPILE) $(LTO_OBJ) $(WARN_FILE) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(B)/tests/%.o: tests/%.c $(B)/.flags
	@mkdir -p $(@D)
	$(Q)$(call say,CC,$<)$(COMPILE) -Itests $(TEST_FLAGS) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

# Names of archive members are not unique (up/conf.o, http/conf.o), so it is made anew each time:
# `ar q` keeps both, `ar r` would replace one by the other. P keeps them apart by their path.
$(LIB): $(LIB_OBJS) $(B)/.objs
	@mkdir -p $(@D)
	$(Q)$(call say,AR,$@)rm -f $@ && $(AR_) qcsP $@ $(LIB_OBJS)

# A removed source must leave the library too.
$(B)/.objs: FORCE
	@mkdir -p $(@D)
	@echo '$(LIB_OBJS) $(HELP_SRCS)' | cmp -s - $@ || echo '$(LIB_OBJS) $(HELP_SRCS)' > $@

# The program takes every object, not only those of the archive that something asks for.
$(B)/weir: LTO_LINK := $(LTO_OBJ)
$(B)/weir: $(MAIN_OBJ) $(LIB_OBJS) $(B)/.objs
	$(Q)$(call say,LD,$@)$(LINK) -o $@ $(MAIN_OBJ) $(LIB_OBJS) $(LIBS_) $(LIBS)

ifneq ($(HELP_LIB),)
$(HELP_LIB): $(patsubst %.c,$(B)/%.o,$(HELP_SRCS)) $(B)/.objs
	$(Q)$(call say,AR,$@)rm -f $@ && $(AR_) qcsP $@ $(filter %.o,$^)
endif

# A test program that includes x/y.c defines what x/y.o defines, so the linker leaves that member
# of the archive out; nothing else of the library is linked that the test does not reach.
$(UNIT_BINS): $(B)/%: $(B)/%.o $(HELP_LIB) $(LIB)
	$(Q)$(call say,LD,$@)$(LINK) -o $@ $< -Wl,--start-group $(HELP_LIB) $(LIB) -Wl,--end-group \
	    $(LIBS_) $(LIBS) $(CMOCKA)

$(SIM_BINS): $(B)/%: $(B)/%.o $(SIM_OBJS) $(HELP_LIB) $(LIB)
	$(Q)$(call say,LD,$@)$(LINK) -o $@ $< $(SIM_OBJS) -Wl,--start-group $(HELP_LIB) $(LIB) \
	    -Wl,--end-group $(LIBS_) $(LIBS) $(CMOCKA)

$(TRAFFIC): $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/soak/*.c)))
	$(Q)$(call say,LD,$@)$(LINK) -o $@ $^

# libFuzzer calls the entry by name; nobody declares it.
$(FUZZ_BINS:%=%.o): TEST_FLAGS := -Wno-missing-prototypes
$(FUZZ_BINS): $(B)/%: $(B)/%.o $(HELP_LIB) $(LIB)
	$(Q)$(call say,LD,$@)$(LINK) -fsanitize=fuzzer -o $@ $< -Wl,--start-group $(HELP_LIB) $(LIB) \
	    -Wl,--end-group $(LIBS_) $(LIBS) $(CMOCKA)

-include $(shell find $(B)/src $(B)/tests -name '*.d' 2>/dev/null)

# make V=1 shows whole commands.
ifeq ($(V),1)
Q :=
say =
else
Q := @
say = printf '  %-4s %s\n' '$1' '$2';
endif

# ---- packages ----------------------------------------------------------------------------------

.PHONY: deps deps-run deps-test deps-ci
deps:
	@sh tools/deps.sh build
deps-run:
	@sh tools/deps.sh build run
deps-test:
	@sh tools/deps.sh build test
deps-ci:
	@sh tools/deps.sh build test ci

# ---- running -----------------------------------------------------------------------------------

.PHONY: run
run: deps-run
	@+$(MAKE) --no-print-directory $(J) all
	@exec $(B)/weir demo $(DEMO_ARGS)

# ---- tests -------------------------------------------------------------------------------------

RUN_TESTS = $(PYTHON) tools/runtests.py --jobs $(JOBS) --timeout $(TEST_TIMEOUT)

export ASAN_OPTIONS  ?= detect_leaks=1:abort_on_error=0:strict_string_checks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= halt_on_error=1:second_deadlock_stack=1

.PHONY: test test-parts
test: deps-test
	@+$(MAKE) --no-print-directory --keep-going test-parts

test-parts: unit sim func

# One make builds all that the parts need: two that ran at once would write the same files. What
# cannot be built counts as a failure in the runner, which looks for the file.
.PHONY: built-tests
built-tests:
	@+$(MAKE) --no-print-directory --keep-going $(J) all $(TRAFFIC) $(call pick,$(UNIT_BINS) $(SIM_BINS)) || true

# The same, but what cannot be built is an error.
.PHONY: build-tests
build-tests: all $(TRAFFIC) $(UNIT_BINS) $(SIM_BINS)

.PHONY: unit sim
unit: built-tests
	@$(RUN_TESTS) --name unit $(call pick,$(UNIT_BINS))
sim: built-tests
	@$(RUN_TESTS) --name sim $(call pick,$(SIM_BINS))

# Functional tests: a real program, scripted clients and peers. WEIR_BIN names another binary.
WEIR_BIN ?= $(abspath $(B)/weir)
.PHONY: func
# A sanitizer makes all ten times slower, and the tests fight for the machine: there one that fails is
# tried once more and named among the results (R), unless what it says is a report, a crash or an alert.
ifneq ($(filter asan tsan,$(VARIANT)),)
FUNC_AGAIN = $(shell $(PYTHON) -c 'import pytest_rerunfailures' 2>/dev/null && echo --reruns 1 -rR \
             --only-rerun "'(?s)^(?!.*(Sanitizer|runtime error:|panic|\[alert\]|\[crit\]|\[emerg\]))'")
endif
func: built-tests
ifeq ($(FUNC_FILES),)
	@echo "func: no tests in tests/func"
else
	@test -x '$(WEIR_BIN)' || { echo "func: there is no program '$(WEIR_BIN)'"; exit 1; }
	@WEIR_BIN='$(WEIR_BIN)' WEIR_TRAFFIC='$(abspath $(TRAFFIC))' timeout -k 10 $(FUNC_TIMEOUT) $(PYTHON) -m pytest tests/func tests/compat \
	    -n $(FUNC_JOBS) -q -o cache_dir=$(abspath build)/.pytest_cache $(FUNC_AGAIN) $(PYTEST_ARGS)
endif

# Not part of `make test`: about ten minutes and 20 GB of disk writes. SOAK_ARGS='--only mixed' for a part.
SOAK_SCALE ?= 1
.PHONY: soak
soak: deps-test
	@+$(MAKE) --no-print-directory $(J) all $(TRAFFIC)
	@WEIR_BIN='$(WEIR_BIN)' WEIR_TRAFFIC='$(abspath $(TRAFFIC))' $(PYTHON) tests/soak/soak.py \
	    --scale $(SOAK_SCALE) $(SOAK_ARGS)

.PHONY: tools-test
tools-test:
	@$(PYTHON) -m pytest tools/tests -q -o cache_dir=$(abspath build)/.pytest_cache

.PHONY: asan tsan msan torture
asan: export WEIR_TEST_SLOW ?= 3
# Thousands of functional tests are rows of tables; with a sanitizer each fourth row does.
asan tsan: export WEIR_TEST_CHOOSE ?= 4
asan: deps-test
	@+$(MAKE) --no-print-directory --keep-going VARIANT=asan test-parts

# All threaded tests are among unit and sim; the single-threaded ones cost little.
# Races need threads. A kernel that scatters addresses widely confuses older TSan runtimes, hence setarch.
tsan: export WEIR_TEST_WORKERS ?= 3
tsan: export WEIR_TEST_SLOW ?= 5
tsan: deps-test
	@+$(shell setarch -R true 2>/dev/null && echo setarch -R) $(MAKE) --no-print-directory --keep-going VARIANT=tsan test-parts

# Base and codecs only: the libraries of the machine are not instrumented.
msan: deps-ci
	@+$(MAKE) --no-print-directory VARIANT=msan msan-part
MSAN_TESTS := $(filter tests/unit/base/% tests/unit/http/test_h1_parse.c \
              tests/unit/http/test_h1_chunk.c tests/unit/http/test_h1_write.c \
              tests/unit/http/test_hdr.c tests/unit/http/test_uri.c,$(UNIT_SRCS))
.PHONY: msan-part
msan-part:
	@+$(MAKE) --no-print-directory --keep-going $(J) $(MSAN_TESTS:%.c=$(B)/%) || true
	@$(RUN_TESTS) --name msan $(MSAN_TESTS:%.c=$(B)/%)

# Tests that sweep failing allocations read WEIR_TORTURE and then try every one, not a sample.
torture: export WEIR_TORTURE := 1
torture: deps-test
	@+$(MAKE) --no-print-directory --keep-going VARIANT=asan TEST_TIMEOUT=900 unit sim

.PHONY: fuzz fuzz-part fuzz-build
fuzz: deps-ci
	@+$(MAKE) --no-print-directory VARIANT=fuzz fuzz-part
fuzz-build: $(call pick,$(FUZZ_BINS))
fuzz-part:
	@+$(MAKE) --no-print-directory --keep-going $(J) fuzz-build || true
	@$(PYTHON) tools/runfuzz.py --seconds $(FUZZ_SECONDS) --jobs $(JOBS) --work $(B)/work \
	    $(call pick,$(FUZZ_BINS))

.PHONY: cov
# Counters of an earlier run would count lines that no test runs any more.
cov: deps-test
	@find build/cov -name '*.gcda' -delete 2>/dev/null || true
	@+ok=0; $(MAKE) --no-print-directory --keep-going VARIANT=cov test-parts || ok=1; \
	    $(PYTHON) tools/cov.py build/cov && exit $$ok

.PHONY: bench
bench: all
	@if [ -z "$$WEIR_BENCH" ]; then \
	    echo "bench: the environment variable WEIR_BENCH names the program to run; it is not set"; \
	    exit 2; \
	fi; \
	WEIR_BIN='$(WEIR_BIN)' exec "$$WEIR_BENCH" $(BENCH_ARGS)

# ---- checks ------------------------------------------------------------------------------------

C_FILES := $(sort $(shell find src tests examples -name '*.[ch]' 2>/dev/null))

.PHONY: check
check:
	@+$(MAKE) --no-print-directory --keep-going format-check checksrc layers metrics requirements headers \
	    tools-test unit sim

.PHONY: format format-check
format:
	$(CLANG_FORMAT) -i $(C_FILES)
format-check:
	@if command -v $(CLANG_FORMAT) >/dev/null 2>&1; then \
	    $(CLANG_FORMAT) --dry-run --Werror $(C_FILES) && echo "format: $(words $(C_FILES)) files"; \
	else \
	    echo "format: skipped, there is no $(CLANG_FORMAT) here"; \
	fi

.PHONY: checksrc layers metrics requirements
checksrc:
	@$(PYTHON) tools/checksrc.py
layers:
	@$(PYTHON) tools/layers.py
metrics:
	@$(PYTHON) tools/metrics.py
requirements:
	@$(PYTHON) tools/requirements.py

# Each header compiles alone, and twice.
HDR_OKS := $(HDRS:src/%.h=$(B)/headers/%.ok)
.PHONY: headers
headers: $(HDR_OKS)
	@echo "headers: $(words $(HDR_OKS)) compile alone"
$(B)/headers/%.ok: src/%.h $(B)/.flags
	@mkdir -p $(@D)
	@printf '#include "%s"\n#include "%s"\n' '$*.h' '$*.h' | \
	    $(COMPILE) -MD -MP -MT $@ -MF $(@:.ok=.d) -fsyntax-only -x c - || \
	    { echo "headers: src/$*.h does not compile alone" >&2; exit 1; }
	@touch $@
-include $(shell find $(B)/headers -name '*.d' 2>/dev/null)

.PHONY: lint
lint: deps-ci
	@+$(MAKE) --no-print-directory --keep-going lint-gcc lint-clang lint-tidy lint-cppcheck

.PHONY: lint-gcc lint-clang lint-tidy lint-cppcheck
lint-gcc:
	@echo "lint: gcc -fanalyzer"
	@+$(MAKE) --no-print-directory --keep-going VARIANT=analyzer CC=gcc WERROR=1 $(J) lint-objs
.PHONY: lint-objs
lint-objs: $(LIB_OBJS) $(MAIN_OBJ)

LINT_FLAGS := -std=gnu11 -D_GNU_SOURCE -Isrc -DWR_VERSION='"$(VERSION)"' $(PATH_DEFS)
lint-clang:
	@echo "lint: clang --analyze"
	@printf '%s\n' $(SRCS) | xargs -r -n 1 -P $(JOBS) clang --analyze --analyzer-output text \
	    -Xclang -analyzer-werror $(LINT_FLAGS)
lint-tidy:
	@echo "lint: clang-tidy"
	@printf '%s\n' $(SRCS) | xargs -r -n 4 -P $(JOBS) sh tools/tidy.sh $(LINT_FLAGS) --
lint-cppcheck:
	@if command -v cppcheck >/dev/null 2>&1; then \
	    echo "lint: cppcheck"; \
	    mkdir -p build/cppcheck; \
	    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	        --error-exitcode=1 -j $(JOBS) --cppcheck-build-dir=build/cppcheck \
	        --suppressions-list=tools/cppcheck.txt -D_GNU_SOURCE -Isrc src; \
	else \
	    echo "lint: skipped cppcheck, it is not here"; \
	fi

# ---- installing --------------------------------------------------------------------------------

SUBST = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SBINDIR@|$(sbindir)|g' -e 's|@CONFDIR@|$(confdir)|g' \
            -e 's|@LOGDIR@|$(logdir)|g' -e 's|@STATEDIR@|$(statedir)|g' -e 's|@PIDFILE@|$(pidfile)|g' \
            -e 's|@SOCKFILE@|$(if $(filter %.pid,$(pidfile)),$(pidfile:.pid=.sock),$(pidfile).sock)|g' \
            -e 's|@HOMEDIR@|$(homedir)|g' -e 's|@INCLUDEDIR@|$(includedir)/weir|g' \
            -e 's|@MODULESDIR@|$(modulesdir)|g' -e 's|@VARIANTFLAGS@|$(filter -DWR_DEBUG,$(V_CFLAGS))|g'

# Files that a configuration includes by their bare names.
INCLUDES = $(addprefix dist/,mime.types proxy_params fastcgi_params fastcgi.conf scgi_params uwsgi_params \
             koi-utf koi-win win-utf)

.PHONY: install uninstall
install: all
	@test -n '$(PROG)' || { echo "install: there is no program yet" >&2; exit 1; }
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(confdir)/conf.d $(DESTDIR)$(mandir)/man8 \
	    $(DESTDIR)$(unitdir) $(DESTDIR)$(rotatedir) $(DESTDIR)$(logdir) $(DESTDIR)$(statedir)
	install -m 755 $(B)/weir $(DESTDIR)$(sbindir)/weir
	$(SUBST) dist/weir.conf > $(B)/weir.conf.dist
	install -m 644 $(B)/weir.conf.dist $(DESTDIR)$(confdir)/weir.conf.default
	@# A configuration that somebody has edited stays.
	test -e $(DESTDIR)$(confdir)/weir.conf || \
	    install -m 644 $(B)/weir.conf.dist $(DESTDIR)$(confdir)/weir.conf
	install -d $(DESTDIR)$(confdir)/snippets
	install -m 644 $(INCLUDES) $(DESTDIR)$(confdir)/
	install -m 644 dist/snippets/*.conf $(DESTDIR)$(confdir)/snippets/
	$(SUBST) dist/weir.8 > $(B)/weir.8 && install -m 644 $(B)/weir.8 $(DESTDIR)$(mandir)/man8/weir.8
	$(SUBST) dist/weir.service > $(B)/weir.service && \
	    install -m 644 $(B)/weir.service $(DESTDIR)$(unitdir)/weir.service
	$(SUBST) dist/weir.logrotate > $(B)/weir.logrotate && \
	    install -m 644 $(B)/weir.logrotate $(DESTDIR)$(rotatedir)/weir
	install -d $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(sysusersdir) $(DESTDIR)$(tmpfilesdir) \
	    $(DESTDIR)$(bashdir) $(DESTDIR)$(zshdir) $(DESTDIR)$(homedir)
	test -L $(DESTDIR)$(homedir)/logs || ln -s $(logdir) $(DESTDIR)$(homedir)/logs
	$(SUBST) dist/weir.conf.5 > $(B)/weir.conf.5 && \
	    install -m 644 $(B)/weir.conf.5 $(DESTDIR)$(mandir)/man5/weir.conf.5
	install -m 644 dist/weir.sysusers $(DESTDIR)$(sysusersdir)/weir.conf
	$(SUBST) dist/weir.tmpfiles > $(B)/weir.tmpfiles && \
	    install -m 644 $(B)/weir.tmpfiles $(DESTDIR)$(tmpfilesdir)/weir.conf
	install -m 644 dist/weir.bash $(DESTDIR)$(bashdir)/weir
	install -m 644 dist/weir.zsh $(DESTDIR)$(zshdir)/_weir
	@+$(MAKE) --no-print-directory install-headers
	install -d $(DESTDIR)$(modulesdir)
	test -L $(DESTDIR)$(homedir)/modules || ln -s $(modulesdir) $(DESTDIR)$(homedir)/modules

# What modules are built with (docs/modules.md).
.PHONY: install-headers
install-headers: $(B)/interface.h
	install -d $(DESTDIR)$(pcdir) $(sort $(dir $(PUBLIC_HDRS:src/%=$(DESTDIR)$(includedir)/weir/%)))
	for f in $(PUBLIC_HDRS:src/%=%); do \
	    install -m 644 src/$$f $(DESTDIR)$(includedir)/weir/$$f || exit 1; \
	done
	install -m 644 $(B)/interface.h $(DESTDIR)$(includedir)/weir/interface.h
	$(SUBST) dist/weir.pc > $(B)/weir.pc && install -m 644 $(B)/weir.pc $(DESTDIR)$(pcdir)/weir.pc

# The configuration and the logs stay: they are the user's.
uninstall:
	rm -f $(DESTDIR)$(sbindir)/weir $(DESTDIR)$(mandir)/man8/weir.8 $(DESTDIR)$(unitdir)/weir.service \
	    $(DESTDIR)$(rotatedir)/weir $(DESTDIR)$(confdir)/weir.conf.default
	rm -f $(DESTDIR)$(mandir)/man5/weir.conf.5 $(DESTDIR)$(sysusersdir)/weir.conf \
	    $(DESTDIR)$(tmpfilesdir)/weir.conf $(DESTDIR)$(bashdir)/weir $(DESTDIR)$(zshdir)/_weir
	rm -rf $(DESTDIR)$(includedir)/weir $(DESTDIR)$(pcdir)/weir.pc

# build/weir_VERSION_ARCH.deb, and a trial of it in a Debian of its own (as root).
.PHONY: deps-deb deb deb-test
deps-deb:
	@sh tools/deps.sh build deb
deb: deps-deb
	@sh tools/deb-build.sh '$(MAKE)' $(VERSION) build
deb-test: deb
	@sh tools/deb-test.sh build/weir_$(VERSION)_*.deb

# ---- the rest ----------------------------------------------------------------------------------

.PHONY: clean
clean:
	rm -rf build

# Installs into build/install and tries what came out.
.PHONY: install-test
install-test: all
	@sh tools/install-test.sh '$(MAKE)' $(abspath build/install)

.PHONY: version
version:
	@echo $(VERSION)

.PHONY: help
help:
	@echo "make                build build/weir"
	@echo "make run            build, then start a demonstration with its own peers"
	@echo "make test           unit, simulator and functional tests (T=part of a path for fewer)"
	@echo "make unit|sim|func  one kind of them"
	@echo "make check          format, source rules, floors, metrics, headers, tools, unit, sim"
	@echo "make lint           gcc and clang analyzers, clang-tidy, cppcheck"
	@echo "make asan|tsan|msan the tests under a sanitizer"
	@echo "make torture        the tests with each allocation failing in turn, under ASan"
	@echo "make fuzz           each fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make soak           the long run: large bodies, requests, reloads, a browser (SOAK_SCALE=0.01)"
	@echo "make cov            line coverage, and its floors"
	@echo "make bench          run the program that WEIR_BENCH names"
	@echo "make headers        each header compiles alone"
	@echo "make format         rewrite the sources with $(CLANG_FORMAT)"
	@echo "make install        DESTDIR= prefix=$(prefix)"
	@echo "make install-headers  headers for modules (docs/modules.md); part of make install"
	@echo "make uninstall      takes away what install brought, except the configuration"
	@echo "make deb            build/weir_$(VERSION)_ARCH.deb; make deb-test tries it in a chroot"
	@echo "make clean          remove build/"
	@echo "Variables: VARIANT=asan|tsan|msan|fuzz|cov|clang, LTO=1, CC, CFLAGS, WERROR=0|1, V=1, JOBS"
