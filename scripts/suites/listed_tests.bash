# shellcheck shell=bash
# Runs the tests of pg_regress or pg_isolation_regress that a schedule lists, each in a database of its own that is dropped
# afterwards: so each runs the same alone and with the others, and the ids in its output are always the same. Sourced.

# shellcheck source=scripts/suites/cluster.bash
. "$CHECKOUT/scripts/suites/cluster.bash"

readonly time_limit=${TEST_TIMEOUT:-$((120 * limit_factor))} # seconds, for one test
schedule=() driver='' input=''

# Every test is in the schedule and has expected output, and there is no output without a test.
check_lists() {
    local folder=$1 extension=$2 wrong='' name
    for name in $(cd "$input/$folder" && ls); do
        name=${name%."$extension"}
        if [[ " ${schedule[*]} " != *" $name "* ]]; then
            echo "FAILED: $name is not in the schedule."
            wrong=yes
        fi
    done
    for name in "${schedule[@]}"; do
        if [[ ! -e $input/$folder/$name.$extension ]]; then
            echo "FAILED: the schedule lists $name, and there is no such test."
            wrong=yes
        elif [[ ! -e $input/expected/$name.out ]]; then
            echo "$name has no expected output yet; see the diff, and make it with ACCEPT=1."
            touch "$input/expected/$name.out"
        fi
    done
    for name in $(cd "$input/expected" && ls); do
        name=${name%.out}
        if [[ " ${schedule[*]} " != *" $name "* && " ${schedule[*]} " != *" ${name%_[0-9]} "* ]]; then
            echo "FAILED: expected/$name.out belongs to no test."
            wrong=yes
        fi
    done
    [[ -z $wrong ]] || exit 1
}

run_test() {
    local name=$1 out=out/$1 started=${EPOCHREALTIME/./}
    shift
    mkdir -p "$out" results
    local result=ok
    timeout "$time_limit" "$driver" --host="$PGHOST" --port="$PGPORT" --user="$PGUSER" --dbname=regression --encoding=UTF8 \
        --bindir="$BINDIR" --inputdir="$input" --outputdir="$out" "$@" "$name" >"$out/log" 2>&1 || result=FAILED
    cp "$out"/results/*.out results/ 2>/dev/null || true
    printf '%-7s %-30s %5d ms\n' "$result" "$name" $(((${EPOCHREALTIME/./} - started) / 1000))
    if [[ $result != ok ]]; then
        if [[ -s $out/regression.diffs ]]; then
            head -n 300 "$out/regression.diffs"
        else
            tail -n 20 "$out/log" "$out"/results/*.out
        fi
    fi
    timeout 60 bash -c 'until pg_isready -q; do sleep 0.1; done' || true # it may be recovering from a crash
    if ! timeout 60 dropdb --if-exists --force regression; then
        echo "FAILED: its database could not be dropped."
        result=FAILED
    fi
    [[ $result == ok ]]
}

# run_listed_tests FOLDER EXTENSION SCHEDULE [ARGUMENT OF THE DRIVER…]
run_listed_tests() {
    local folder=$1 extension=$2 names name failed=0
    read -r -d '' -a schedule < <(sed -n 's/^test://p' "$3") || true
    shift 3
    check_lists "$folder" "$extension"
    names=$(chosen "${schedule[@]}")
    [[ $names ]] || none_chosen
    # shellcheck disable=SC2119 # no settings of its own
    # Even on a slow machine, no job may take so long that it runs again alone: its first attempt would have used a sequence value.
    start_cluster 'sync_job.batch_time = 10s'
    for name in $names; do
        run_test "$name" "$@" || failed=$((failed + 1))
    done
    wc -w <<<"$names" >count
    stop_cluster || exit 1
    ((failed == 0))
}
