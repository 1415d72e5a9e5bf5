# shellcheck shell=bash
# The demo's throw-away cluster: where it is, who runs it, how it ends. Sourced by run and stop.
#
# It is in a folder of its own, /tmp/pg_sync_job_demo.XXXXXX, that only the user who runs the server can enter. The
# file "checkout" in it says to which checkout it belongs: so stop finds it, and two checkouts leave each other's alone.
# The tests have it elsewhere: they set DEMO_FOLDER, which replaces /tmp.

fail() {
    printf 'demo: %s\n' "$@" >&2
    exit 1
}

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
pg_config=${PG_CONFIG:-/usr/lib/postgresql/15/bin/pg_config}
pg_config=$(command -v "$pg_config") || fail "no pg_config: set PG_CONFIG to that of your PostgreSQL"
bin=$("$pg_config" --bindir)

clusters=${DEMO_FOLDER:-/tmp}/pg_sync_job_demo

# PostgreSQL does not run as root.
server_user=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
    server_user=postgres
    id "$server_user" >/dev/null 2>&1 ||
        fail "there is no user $server_user to run the server as: call this as an ordinary user"
fi

as_server() {
    if [ "$(id -un)" = "$server_user" ]; then
        "$@"
    else
        runuser -u "$server_user" -- "$@"
    fi
}

# The caller's settings for other servers must not apply here; and the server may not be able to read the checkout.
unset "${!PG@}"
cd /
PATH=$PATH:/usr/sbin  # runuser's folder, which root's path lacks after a plain su

# The folders of this checkout's clusters, one per line; normally one or none.
find_clusters() {
    local folder
    for folder in "$clusters".*; do
        if [ -d "$folder" ] && [ "$(stat -c %U "$folder")" = "$server_user" ] &&
            [ "$(as_server cat "$folder/checkout" 2>/dev/null)" = "$checkout" ]; then
            printf '%s\n' "$folder"
        fi
    done
}

# The console's shell writes its process id, and then execs the server.
stop_console() {
    local folder=$1 pid
    pid=$(as_server cat "$folder/console.pid" 2>/dev/null) || return 0
    as_server kill "$pid" 2>/dev/null || true
}

remove_cluster() {
    local folder=$1 data=$1/data
    stop_console "$folder"
    if as_server "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1; then
        as_server "$bin/pg_ctl" -D "$data" -s -w -t 20 -m fast stop ||
            as_server "$bin/pg_ctl" -D "$data" -s -w -m immediate stop || true
    fi
    rm -rf "$folder"  # not as the server's user: the copy of the server in it may be root's
}

remove_clusters() {
    local folder
    while read -r folder; do
        remove_cluster "$folder" </dev/null
        printf 'Stopped and removed the demo in %s.\n' "$folder"
    done < <(find_clusters)
}
