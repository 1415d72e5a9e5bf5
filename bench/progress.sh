#!/bin/bash
# What reporting progress costs: a job that reports it a million times, compared with the same job without reports, in a
# throw-away server. Fails if that costs two seconds or more extra while nobody listens.
#
#   bench/progress.sh [TIMES]      PG_CONFIG says which server; default: 1000000
set -euo pipefail

times=${1:-1000000}
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
folder=$(mktemp -d /tmp/sync_job_bench.XXXXXX)
as_server=()
if ((EUID == 0)); then
    as_server=(setpriv --reuid postgres --regid "$(id -g postgres)" --clear-groups)
fi
"$checkout/scripts/private-server" "$folder/server"
# shellcheck source=/dev/null
. "$folder/server/env"
((EUID != 0)) || chown postgres: "$folder"

clean_up() {
    "${as_server[@]}" "$BINDIR/pg_ctl" -D "$folder/data" -m fast -s -w stop || true
    rm -rf "$folder"
}
trap clean_up EXIT
cd "$folder"
"${as_server[@]}" "$BINDIR/initdb" -D data -U postgres -A trust --no-locale -E UTF8 --no-sync >/dev/null
"${as_server[@]}" tee -a data/postgresql.conf >/dev/null <<SETTINGS
shared_preload_libraries = 'pg_sync_job'
listen_addresses = ''
unix_socket_directories = '$folder'
SETTINGS
"${as_server[@]}" "$BINDIR/pg_ctl" -D data -l log -s -w start

psql() { "$BINDIR/psql" -XAtq -v ON_ERROR_STOP=1 -h "$folder" -U postgres -d postgres "$@"; }
psql <<'SQL'
CREATE EXTENSION pg_sync_job;
CREATE FUNCTION quiet(times int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int := 0;
BEGIN FOR i IN 1 .. times LOOP n := n + 1; END LOOP; RETURN n; END $$;
CREATE FUNCTION reporting(times int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int := 0;
BEGIN FOR i IN 1 .. times LOOP n := n + 1; PERFORM report_sync_job_progress(100.0 * i / times, 'Counting', 'on and on'); END LOOP; RETURN n; END $$;
CREATE FUNCTION computing(times int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int := 0;
BEGIN FOR i IN 1 .. times LOOP n := n + 1; PERFORM pg_catalog.concat(100.0 * i / times, 'Counting', 'on and on'); END LOOP; RETURN n; END $$;
SQL

# Processor time that the server's processes have used so far, in clock ticks. Wall-clock time would depend on what else
# the machine does.
ticks() {
    local process cwd sum=0 fields
    for process in /proc/[0-9]*; do
        cwd=$(readlink "$process/cwd" 2>/dev/null) || continue
        [[ $cwd == "$folder/data" ]] || continue
        read -r -a fields < <(sed 's/.*) //' "$process/stat" 2>/dev/null) || continue
        sum=$((sum + fields[11] + fields[12]))
    done
    echo "$sum"
}

# The seconds of processor time that a job takes, the best of three.
seconds() {
    local job before taken best=''
    for _ in 1 2 3; do
        before=$(ticks)
        job=$(psql -c "SELECT enqueue_background_job('$1', '{\"times\": $times}')")
        psql -c "CALL wait_for_sync_job($job, '5 minutes')"
        taken=$(($(ticks) - before))
        [[ $(psql -c "SELECT result FROM sync_job WHERE id = $job AND status = 'Finished'") == "$times" ]]
        if [[ -z $best ]] || ((taken < best)); then best=$taken; fi
    done
    awk -v ticks="$best" -v per_second="$(getconf CLK_TCK)" 'BEGIN { print ticks / per_second }'
}

seconds quiet >/dev/null  # a worker is started, and stays
quiet=$(seconds quiet)
computing=$(seconds computing)
reporting=$(seconds reporting)
awk -v times="$times" -v quiet="$quiet" -v computing="$computing" -v reporting="$reporting" 'BEGIN {
    added = reporting - quiet
    printf "%d reports of progress, in seconds of processor time:\n", times
    printf "  the job without them          %8.3f\n", quiet
    printf "  with a call of concat() each  %8.3f   what PL/pgSQL takes to compute the arguments and call a function\n", computing
    printf "  with a report each            %8.3f   %.2f µs a report\n", reporting, 1e6 * added / times
    printf "  on top                        %8.3f   of %.3f allowed\n", added, 2 * times / 1e6
    exit added >= 2 * times / 1e6
}'
