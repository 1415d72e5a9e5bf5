# shellcheck shell=bash
# Shared by the suites with a server: a cluster in the suite's folder, and the choice of tests. Sourced by them.
#
# The cluster listens on a socket in that folder and nowhere else. test/regression.conf is the part of its settings that
# the tests rely on.

# shellcheck source=/dev/null
. "$WORK/server/env"
export PATH=$BINDIR:$PATH

# With assertions, with sanitizers, under valgrind, or without caches, everything may take this many times longer.
limit_factor=1
[[ ! ${SANITIZE:-} && $(pg_config --configure) != *--enable-cassert* ]] || limit_factor=4
[[ ! ${DISCARD_CACHES:-}${VALGRIND:-} ]] || limit_factor=20

# What no server's log may contain, whatever the tests did to the server.
readonly accidents='TRAP:|terminated by signal (4|6|7|8|11)[: ]|leak: |was not closed|non-empty SPI stack|problem in alloc set|detected write past chunk end'

# start_cluster [SETTING…]
start_cluster() {
    initdb -D data -U postgres -A trust --no-locale -E UTF8 --no-sync >initdb.log
    cat "$CHECKOUT/test/regression.conf" - >>data/postgresql.conf <<END
# The scheduler must not clear what the tests count.
sync_job.log_retention_days = -1
listen_addresses = ''
unix_socket_directories = '$PWD'
fsync = off
log_line_prefix = '%m [%p] %b %q%a '
$(printf '%s\n' "$@")
END
    if ! pg_ctl -D data -l server.log -w -s start; then
        cat server.log
        exit 1
    fi
    export PGHOST=$PWD PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}

# It is not enough that the tests passed: the server must stop when told to, and its log must be free of accidents.
stop_cluster() {
    local healthy=yes
    if ! pg_ctl -D data -m fast -w -t $((30 * limit_factor)) -s stop; then
        echo "FAILED: the server did not shut down within $((30 * limit_factor)) s."
        healthy=
    fi
    if grep -E "$accidents|PANIC|terminated by signal|terminating any other active|not properly|stuck" server.log; then
        echo "FAILED: the server's log has the lines above; it is $PWD/server.log"
        healthy=
    fi
    [[ $healthy ]]
}

# From the names given, those that TESTS asks for.
chosen() {
    local name part
    for name in "$@"; do
        for part in ${TESTS:-''}; do
            if [[ $name == *"$part"* ]]; then
                echo "${name#./}"
                break
            fi
        done
    done
}

none_chosen() {
    echo "No test here is called like \"$TESTS\"."
    exit 77
}
