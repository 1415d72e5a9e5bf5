# pg_sync_job: one door to everything. `make help` lists what there is.
#
# PGXS builds and installs the extension; CMake (called from here) builds the plain C++ part with its unit
# tests. The two never build the same thing.

PG_CONFIG ?= $(firstword $(wildcard /usr/lib/postgresql/15/bin/pg_config) pg_config)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
EXTENSION_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" pg_sync_job.control)

EXTENSION = pg_sync_job pg_sync_job_testing
MODULE_big = pg_sync_job
SOURCES := $(sort $(wildcard src/*.cpp src/*/*.cpp))
OBJS = $(SOURCES:.cpp=.o)

# The install script of this version is made from parts, in this order. Those of released versions are frozen, and installed
# beside it with the scripts that lead from one version to the next.
SQL_PARTS = $(addprefix sql/, header.sql types.sql tables.sql enqueue.sql control.sql trigger.sql maintenance.sql \
	background.sql schedule.sql views.sql alerts.sql console.sql metrics.sql http.sql nodes.sql rights.sql)
SCRIPT_SQL = sql/pg_sync_job--$(EXTENSION_VERSION).sql
DATA_built = $(SCRIPT_SQL)
DATA = $(filter-out $(SCRIPT_SQL), $(wildcard sql/pg_sync_job--*.sql)) sql/pg_sync_job_testing--1.0.0.sql

# Exports only what the server must find, and binds no inline symbol to another extension's.
# WERROR=-Werror is for the tests; a user's newer compiler may warn of what ours does not. So is SANITIZE=address,undefined:
# with the server's own -O2 -g, the compiler would then take three times as long. COPT is what pg_buildext hands on; the server's own
# makefile gives it to what is in C.
PG_CXXFLAGS = -std=gnu++20 -Wall -Wextra -Wno-register -fvisibility=hidden -fvisibility-inlines-hidden \
	-Isrc -Iinclude -MMD -MP $(COPT) $(WERROR) -DSYNC_JOB_VERSION='"$(EXTENSION_VERSION)"' $(SANITIZE:%=-fsanitize=% -fno-omit-frame-pointer -O1 -g1)
SHLIB_LINK += -lstdc++ -Wl,--version-script=src/exports.map $(SANITIZE:%=-fsanitize=%)
EXTRA_CLEAN = $(OBJS:.o=.d) $(SCRIPT_SQL) build output_*
# No JIT bitcode: a worker gains nothing from inlining its own functions into queries.
override with_llvm = no

all:

ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

all: $(SCRIPT_SQL)

# The seam: only src/pg/ sees the server's headers. For the others they do not exist.
OUTSIDE_SEAM = $(filter-out src/pg/%, $(OBJS))
$(OUTSIDE_SEAM): override CPPFLAGS := -D_GNU_SOURCE
# They call the HTTP client, which has a header of its own.
src/engine/http_transport.o src/pg/http_library.o: override CPPFLAGS += -I.

# It has the version, which is compiled in.
$(OBJS): pg_sync_job.control

# What native controllers are built against: headers among those of the server's extensions, and a package for CMake where that looks.
# And the folder where the server looks for them.
native_include = $(includedir_server)/extension
native_cmake = $(libdir)/cmake/sync_job
native_library = $(pkglibdir)/sync_job
from_cmake = $(shell realpath -m --relative-to='$(native_cmake)' '$(1)')
.PHONY: install-native uninstall-native
install: install-native
install-native:
	$(MKDIR_P) '$(DESTDIR)$(native_include)/sync_job' '$(DESTDIR)$(native_cmake)' '$(DESTDIR)$(native_library)'
	$(INSTALL_DATA) $(filter-out %.cmake, $(wildcard include/sync_job/*)) '$(DESTDIR)$(native_include)/sync_job'
	sed -e 's|@INCLUDE@|$(call from_cmake,$(native_include))|' -e 's|@LIBRARY@|$(call from_cmake,$(native_library))|' \
		include/sync_job/sync_job-config.cmake > '$(DESTDIR)$(native_cmake)/sync_job-config.cmake'
	chmod 644 '$(DESTDIR)$(native_cmake)/sync_job-config.cmake'
uninstall: uninstall-native
uninstall-native:
	rm -rf '$(DESTDIR)$(native_include)/sync_job' '$(DESTDIR)$(native_cmake)'
	-rmdir '$(DESTDIR)$(native_library)' # which may have controllers of others
else
all install:
	@echo "PostgreSQL's server headers are missing. Run: make deps" && false
clean:
	rm -rf $(OBJS) $(EXTRA_CLEAN)
endif

$(SCRIPT_SQL): $(SQL_PARTS)
	cat $^ > $@

# For goals that compile here only: a build that was killed leaves half a .d behind, which make cannot read.
ifneq ($(filter-out clean help deps cli install-cli uninstall-cli http install-http uninstall-http dist deb test test-% lint tidy fuzz demo% bench%, $(or $(MAKECMDGOALS), all)),)
-include $(OBJS:.o=.d)
endif

.PHONY: help deps
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

## make deps          install the Debian packages that are missing (needs root or sudo)
deps:
	scripts/install-packages build

## make cli           install what is missing, build the command sync-job: build/cli/sync-job
## make install-cli   install it below PREFIX (/usr/local); make uninstall-cli removes what it installed
.PHONY: cli install-cli uninstall-cli
# What CMake has installed last, from the list that it keeps.
uninstall_listed = xargs -d '\n' -I {} rm -f '$(DESTDIR){}' < $(1)/install_manifest.txt
PREFIX ?= /usr/local
cli:
	scripts/install-packages cli
	cmake -S cli -B build/cli >/dev/null
	cmake --build build/cli
install-cli:
	@test -x build/cli/sync-job || { echo "There is nothing to install yet. Run: make cli" && false; }
	DESTDIR=$(DESTDIR) cmake --install build/cli --prefix $(PREFIX)
uninstall-cli:
	$(call uninstall_listed,build/cli)

## make http          install what is missing, build the HTTP client, which a server loads that pushes over HTTP: build/http
## make install-http  install it beside the extension; make uninstall-http removes it
.PHONY: http install-http uninstall-http
http:
	scripts/install-packages http
	cmake -S http -B build/http -DPG_CONFIG=$(PG_CONFIG) >/dev/null
	cmake --build build/http
install-http:
	@test -f build/http/pg_sync_job_http.so || { echo "There is nothing to install yet. Run: make http" && false; }
	DESTDIR=$(DESTDIR) cmake --install build/http
uninstall-http:
	$(call uninstall_listed,build/http)

## make dist          the archives of a release, from the commit that is checked out: build/dist
## make deb           install what is missing, build the Debian packages of that archive: build/deb
.PHONY: dist deb
dist:
	scripts/dist
deb:
	scripts/deb

## make demo          install what is missing, build, show the extension at work on real data in a throw-away server, and the console over it
## make demo-stop     end both servers and remove all of it
.PHONY: demo demo-stop
demo:
	scripts/install-packages build cli demo
	demo/run
demo-stop:
	demo/stop

## make test          install what is missing, build, run every test suite; the server in use is not touched
## make test-SUITE    one of the suites lint, exports, unit, regress, isolation, tap, pgtap, docs, demo
##                    TESTS="003 enqueue": only tests with such names; ACCEPT=1: take their output as the expected one;
##                    SANITIZE=address,undefined: build with these; KEEP=1: keep the logs; PG_CONFIG=…: that server
## make test-chaos    under a mixed load, at random: kills, restarts, shortages, DDL, maintenance, copies; not part of make test
##                    MINUTES=20, SEED=…, SCENARIOS="kill ddl": how long, with which random choices, of what
## make test-upgrade  from each released version, built from its commit, to this one, with jobs under way; not part of make test
## make test-clients drivers and ORMs from npm and Debian, in JavaScript, Python and Java, and PgBouncer; not part of make test
## make test-command the command sync-job, with and without a terminal; not part of make test, but for a look at it
## make test-native  native controllers, good and faulty ones, and the examples in C++; not part of make test, but for a look at it
## make test-metrics  promtool, postgres_exporter and Prometheus against the database, and the files of monitoring/; not part of make test
## make test-console the console: its routes, attacks on its server, its pages, stories in a browser; not part of make test, but for a look at it
## make test-http     the HTTP client, and HTTP pushes, against web servers that behave badly; not part of make test
## make test-package  the archives and Debian packages of the last commit: built, then installed, used and removed in a new Debian; needs root
## make test-citus    three servers with Citus, which CITUS_PREFIX=… brings (test/README.md); skipped without; not part of make test
## make test-model    spin looks through a model of enqueue, claim, crash, recovery and cancel; not part of make test
## make test-mutants  puts faults of one line into a copy of the tree, one after the other: a test must find each; half an hour
##                    MUTANTS="cursor limit": only those with such names
## make test-sanitize unit, regress, isolation and tap with the address and the undefined behaviour sanitizer
## make test-assert   regress, isolation, tap and pgtap in a PostgreSQL with assertions, which the first time builds
##                    ASSERT_SUITES="regress tap": only these; DISCARD_CACHES=1: one test, with its caches emptied at each use
## make test-valgrind one of its tests, 027_caches, or TESTS=…, with the server under valgrind; half an hour
## make test-sqlsmith statements that sqlsmith makes up, as an ordinary role, beside workers: MINUTES=10, SEED=…; not part of make test
## make test-matrix   the suites on this machine, and with the newer PostgreSQL of newer Debian releases and of experimental, each in a folder
##                    MATRIX="trixie": only these; MATRIX_SUITES="regress tap"; needs root; the first time takes long
## make test-fresh    make demo, make demo-stop and make test as on a new Debian that has make and nothing more; needs root
SUITES = lint exports unit regress isolation tap pgtap docs demo chaos upgrade model sqlsmith clients command metrics console http native citus
.PHONY: test $(SUITES:%=test-%) test-mutants test-sanitize test-assert test-valgrind test-matrix test-fresh test-package lint fuzz tidy
test:
	scripts/test
$(SUITES:%=test-%): test-%:
	scripts/test $*
test-mutants:
	scripts/mutants $(MUTANTS)
test-sanitize:
	SANITIZE=address,undefined scripts/test unit regress isolation tap
test-assert:
	scripts/assert
test-valgrind:
	VALGRIND=1 scripts/assert
test-matrix:
	scripts/matrix
test-fresh:
	scripts/fresh
test-package:
	scripts/package

## make web           check and build the console's pages, cli/web, into cli/web/dist, which is committed; needs Node 18 and npm
.PHONY: web
web:
	scripts/install-packages web
	scripts/web

## make bench         install what is missing, measure the extension beside others in a throw-away server: minutes
##                    BENCH="noop latency": only these workloads (bench/README.md lists them); PEERS=no: without other systems
## make bench-full    the same, with larger sizes and more passes: hours
## make bench-public  plays the phases of the public benchmark of PostgreSQL job queues (bench/public): MINUTE=10 seconds, RATE=800, WORKERS=4
.PHONY: bench bench-full bench-public
bench:
	bench/run
bench-full:
	FULL=1 bench/run
bench-public:
	BENCH=public OUT=$(or $(OUT),output_bench) bench/run

## make lint          compiler warnings and shellcheck, as in the tests
lint: test-lint

## make tidy          clang-tidy over all of src (minutes)
tidy:
	scripts/tidy

## make fuzz          fuzz src/core for a minute, or FUZZ_SECONDS
fuzz:
	scripts/fuzz
