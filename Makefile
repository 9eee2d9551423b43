# Perilune: `make run` serves the quickstart, `make test` runs every test.
# Both install what is missing first (apt, with sudo when not root).
#
#   make                     build/perilune, build/libperilune.a, build/libperilune.so
#   make SAN=address test    with a sanitizer: address, undefined or thread; all it builds is in build/address
#   make FAULT=1 test        unit tests again with the n-th allocation failing
#   make local               libllama and small models for local inference, into local/ (npm, pip)
#   make man                 the man pages perilune(1) and perilune.lua(5), into build/man
#   make abi                 records what the header promises to programs (tests/lint/abi.lua)
#   make lint | bench | soak | fuzz | install | clean

CC      ?= cc
PREFIX  ?= /usr/local
SAN     ?=
FAULT   ?=
FLAVOR  := $(if $(SAN),$(SAN),release)
B       := build
O       := $(B)/$(FLAVOR)
D       := $(if $(SAN),$(O),$(B))

PACKAGES := pkg-config libluajit-5.1-dev luajit libuv1-dev libcurl4-openssl-dev libssl-dev zlib1g-dev libzstd-dev libhiredis-dev libsqlite3-dev
PKGS     := luajit libuv libcurl openssl zlib libzstd hiredis sqlite3
# TLS to Redis, where the distribution's hiredis has it (1.0 and newer).
REDIS_TLS = $(shell pkg-config --exists hiredis_ssl 2>/dev/null && echo hiredis_ssl)
SUDO     := $(if $(filter 0,$(shell id -u)),,sudo)

PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) $(REDIS_TLS) 2>/dev/null) $(if $(REDIS_TLS),-DPERILUNE_REDIS_TLS)
PKG_LIBS   = $(shell pkg-config --libs $(REDIS_TLS) $(PKGS) 2>/dev/null) -lm -lpthread -ldl

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
OPT      = $(if $(SAN),-O1 -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all,-O2)
CFLAGS  ?= -g
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(CFLAGS) -Icore -Icore/include -fPIC -fvisibility=hidden -MMD -MP $(PKG_CFLAGS)
LINK    := $(if $(SAN),-fsanitize=$(SAN))

SRC   := $(filter-out core/cli/main.c core/rock/module.c,$(wildcard core/*/*.c))
OBJ   := $(SRC:core/%.c=$(O)/%.o) $(O)/embedded.o $(B)/vocab.o $(B)/table.o $(B)/jobs_script.o
TOBJ  := $(SRC:core/%.c=$(O)/t/%.o) $(O)/embedded.o $(B)/vocab.o $(B)/table.o $(B)/jobs_script.o
LUA   := $(wildcard lua/perilune/*.lua policies/*.lua)
UNITS := $(patsubst tests/unit/test_%.c,$(O)/test_%,$(wildcard tests/unit/test_*.c))
FUZZ  := $(patsubst tests/fuzz/%.c,$(O)/%,$(wildcard tests/fuzz/fuzz_*.c))
BIN   := $(D)/perilune

export PERILUNE := $(CURDIR)/$(BIN)
ifeq ($(SAN),thread)
export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/support/tsan.supp $(TSAN_OPTIONS)
endif

.PHONY: all deps run rock rock-stripped rock-test local test unit wire jobs specs clients fuzz lint abi man bench cases soak install clean examples-test examples-hosts tokens redis brokers kafka vectors autobahn

# Targets for people stand above files. What they need is built by one make of its own, in
# parallel and only there: `make -j test` neither runs suites at once nor builds a file twice.
ifndef BUILDING
.NOTPARALLEL:
endif
build = $(MAKE) -s --no-print-directory BUILDING=1 $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

all: deps
	+@$(build) $(D)/libperilune.a $(D)/libperilune.so $(BIN)

# -- what is missing ------------------------------------------------------------

deps:
	@pkg-config --exists $(PKGS) 2>/dev/null && command -v luajit >/dev/null || { \
	  echo "installing: $(PACKAGES)"; \
	  $(SUDO) apt-get install -y $(PACKAGES) >/dev/null 2>&1 || { \
	    $(SUDO) apt-get update && $(SUDO) DEBIAN_FRONTEND=noninteractive apt-get install -y $(PACKAGES); }; }

# -- building ---------------------------------------------------------------------

# Lua's errors and yields leave C functions behind the sanitizer's back, whose own stack of calls
# would grow by gigabytes.
ifeq ($(SAN),thread)
$(O)/bridge/%.o $(O)/t/bridge/%.o: OPT += --param=tsan-instrument-func-entry-exit=0
endif

$(O)/%.o: core/%.c
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(ALL_CFLAGS) -c $< -o $@

$(O)/t/%.o: core/%.c
	@mkdir -p $(@D)
	@$(CC) $(ALL_CFLAGS) -DPERILUNE_TEST -c $< -o $@

# Lua files inside the program: texts, and a table of name, begin, end (embedded.c reads it).
# The library is embedded as bytecode (it loads ten times faster), policies as text,
# because the sandbox takes nothing else.
$(O)/embedded.S: $(LUA) Makefile
	@mkdir -p $(@D)/lua/perilune
	@for f in $(filter lua/%,$(LUA)); do luajit -bg $$f $(@D)/$$f.raw && mv $(@D)/$$f.raw $(@D)/$$f || exit 1; done
	@{ printf '.section .rodata\n'; i=0; \
	   for f in $(LUA); do i=$$((i+1)); \
	     case $$f in lua/*) t=$(O)/$$f;; *) t=$$f;; esac; \
	     printf 'n%d: .asciz "%s"\nb%d: .incbin "%s"\ne%d: .byte 0\n' $$i "$${f#lua/}" $$i "$$t" $$i; done; \
	   printf '.section .data.rel.ro,"aw"\n.balign 8\n.globl embedded_table\n.hidden embedded_table\nembedded_table:\n'; i=0; \
	   for f in $(LUA); do i=$$((i+1)); printf '.quad n%d, b%d, e%d\n' $$i $$i $$i; done; \
	   printf '.quad 0, 0, 0\n.section .note.GNU-stack,"",@progbits\n'; } > $@

$(O)/embedded.o: $(O)/embedded.S
	@$(CC) -c $< -o $@

# Vocabularies inside the program: core/tokens/vocab/NAME.pairs, expanded to the form that is mapped.
# The tool that does it runs on the machine that builds.
HOSTCC ?= cc
VOCABS := cl100k_base o200k_base
EXPAND_SRC := core/tokens/vocab/expand.c $(addprefix core/,$(addprefix tokens/,vocab_build.c vocab.c pretokenize.c special_tokens.c bpe_merge.c unicode.c) \
              $(addprefix base/,buf.c mem.c err.c json.c json_write.c utf8.c))

$(B)/expand: $(EXPAND_SRC) core/tokens/vocab_int.h core/tokens/vocab_build.h core/tokens/pretokenize.h
	@mkdir -p $(@D)
	@$(HOSTCC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -Icore -Icore/include -o $@ $(EXPAND_SRC) -lm

$(B)/%.vocab: core/tokens/vocab/%.pairs $(B)/expand
	@echo "  VOCAB $*"
	@$(B)/expand $< $* $@

$(B)/vocab.o: $(VOCABS:%=$(B)/%.vocab)
	@{ printf '.section .rodata\n'; for v in $(VOCABS); do \
	     printf '.balign 4096\n.globl vocab_%s, vocab_%s_end\n.hidden vocab_%s, vocab_%s_end\n' $$v $$v $$v $$v; \
	     printf 'vocab_%s: .incbin "$(B)/%s.vocab"\nvocab_%s_end:\n' $$v $$v $$v; done; \
	   printf '.section .note.GNU-stack,"",@progbits\n'; } > $(B)/vocab.S
	@$(CC) -c $(B)/vocab.S -o $@

# The table of tokens' vectors and the pair model, as they are (core/semantic/static_table.c, pair.c).
ROWS := core/semantic/table/o200k.rows
PAIR := core/semantic/table/pair.model

$(B)/table.o: $(ROWS) $(PAIR) Makefile
	@mkdir -p $(@D)
	@{ printf '.section .rodata\n.balign 4096\n.globl static_table_rows, static_table_rows_end\n'; \
	   printf '.hidden static_table_rows, static_table_rows_end\n'; \
	   printf 'static_table_rows: .incbin "$(ROWS)"\nstatic_table_rows_end:\n'; \
	   printf '.balign 16\n.globl pair_model_bytes, pair_model_bytes_end\n.hidden pair_model_bytes, pair_model_bytes_end\n'; \
	   printf 'pair_model_bytes: .incbin "$(PAIR)"\npair_model_bytes_end:\n'; \
	   printf '.section .note.GNU-stack,"",@progbits\n'; } > $(B)/table.S
	@$(CC) -c $(B)/table.S -o $@

# What Redis is told to do with jobs (core/jobs/jobs_redis.c).
$(B)/jobs_script.o: core/jobs/jobs_redis.lua Makefile
	@mkdir -p $(@D)
	@{ printf '.section .rodata\n.globl jobs_script_text, jobs_script_text_end\n'; \
	   printf '.hidden jobs_script_text, jobs_script_text_end\n'; \
	   printf 'jobs_script_text: .incbin "$<"\njobs_script_text_end: .byte 0\n'; \
	   printf '.section .note.GNU-stack,"",@progbits\n'; } > $(B)/jobs_script.S
	@$(CC) -c $(B)/jobs_script.S -o $@

$(O)/objects.a: $(OBJ)
	@rm -f $@ && ar rcs $@ $^

$(O)/libperilune_test.a: $(TOBJ)
	@rm -f $@ && ar rcs $@ $^

# One object, hidden symbols made local, so that the archive exports perilune_ only.
$(D)/libperilune.a: $(OBJ)
	@echo "  AR   $@"
	@ld -r -o $(O)/perilune_all.o $^ && objcopy --localize-hidden $(O)/perilune_all.o
	@rm -f $@ && ar rcs $@ $(O)/perilune_all.o

$(D)/libperilune.so: $(OBJ) core/perilune.map
	@echo "  LD   $@"
	@$(CC) -shared -Wl,-soname,libperilune.so.0 -Wl,--version-script=core/perilune.map $(LINK) -o $@ $(OBJ) $(PKG_LIBS)

$(BIN): $(O)/cli/main.o $(O)/objects.a
	@echo "  LD   $@"
	@$(CC) $(LINK) -o $@ $^ $(PKG_LIBS)

# -- the rock ------------------------------------------------------------------------

# A module of other programs' LuaJIT: it has no Lua of its own, and shows nothing but luaopen_perilune.  Its Lua files
# are texts, because bytecode is of one version of LuaJIT, and it takes no object that it does not need.
ROCK      := $(D)/rock/perilune.so
ROCK_LUA  := $(filter-out %_command.lua %/meta.lua %/rock_meta.lua lua/perilune/test%,$(LUA))
ROCK_LIBS  = $(shell pkg-config --libs $(REDIS_TLS) $(filter-out luajit,$(PKGS)) 2>/dev/null) -lm -lpthread -ldl

$(O)/rock/embedded.S: $(LUA) Makefile
	@mkdir -p $(@D)
	@{ printf '.section .rodata\n'; i=0; \
	   for f in $(ROCK_LUA); do i=$$((i+1)); \
	     printf 'n%d: .asciz "%s"\nb%d: .incbin "%s"\ne%d: .byte 0\n' $$i "$${f#lua/}" $$i "$$f" $$i; done; \
	   printf '.section .data.rel.ro,"aw"\n.balign 8\n.globl embedded_table\n.hidden embedded_table\nembedded_table:\n'; i=0; \
	   for f in $(ROCK_LUA); do i=$$((i+1)); printf '.quad n%d, b%d, e%d\n' $$i $$i $$i; done; \
	   printf '.quad 0, 0, 0\n.section .note.GNU-stack,"",@progbits\n'; } > $@

$(O)/rock/embedded.o: $(O)/rock/embedded.S
	@$(CC) -c $< -o $@

$(O)/rock/objects.a: $(filter-out $(O)/embedded.o,$(OBJ))
	@rm -f $@ && ar rcs $@ $^

$(ROCK): $(O)/rock/module.o $(O)/rock/embedded.o $(O)/rock/objects.a core/rock/module.map
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CC) -shared -Wl,--version-script=core/rock/module.map -Wl,-z,nodelete $(LINK) -o $@ $(filter-out %.map,$^) $(ROCK_LIBS)

rock:
	@for p in $(PKGS); do pkg-config --exists $$p || missing="$$missing $$p"; done; [ -z "$$missing" ] || { \
	  echo "make rock: pkg-config does not find$$missing; on Debian: apt install $(PACKAGES)" >&2; exit 1; }
	+@$(build) $(ROCK)

# For LuaRocks, which installs it.
rock-stripped: rock
	@mkdir -p $(D)/rock/stripped
	@objcopy --strip-unneeded $(ROCK) $(D)/rock/stripped/perilune.so

# In a plain LuaJIT, and as LuaRocks installs it; without it the latter is skipped, with a sentence.
rock-test: all rock
	@CC="$(CC) $(LINK)" sh tests/rock/run.sh $(D)/rock $(SAN)

$(O)/test_%: tests/unit/test_%.c tests/unit/unit.c $(O)/libperilune_test.a $(wildcard tests/unit/*.h)
	@$(CC) $(ALL_CFLAGS) -DPERILUNE_TEST -Itests/unit $(LINK) -o $@ $(filter-out %.h,$^) $(PKG_LIBS)

$(O)/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/driver.c $(O)/libperilune_test.a
	@$(CC) $(ALL_CFLAGS) -DPERILUNE_TEST -Itests/fuzz $(LINK) -o $@ $^ $(PKG_LIBS)

$(O)/bench_%: tests/bench/%.c $(O)/objects.a
	@$(CC) $(ALL_CFLAGS) $(LINK) -o $@ $^ $(PKG_LIBS)

# Makes the table that ships (core/semantic/table/README.md); for the machine that it is built on.
$(O)/fit_rows: core/semantic/table/fit.c $(O)/objects.a
	@$(CC) $(ALL_CFLAGS) -O3 -ffast-math -march=native $(LINK) -o $@ $^ $(PKG_LIBS)

# Says back what it hears, for the Autobahn test suite (tests/autobahn).
$(O)/ws_echo: tests/autobahn/echo.c $(O)/objects.a
	@$(CC) $(ALL_CFLAGS) $(LINK) -o $@ $^ $(PKG_LIBS)

$(O)/encode: tests/tokens/encode.c $(O)/libperilune_test.a
	@$(CC) $(ALL_CFLAGS) -DPERILUNE_TEST $(LINK) -o $@ $^ $(PKG_LIBS)

-include $(OBJ:.o=.d) $(TOBJ:.o=.d) $(O)/cli/main.d

# -- running -----------------------------------------------------------------------

run: all
	@$(BIN) serve examples/quickstart.lua

example-%: all
	@$(BIN) serve examples/$*.lua

example-embed: all
	@$(CC) $(LINK) -Icore/include -o $(D)/embed examples/embed.c $(D)/libperilune.a $(PKG_LIBS)
	@$(D)/embed examples/embed.lua

example-rules: all
	@$(CC) $(LINK) -Icore/include -o $(D)/rules examples/rules.c $(D)/libperilune.a $(PKG_LIBS)
	@$(D)/rules examples/rules.lua

# Programs in C++, Python, Go, Rust, LuaJIT, and nginx, each where what it needs is installed (examples/hosts).
examples-hosts: all rock
	@luajit tests/examples/hosts.lua $(D)/libperilune.so $(ROCK)

# Pinned, with checksums: what local inference is tried and tested with (tests/local/fetch.sh).
local:
	@sh tests/local/fetch.sh local

# -- testing -------------------------------------------------------------------------

test: all
	@$(MAKE) --no-print-directory unit specs wire jobs redis brokers vectors fuzz examples-test rock-test
	@$(if $(SAN),,$(MAKE) --no-print-directory clients tokens)
	@echo "all suites passed"

unit: all
	+@$(build) $(UNITS)
	@for t in $(UNITS); do echo "== $$(basename $$t)"; FAULT=$(FAULT) $$t || exit 1; done

# A server for the tests of the Kafka driver, where Go is installed; without it they say that they are skipped.
KFAKE := tests/brokers/kfake
$(B)/kfake: $(wildcard $(KFAKE)/*)
	@mkdir -p $(@D)
	@echo "  GO   $@"
	@cd $(KFAKE) && go build -o $(CURDIR)/$@ .

specs: all
	@$(BIN) test $(wildcard tests/lua/*_spec.lua) $(wildcard tests/eval/*_spec.lua) $(wildcard examples/policies/*_spec.lua)

wire: all
	@luajit tests/support/selftest.lua
	@luajit tests/wire/run.lua
	@luajit tests/wire/kit.lua

# Killed, drained, reloaded with jobs under way.
jobs: all
	@luajit tests/jobs/run.lua
	@luajit tests/jobs/turns.lua

# PERILUNE_REDIS8, PERILUNE_REDISEARCH: with real servers, too.
vectors: all
	@luajit tests/vectors/run.lua

# Installs a Redis where there is none.
redis: all
	@sh tests/redis/run.sh

# Installs a RabbitMQ where there is none.
brokers: all
	@sh tests/brokers/run.sh

# Minutes, so it is no part of `make test`.  Skipped where there is no Go to build a server with; PERILUNE_KAFKA=host:port:
# with one that is there.
kafka: all
	+@! command -v go >/dev/null || $(build) $(B)/kfake || echo "no $(B)/kfake: go could not build it"
	+@$(build) $(O)/test_broker_kafka
	@$(O)/test_broker_kafka
	@luajit tests/brokers/kafka.lua $(ROUNDS)

clients: all
	@sh tests/clients/run.sh

# Every token against tiktoken's; MODELS=1: and against tokenizers', for models' own vocabularies.
tokens: all
	+@$(build) $(O)/encode
	@sh tests/tokens/run.sh $(O)/encode $(BIN)

fuzz: all
	+@$(build) $(FUZZ)
	@for f in $(FUZZ); do n=$$(basename $$f); $$f tests/fuzz/corpus/$${n#fuzz_} $${FUZZ_SECONDS:-5} || exit 1; done

# Autobahn's WebSocket cases, where its test suite is installed (WSTEST=...).
autobahn: all
	+@$(build) $(O)/ws_echo
	@sh tests/autobahn/run.sh

examples-test: all
	@luajit tests/examples/run.lua $(BIN) "$(CC) $(LINK)" "$(O)/objects.a $(PKG_LIBS)"
	@$(if $(SAN),,$(MAKE) --no-print-directory examples-hosts)
	@$(if $(SAN),,CC="$(CC)" sh tests/examples/install.sh)

soak: all
	@luajit tests/soak/soak.lua $${SOAK_SECONDS:-60}

lint:
	@luajit tests/lint/layers.lua
	@luajit tests/lint/words.lua
	@luajit tests/lint/api.lua
	@luajit tests/lint/metrics.lua
	+@$(build) $(D)/libperilune.so
	@luajit tests/lint/abi.lua $(D)/libperilune.so "$(CC)"
	+@$(build) $(B)/man/perilune.1
	@sh tests/lint/man.sh $(B)/man

# Out of --help and the manual's section on the configuration (core/cli/man.lua).
man: all
	+@$(build) $(B)/man/perilune.1

$(B)/man/perilune.1: $(BIN) README.md core/cli/man.lua lua/perilune/config.lua
	@mkdir -p $(@D)
	@luajit core/cli/man.lua $(BIN) $(@D)

# After a change of the header that is meant: records what programs are compiled against.
abi:
	+@$(build) $(D)/libperilune.so
	@luajit tests/lint/abi.lua $(D)/libperilune.so "$(CC)" --record

bench: all rock
	@sh tests/bench/run.sh

cases: all
	@luajit tests/bench/compress.lua cases

VERSION = $(shell sed -n 's/^.define PERILUNE_VERSION_STRING "\(.*\)"/\1/p' core/include/perilune.h)

# Where the loader does not look by itself, programs are told where the library is.
RPATH = $(if $(filter /usr /usr/local,$(PREFIX)),, -Wl,-rpath,$${libdir})
PC_HEAD = 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	  'Description: runtime for applications of large language models' 'Version: $(VERSION)' 'Cflags: -I$${includedir}'

$(B)/perilune.pc: core/include/perilune.h Makefile
	@printf '%s\n' $(PC_HEAD) 'Name: perilune' 'Libs: -L$${libdir}$(RPATH) -lperilune' 'Libs.private: $(PKG_LIBS)' > $@

# The linker takes a shared library where both are: this names the other one.
$(B)/perilune-static.pc: core/include/perilune.h Makefile
	@printf '%s\n' $(PC_HEAD) 'Name: perilune-static' 'Libs: $${libdir}/libperilune.a $(PKG_LIBS)' > $@

install: all
	@$(if $(SAN),echo "make install: without SAN=$(SAN); what has a sanitizer in it is for tests" >&2; exit 1)
	+@rm -f $(B)/perilune*.pc; $(build) $(B)/perilune.pc $(B)/perilune-static.pc $(B)/man/perilune.1
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include share/perilune)
	install -m 755 $(B)/perilune $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(D)/libperilune.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(D)/libperilune.so $(DESTDIR)$(PREFIX)/lib/libperilune.so.0
	ln -sf libperilune.so.0 $(DESTDIR)$(PREFIX)/lib/libperilune.so
	install -m 644 core/include/perilune.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(B)/perilune.pc $(B)/perilune-static.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig/
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,lib/systemd/system share/man/man1 share/man/man5)
	install -m 644 $(B)/man/perilune.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(B)/man/perilune.lua.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	sed 's#@PREFIX@#$(PREFIX)#' examples/deploy/perilune.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/perilune.service
	install -m 644 examples/deploy/perilune.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	cp -r lua policies examples $(DESTDIR)$(PREFIX)/share/perilune/
	sed 's|/usr/local|$(PREFIX)|' lua/luarc.json > $(DESTDIR)$(PREFIX)/share/perilune/lua/luarc.json

clean:
	rm -rf $(B)
