# shellcheck shell=bash
# Runs Perl tests of a folder of test/, which make clusters of their own, with prove. Sourced.

# shellcheck source=scripts/suites/cluster.bash
. "$CHECKOUT/scripts/suites/cluster.bash"

# run_perl_tests FOLDER SECONDS JOBS: with that time limit for each test, that many at a time
run_perl_tests() {
    local folder=$1 seconds=$2 jobs=$3 names failed=
    local modules=$PGXS_SRC/test/perl
    [[ -e $modules/PostgreSQL/Test/Cluster.pm ]] || {
        echo "This server comes without the Perl modules of PostgreSQL's tests; they should be in $modules."
        exit 1
    }
    mapfile -t names < <(cd "$CHECKOUT/test/$folder" && chosen ./*.pl)
    ((${#names[@]} > 0)) || none_chosen

    cp -r "$CHECKOUT/test/." .
    mkdir ports
    export BINDIR SHAREDIR TESTDIR=$PWD TESTDATADIR=$PWD/tmp_check TESTLOGDIR=$PWD/tmp_check/log
    export PG_REGRESS=$PGXS_SRC/test/regress/pg_regress PG_TEST_PORT_DIR=$PWD/ports PG_TEST_TIMEOUT_DEFAULT=$((60 * limit_factor))
    export TEMP_CONFIG=$PWD/regression.conf
    cd "$folder" || exit
    prove --timer --jobs "$jobs" --exec "timeout ${TEST_TIMEOUT:-$((seconds * limit_factor))} perl -I . -I ../tap -I $modules" "${names[@]}" |
        tee ../prove.log || failed=yes
    sed -n 's/^Files=.*, Tests=\([0-9]*\),.*/\1/p' ../prove.log >../count
    if grep -rE --exclude="regress_log_*" "$accidents" "$TESTLOGDIR"; then
        echo "FAILED: the servers' logs have the lines above."
        failed=yes
    fi
    [[ ! $failed ]] || {
        echo "What the tests did, and the servers' logs: $TESTLOGDIR"
        exit 1
    }
}
