/* A model of what happens to jobs: enqueue with deduplication, claim, batch, run alone, crash, terminate, recover, retry,
 * cancel. Spin looks at every order in which the steps of the processes can interleave. scripts/suites/model runs it: each
 * scenario must hold, and each fault must be found (make test-model).
 *
 * What a step is: what one process does that others can see or that depends on others. A commit is one step: its rows
 * become visible and its row locks go. What the commit callback does after it (wake, let go of documents) are steps of their
 * own. Each step names the function that it stands for. There is one queue, one role, one database, one job type; a
 * position of a claim is the id of a job.
 *
 * Nothing polls here. Whoever sleeps has to be woken: a wake-up that is lost leaves jobs for ever, which is an
 * invalid end state. So all that polling would mend is an error here.
 *
 * What must hold:
 *   - every job that was committed ends once: Finished, Failed or Canceled; at the end none is Queued or Started
 *   - its effect is there once, if it is Finished, else not
 *   - a job never runs twice at once, nor do two jobs of one document; a later one never overtakes an earlier one
 *   - a request that was absorbed by a job, or has made one, has its change seen by that job, if it is Finished
 *   - a job is Canceled only when somebody asked for that
 *   - a job that kills its worker ends as Failed, and no other is charged, but what was alone to have run, or was
 *     cut short before
 */

/* The scenarios: at the end of the file. */
#ifndef JOBS
#define JOBS 3
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef INITIAL /* so many jobs wait at the start; the others are for the sessions */
#define INITIAL 0
#endif
#ifndef SESSIONS
#define SESSIONS 0
#endif
#ifndef ROLLBACKS /* so many sessions may roll back */
#define ROLLBACKS 0
#endif
#ifndef FAILURES /* so many attempts fail with an error */
#define FAILURES 0
#endif
#ifndef REPEATS /* so many meet a deadlock */
#define REPEATS 0
#endif
#ifndef COMMIT_FAILURES /* so many batches fail at their commit */
#define COMMIT_FAILURES 0
#endif
#ifndef KILLS /* so often the server crashes, whatever a job does */
#define KILLS 0
#endif
#ifndef TERMINATIONS /* so many workers get SIGTERM */
#define TERMINATIONS 0
#endif
#ifndef LOOKS /* so often the scheduler looks for orphans without a reason, as it does each poll_interval */
#define LOOKS 0
#endif
#ifndef MAX_RETRIES
#define MAX_RETRIES 1
#endif
#ifndef BATCH_JOBS
#define BATCH_JOBS 2
#endif
#if defined(ALONE) /* the kind of job j */
#define KIND(j) alone
#elif defined(COMMITTING)
#define KIND(j) committing
#elif defined(FIRST_BATCHABLE)
#define KIND(j) (j == 0 -> batchable : alone)
#elif defined(LAST_COMMITTING)
#define KIND(j) (j == JOBS - 1 -> committing : alone)
#else
#define KIND(j) batchable
#endif
#if defined(OF_DIFFERENT_DOCUMENTS) /* the document of job j */
#define DOCUMENT(j) ((j) == JOBS - 1 -> 1 : 0)
#elif defined(WITHOUT_DOCUMENTS)
#define DOCUMENT(j) no_document
#else
#define DOCUMENT(j) 0
#endif
#ifndef KILLER /* a job that kills the server */
#define KILLER 255
#endif

#define DOCUMENTS 2
#define no_document DOCUMENTS
#define none_at_all 255
#define PROCESSES (WORKERS + SESSIONS + 2)
#define the_scheduler (WORKERS + SESSIONS)
#define the_canceler (WORKERS + SESSIONS + 1)

#define bit(n) (1 << (n))
#define has(mask, n) (((mask) >> (n)) & 1)
#define lower(variable, to) if :: (to) < variable -> variable = to :: else fi

/* For each attempt once in a batch, once beside others, and once alone. */
#define most_killed (3 * (MAX_RETRIES + 1))

mtype = { absent, Queued, Started, Failing, Failed, Finished, Canceled };  /* Failing: Failed, with retry_after */
mtype = { batchable, alone, committing };
mtype = { good, bad, again, canceled };  /* what became of an attempt */

/* --- The table --- */

mtype status[JOBS];       /* as committed */
byte row_lock[JOBS];      /* who has the row locked, or changes it: process + 1 */
byte retries[JOBS];       /* retry_count */
bool noted[JOBS];         /* a row of sync_job_error with 57P02 that does not count, for this attempt */
byte next_id = 0;

/* The snapshot of a scan: the rows that it sees, and those of them that nobody has changed since. */
byte seen[PROCESSES];
byte fresh[PROCESSES];

/* --- What the lock manager has: session locks --- */

byte number_lock[JOBS];   /* lock_job_number(): process + 1 */

/* --- Shared memory --- */

byte lwlock = 0;
bool up[WORKERS];         /* SlotState::running */
byte documents[WORKERS];  /* lock_document() */
byte alone_job[WORKERS];  /* show_alone(): job + 1 */
byte activity[WORKERS];   /* show_job_start(): job + 1 */
byte cancel_job[WORKERS]; /* request_cancel(): job + 1 */
bool signal[WORKERS];     /* it has sent SIGINT */
bool blocked[WORKERS];
bool idle[WORKERS];
bool latch[WORKERS];
byte cursor[WORKERS];
byte lowered[WORKERS];
byte isolate[WORKERS];
bool scheduler_latch = false;
bool orphans_possible = false;
bool crashed = false;
bool settled = false;
bool trusted = false;     /* in the scheduler's memory: the group has had a worker since the crash */

bool across[WORKERS];     /* HoldLocksAcrossTransactions, in the worker's memory */

/* --- What the invariants are about --- */

byte running[JOBS];       /* from the begin of an attempt to its end: process + 1 */
byte document_busy[DOCUMENTS + 1];
byte changes[DOCUMENTS + 1];  /* committed, a bit for each session */
byte sees[JOBS];          /* the changes that its attempt has seen */
byte effects[JOBS];       /* committed */
byte asked[SESSIONS + 1]; /* the job that a session's change relies on: job + 1 */
byte cut_short = 0;       /* the jobs that were Started at the last crash */
byte cuts[JOBS];          /* at how many crashes it was, at this attempt */
bool cancel_wanted = false;
byte killed = 0;          /* how often the killer has done it */

byte sessions_left = SESSIONS;
byte rollbacks_left = ROLLBACKS;
byte failures_left = FAILURES;
byte repeats_left = REPEATS;
byte commit_failures_left = COMMIT_FAILURES;
#ifdef CANCEL
bool cancels_left = true;
#else
bool cancels_left = false;
#endif

byte dead[PROCESSES];     /* 1: the server has crashed, 2: SIGTERM */

#define has_ended(j) (status[j] == Failed || status[j] == Finished || status[j] == Canceled)
#define at_rest(j) (status[j] == absent || has_ended(j))
#if JOBS == 2
#define any_is(s) (status[0] == s || status[1] == s)
#define all_at_rest (at_rest(0) && at_rest(1))
#elif JOBS == 3
#define any_is(s) (status[0] == s || status[1] == s || status[2] == s)
#define all_at_rest (at_rest(0) && at_rest(1) && at_rest(2))
#endif
#define all_ended (sessions_left == 0 && !cancels_left && all_at_rest)
#if WORKERS == 1
#define some_down (!up[0])
#define none_idle (!(up[0] && idle[0]))
#define none_isolates (!(up[0] && isolate[0] > 0))
#else
#define some_down (!up[0] || !up[1])
#define none_idle (!(up[0] && idle[0]) && !(up[1] && idle[1]))
#define none_isolates (!(up[0] && isolate[0] > 0) && !(up[1] && isolate[1] > 0))
#endif

/* --- Rows --- */

inline row_changes(j, to) {
    status[j] = to;
    for (x : 0 .. PROCESSES - 1) { fresh[x] = fresh[x] & ~bit(j) };
    x = 0
}

inline unlock_rows(me) {
    for (x : 0 .. JOBS - 1) {
        if :: row_lock[x] == me + 1 -> row_lock[x] = 0 :: else fi
    };
    x = 0
}

/* The attempts of a process are over: their transaction has ended. */
inline nothing_runs_in(me) {
    for (x : 0 .. JOBS - 1) {
        if :: running[x] == me + 1 -> running[x] = 0 :: else fi
    }
    for (x : 0 .. DOCUMENTS) {
        if :: document_busy[x] == me + 1 -> document_busy[x] = 0 :: else fi
    };
    x = 0
}

inline take_snapshot(me, state, from) {
    seen[me] = 0;
    for (x : 0 .. JOBS - 1) {
        if :: status[x] == state && x >= from -> seen[me] = seen[me] | bit(x) :: else fi
    };
    x = 0
    fresh[me] = seen[me];
}

/* record(), of a job whose attempt is over. */
inline ended(j, outcome) {
    if
    :: outcome == good ->
        if
        :: KIND(j) != committing -> assert(effects[j] == 0); effects[j] = 1
        :: else
        fi;
        assert(effects[j] == 1);
        for (x : 0 .. SESSIONS) {  /* no change is lost */
            assert(x == SESSIONS || asked[x] != j + 1 || has(sees[j], x));
        }
        row_changes(j, Finished)
    :: outcome == bad ->  /* failed_outcome() */
        noted[j] = false;
        if
        :: retries[j] < MAX_RETRIES -> row_changes(j, Failing)
        :: else -> row_changes(j, Failed)
        fi
    :: outcome == canceled ->
        assert(cancel_wanted);
        row_changes(j, Canceled)
    fi
}

/* --- After a transaction: wake.cpp and the documents --- */

/* act(): at_transaction_end() of what wake_at_commit() has noted. */
inline wake(j) {
#if !defined(POLLING) && !defined(FAULT_CURSORS_NOT_LOWERED)
    d_step {  /* lower_claim_starts() */
        for (x : 0 .. WORKERS - 1) {
            if :: up[x] -> lower(lowered[x], j) :: else fi
        };
        x = 0
    };
#endif
#if defined(POLLING) || defined(FAULT_NOBODY_WOKEN)
    skip
#else
    d_step {  /* wake_worker(): an idle one, or else a busy one, which looks again; and the scheduler may start another */
        woken = false;
        for (x : 0 .. WORKERS - 1) {
            if
            :: up[x] && idle[x] && !woken -> idle[x] = false; latch[x] = true; woken = true
            :: else
            fi
        };
        if
        :: woken -> woken = false
        :: else ->
            if
            :: up[WORKERS - 1] -> latch[WORKERS - 1] = true
            :: else -> if :: up[0] -> latch[0] = true :: else fi
            fi;
            scheduler_latch = true
        fi;
        x = 0
    }
#endif
}

inline wake_blocked() {
#ifdef POLLING
    skip
#else
    d_step {
        for (x : 0 .. WORKERS - 1) {
            if :: blocked[x] -> blocked[x] = false; latch[x] = true :: else fi
        };
        x = 0
    }
#endif
}

/* release() */
inline let_go(me) {
    if
    :: documents[me] != 0 -> documents[me] = 0; wake_blocked()
    :: else
    fi
}

#ifdef RUN_HERE
byte run_here = 0;  /* the documents of the session's own slot */
#else
#define run_here 0
#endif
#define another_has(me, d) (has(run_here, d) || WORKERS > 1 && up[1 - me] && has(documents[1 - me], d))

/* lock_document(): looks under the lock, which those who let go do not take; ... */
inline lock_document(me, d) {
    kept = true;
#ifndef FAULT_DOCUMENTS_NOT_LOCKED
    if
    :: d == no_document || has(documents[me], d)
    :: else ->
        lwlock == 0;
        if
        :: !another_has(me, d) -> documents[me] = documents[me] | bit(d)
        :: else ->
            kept = false;
#ifndef POLLING
            lwlock = me + 1
#endif
        fi
    fi
#endif
}

/* ... says that it waits, and looks again. */
inline look_again(me, d) {
    if
    :: lwlock == me + 1 ->
        blocked[me] = true;
        d_step {
#ifndef FAULT_ONE_LOOK_AT_DOCUMENTS
            if
            :: !another_has(me, d) -> documents[me] = documents[me] | bit(d); kept = true
            :: else
            fi;
#endif
            lwlock = 0
        }
    :: else
    fi
}

/* --- A claim --- */

/* claim_start(), and then Claim's scan. */
inline begin_claim(me) {
#ifdef POLLING
    d_step { take_snapshot(me, Queued, 0); j = 0; resume = 0; left = 0; behind = 0 }
#else
#ifdef FAULT_CURSOR_TAKEN_AFTER_SNAPSHOT
    d_step { take_snapshot(me, Queued, cursor[me]) };
    d_step {
        resume = cursor[me]; lower(cursor[me], lowered[me]); lowered[me] = none_at_all;
        j = resume; left = none_at_all; behind = 0
    }
#else
    d_step { lower(cursor[me], lowered[me]); lowered[me] = none_at_all };
    d_step { take_snapshot(me, Queued, cursor[me]); j = cursor[me]; resume = cursor[me]; left = none_at_all; behind = 0 }
#endif
#endif
}

/* Claim::next(): the job is `picked`, and its row is locked. */
inline next_claimed(me) {
    do
    :: atomic {
           picked = none_at_all;
           do :: j < JOBS && !has(seen[me], j) -> j++ :: else -> break od;
           if
           :: j >= JOBS -> break
           :: j < JOBS && has(behind, DOCUMENT(j)) -> kept = false
           :: else -> lock_document(me, DOCUMENT(j))
           fi
       };
       look_again(me, DOCUMENT(j));
       d_step {  /* Table::lock(), which does not wait */
           if
           :: kept && has(fresh[me], j) && row_lock[j] == 0 ->
               row_lock[j] = me + 1;
               picked = j;
#ifdef FAULT_CURSOR_ONE_TOO_FAR
               resume = j + 2
#else
               resume = j + 1
#endif
           :: else ->
               lower(left, j);
#ifndef FAULT_OVERTAKES_LOCKED
               if
               :: (!kept || has(fresh[me], j)) && DOCUMENT(j) != no_document -> behind = behind | bit(DOCUMENT(j))
               :: else
               fi
#endif
           fi;
           kept = false;
           j++
       };
       if :: picked != none_at_all -> break :: else fi
    od
}

/* set_claim_start(), of Claim::resume() */
inline set_claim_start(me) {
#ifdef POLLING
    skip
#else
    cursor[me] = (left < resume -> left : resume)
#endif
}

/* --- An attempt --- */

/* attempt(): show_job_start(), and the job's snapshot. */
inline begin_attempt(me, job) {
    d_step {
        assert(running[job] == 0);
        assert(DOCUMENT(job) == no_document || document_busy[DOCUMENT(job)] == 0 ||
               document_busy[DOCUMENT(job)] == me + 1);
        for (x : 0 .. JOBS - 1) {  /* overtakes none that the claim has seen */
            assert(x >= job || DOCUMENT(x) != DOCUMENT(job) || DOCUMENT(x) == no_document || !has(seen[me], x) ||
                   !has(fresh[me], x) || row_lock[x] == me + 1)
        };
        x = 0;
        running[job] = me + 1;
        document_busy[DOCUMENT(job)] = me + 1;
        sees[job] = changes[DOCUMENT(job)];
        activity[me] = job + 1;
        idle[me] = false
    }
}

/* What the controller does, and what judge_failure() makes of it. */
inline run_attempt(me, job, may_repeat) {
    begin_attempt(me, job);
    atomic {
    if
    :: job == KILLER -> killed++; assert(killed <= most_killed); crash()  /* and then unless */
    :: job != KILLER -> outcome = good
    :: job != KILLER && failures_left > 0 -> failures_left--; outcome = bad
    :: job != KILLER && may_repeat && repeats_left > 0 -> repeats_left--; outcome = again
    :: job != KILLER && signal[me] ->
        assert(cancel_job[me] == job + 1);  /* it was meant for this one */
        outcome = canceled
    fi;
    /* show_job_end() */
    activity[me] = 0
    };
#if defined(CANCEL) && !defined(FAULT_LATE_CANCEL_NOT_FORGOTTEN)
    if
    :: cancel_job[me] != 0 -> atomic { lwlock == 0; cancel_job[me] = 0; signal[me] = false }
    :: else
    fi
#endif
}

/* --- Crash and end of processes --- */

/* A process was killed with signal 9: the postmaster ends all and begins with new shared memory. */
inline crash() {
    atomic {
        d_step {
            cut_short = 0;
            for (x : 0 .. JOBS - 1) {
                row_lock[x] = 0;
                number_lock[x] = 0;
                if
                :: status[x] == Started -> cut_short = cut_short | bit(x); cuts[x]++
                :: else
                fi;
                if :: running[x] != 0 && KIND(x) == committing -> effects[x] = 0 :: else fi;  /* it begins again */
                running[x] = 0
            }
            for (x : 0 .. DOCUMENTS) { document_busy[x] = 0 }
            for (x : 0 .. WORKERS - 1) {
                up[x] = false; documents[x] = 0; alone_job[x] = 0; activity[x] = 0; cancel_job[x] = 0;
                signal[x] = false; blocked[x] = false; idle[x] = false; latch[x] = false; isolate[x] = 0;
                cursor[x] = 0; lowered[x] = none_at_all; across[x] = false
            }
            for (x : 0 .. PROCESSES - 1) { dead[x] = 1; seen[x] = 0; fresh[x] = 0 }
            lwlock = 0; scheduler_latch = true; orphans_possible = true;
            crashed = true; settled = false; trusted = false
        }
    }
}

/* A worker's process ends in good order: at_exit(), and before it what the server does. */
inline end_worker(me) {
#ifdef FAULT_CANCELED_AT_SHUTDOWN
    d_step {
        for (x : 0 .. JOBS - 1) {
            if :: running[x] == me + 1 -> outcome = canceled; ended(x, outcome) :: else fi
        };
        x = 0
    };
#endif
    d_step { unlock_rows(me); forget_committed_parts(me); nothing_runs_in(me); activity[me] = 0; signal[me] = false };
    if :: !across[me] -> let_go(me) :: else fi;
#ifdef FAULT_ORPHANS_REPORTED_TOO_EARLY
    report_orphans();
#endif
    d_step {
        for (x : 0 .. JOBS - 1) {
            if :: number_lock[x] == me + 1 -> number_lock[x] = 0 :: else fi
        }
    };
    d_step {
        up[me] = false; documents[me] = 0; alone_job[me] = 0; cancel_job[me] = 0; blocked[me] = false;
        idle[me] = false; latch[me] = false; isolate[me] = 0; cursor[me] = 0; lowered[me] = none_at_all;
        across[me] = false; seen[me] = 0; fresh[me] = 0;
        if :: lwlock == me + 1 -> lwlock = 0 :: else fi
    };
#if !defined(FAULT_ORPHANS_NOT_REPORTED) && !defined(FAULT_ORPHANS_REPORTED_TOO_EARLY)
    report_orphans()
#endif
}

inline report_orphans() {
    d_step { orphans_possible = true; scheduler_latch = true }
}

/* A procedure that was cut short begins again. */
inline forget_committed_parts(me) {
    for (x : 0 .. JOBS - 1) {
        if :: running[x] == me + 1 && KIND(x) == committing -> effects[x] = 0 :: else fi
    };
    x = 0
}

/* --- A worker: worker.cpp run(), Runner --- */

#ifdef POLLING
#define rest_ends (any_is(Queued))
#else
#define rest_ends (latch[me])
#endif

proctype Worker(byte me) {
    byte x, j = 0, picked, current, next, resume = 0, left, behind = 0, batch = 0, count = 0, ok = 0, failed = 0, put_back = 0,
         stopped = 0, aside = 0, met_deadlock = 0, isolated = 0;
    mtype outcome = good;
    bool kept = false, woken = false, mine = false, cursor_known = false, worked = false;
life:
    {
        atomic {
            (up[me] || all_ended);
            isolated = isolate[me]
        };
look:
        atomic {
            if :: all_ended -> goto done :: else fi;
#ifndef POLLING
            latch[me] = false;
            idle[me] = true
#endif
        };
round:
        if :: aside != 0 -> goto next_aside :: else fi;  /* run_round() */

        begin_claim(me);  /* run_batch() */
        current = none_at_all;
        do
        :: count < BATCH_JOBS && put_back == 0 ->
            next_claimed(me);
            if
            :: picked == none_at_all -> break
            :: picked != none_at_all && (KIND(picked) != batchable || isolated > 0) ->  /* suits_batch() */
                lower(left, picked);
                if :: batch == 0 -> current = picked :: else fi;
                break
            :: else ->
                run_attempt(me, picked, true);
                d_step {
                    batch = batch | bit(picked);
                    count++;
                    if
                    :: outcome == good -> ok = ok | bit(picked)
                    :: outcome == bad -> failed = failed | bit(picked)
                    :: outcome == again -> put_back = put_back | bit(picked); lower(left, picked)
                    :: outcome == canceled -> stopped = stopped | bit(picked)
                    fi;
                    outcome = good
                }
            fi
        :: else -> break
        od;
        if :: current != none_at_all -> cursor_known = true; goto run_alone :: else fi;
        worked = batch != 0;
        if
        :: commit_failures_left > 0 && batch != 0 ->
            d_step { commit_failures_left--; unlock_rows(me); nothing_runs_in(me) };
            let_go(me);
            aside = batch
        :: else ->
#ifdef FAULT_LET_GO_BEFORE_COMMIT
            let_go(me);
#endif
#ifdef FAULT_RECORDED_APART
            d_step {
                for (j : 0 .. JOBS - 1) {
                    if :: has(ok, j) -> assert(effects[j] == 0); effects[j] = 1 :: else fi
                }
            };
#endif
            d_step {  /* record(), commit */
                for (j : 0 .. JOBS - 1) {
#ifdef FAULT_RECORDED_APART
                    if :: has(ok, j) -> effects[j] = 0 :: else fi;
#endif
                    if
                    :: has(ok, j) -> outcome = good; ended(j, outcome)
                    :: has(failed, j) -> outcome = bad; ended(j, outcome)
                    :: has(stopped, j) -> outcome = canceled; ended(j, outcome)
                    :: else
                    fi
                }
                outcome = good;
                unlock_rows(me);
                nothing_runs_in(me)
            };
            let_go(me);
            d_step {
                set_claim_start(me);
                aside = put_back;
                met_deadlock = met_deadlock | put_back
            }
        fi;
        goto round_over;

next_aside:  /* run_next_of_alone() */
        worked = true;
        d_step {
            current = 0;
            do :: has(aside, current) -> break :: else -> current++ od;
            aside = aside & ~bit(current);
            mine = status[current] == Queued && row_lock[current] == 0;
            if :: mine -> row_lock[current] = me + 1 :: else fi
        };
        if
        :: mine ->
            atomic { lock_document(me, DOCUMENT(current)) };
            look_again(me, DOCUMENT(current));
            mine = kept
        :: else
        fi;
        if
        :: !mine ->
            d_step { unlock_rows(me); met_deadlock = met_deadlock & ~bit(current) };
            let_go(me);
            goto round_over
        :: else
        fi;
        cursor_known = false;

run_alone:  /* and begin_alone() */
        worked = true;
        count = 1;
        across[me] = true;
        if :: isolated > 0 -> isolated-- :: else fi;
        d_step {
            mine = number_lock[current] == 0;
            if :: mine -> number_lock[current] = me + 1 :: else fi
        };
        if
        :: !mine ->  /* "the number is locked by another session": Rounds::next() */
            across[me] = false;
            d_step { unlock_rows(me) };
            let_go(me);
            report_orphans();
            latch[me] = false;
            worked = false;
            goto round_over
        :: else
        fi;
        alone_job[me] = current + 1;
#ifndef FAULT_NOT_STARTED_FIRST
        d_step { row_changes(current, Started); unlock_rows(me) };  /* commit */
#endif
        do
        :: true ->
            if :: cursor_known -> set_claim_start(me); cursor_known = false :: else fi;
            next = none_at_all;
            if
            :: KIND(current) == committing ->
                /* run_committing_here() */
                if
                :: status[current] != Started -> goto one_ended
                :: else
                fi;
                run_attempt(me, current, false);
                if :: number_lock[current] = 0 :: skip fi;  /* a ROLLBACK in it may let go of that */
                if
                :: outcome == good -> d_step { assert(effects[current] == 0); effects[current] = 1 }
                :: else
                fi;
                atomic { row_lock[current] == 0; row_lock[current] = me + 1 };
                d_step {  /* commit */
                    if :: status[current] == Started -> ended(current, outcome) :: else fi;
                    outcome = good;
                    unlock_rows(me);
                    nothing_runs_in(me)
                }
            :: else ->
#ifndef FAULT_NOT_STARTED_FIRST
                atomic { row_lock[current] == 0; row_lock[current] = me + 1 };  /* run_started() */
                if
                :: status[current] != Started -> d_step { unlock_rows(me) }; goto one_ended
                :: else
                fi;
#endif
                run_attempt(me, current, !has(met_deadlock, current));
                if
                :: outcome == again ->
                    d_step {
                        row_changes(current, Queued);
                        unlock_rows(me);
                        nothing_runs_in(me);
                        outcome = good;
                        aside = aside | bit(current);
                        met_deadlock = met_deadlock | bit(current)
                    };
                    wake(current);
                    goto one_ended
                :: else
                fi;
                met_deadlock = met_deadlock & ~bit(current);
                /* start_next() */
                if
                :: count < BATCH_JOBS && aside == 0 && isolated == 0 ->
                    begin_claim(me);
                    next_claimed(me);
                    if
                    :: picked != none_at_all && KIND(picked) != batchable ->
                        cursor_known = true;
                        d_step {
                            if
                            :: number_lock[picked] == 0 -> number_lock[picked] = me + 1; next = picked
                            :: else -> row_lock[picked] = 0; cursor_known = false
                            fi
                        }
                    :: else
                    fi
                :: else
                fi;
                if
                :: commit_failures_left > 0 ->  /* run_one_alone() */
                    d_step {
                        commit_failures_left--;
                        unlock_rows(me);
                        if :: next != none_at_all -> number_lock[next] = 0; next = none_at_all :: else fi;
                        cursor_known = false;
                        nothing_runs_in(me)
                    };
                    atomic { row_lock[current] == 0; row_lock[current] = me + 1 };
                    d_step {
                        outcome = bad;
                        if :: status[current] == Started -> ended(current, outcome) :: else fi;
                        outcome = good;
                        unlock_rows(me)
                    }
                :: else ->
                    d_step {  /* commit, of its end and of the start of the next */
                        ended(current, outcome);
                        outcome = good;
                        if :: next != none_at_all -> row_changes(next, Started) :: else fi;
                        unlock_rows(me);
                        nothing_runs_in(me)
                    }
                fi
            fi;
one_ended:
            alone_job[me] = 0;  /* ~NumberLock() */
            d_step { if :: number_lock[current] == me + 1 -> number_lock[current] = 0 :: else fi };
            if :: next == none_at_all -> break :: else fi;
            d_step { current = next; count++ };
            alone_job[me] = current + 1;
            atomic {  /* release_all_but() */
                lwlock == 0;
                documents[me] = documents[me] & (DOCUMENT(current) == no_document -> 0 : bit(DOCUMENT(current)))
            };
            wake_blocked()
        od;
        across[me] = false;
        let_go(me);

round_over:
        atomic {
            d_step {
                seen[me] = 0; fresh[me] = 0; j = 0; picked = 0; current = 0; next = 0; resume = 0; left = 0; behind = 0;
                batch = 0; count = 0; ok = 0; failed = 0; put_back = 0; stopped = 0; kept = false; mine = false;
                if :: !worked || isolated == 0 -> isolate[me] = 0 :: else fi
            };
            if :: worked -> worked = false; idle[me] = false; if :: all_ended -> goto done :: else goto round fi :: else fi;
#ifndef POLLING
            if :: !idle[me] -> goto look :: else fi
#endif
        };
        (rest_ends || all_ended);  /* wait_for_work() */
        goto look
    } unless { dead[me] != 0 };
    if
    :: dead[me] == 2 -> end_worker(me)
    :: else
    fi;
    d_step {
        dead[me] = 0;
        j = 0; picked = 0; current = 0; next = 0; resume = 0; left = 0; behind = 0; batch = 0; count = 0; ok = 0;
        failed = 0; put_back = 0; stopped = 0; aside = 0; met_deadlock = 0; isolated = 0; outcome = good;
        kept = false; woken = false; mine = false; cursor_known = false; worked = false
    };
    goto life;
done:
    skip
}

/* --- A session: a change of a source document, and its trigger's request, deduplicated --- */

proctype Session(byte number) {
    byte x, j = 0, me = WORKERS + number, job = none_at_all;
    bool woken = false, absorbed = false;
    {
        /* absorb() */
        d_step {
            take_snapshot(me, Queued, 0);
#ifdef FAULT_ABSORBED_BY_STARTED
            for (x : 0 .. JOBS - 1) {
                if :: status[x] == Started -> seen[me] = seen[me] | bit(x) :: else fi
            }
            fresh[me] = seen[me]
#endif
        };
        do
        :: j < JOBS && job == none_at_all ->
            d_step {
                if
#ifdef FAULT_NO_LOCK_OF_REQUEST
                :: has(seen[me], j) && has(fresh[me], j) -> job = j; absorbed = true
#else
                :: has(seen[me], j) && has(fresh[me], j) && row_lock[j] == 0 ->
                    row_lock[j] = me + 1;
                    job = j;
                    absorbed = true
#endif
                :: else
                fi;
                j++
            }
        :: else -> break
        od;
        if
        :: job == none_at_all -> d_step { job = next_id; next_id++; assert(job < JOBS) }
        :: else
        fi;
        if
        :: atomic {  /* COMMIT */
               changes[0] = changes[0] | bit(number);
               asked[number] = job + 1;
               if
               :: absorbed -> assert(!has_ended(job))
               :: else -> row_changes(job, Queued)
               fi;
               unlock_rows(me)
           }
        :: d_step { rollbacks_left > 0 -> rollbacks_left--; unlock_rows(me) }
        fi;
        wake(job)
    } unless { dead[me] != 0 };
    d_step { seen[me] = 0; fresh[me] = 0; sessions_left-- }
}

/* --- The scheduler --- */

#define runs_in(w, j) (up[w] && (alone_job[w] == (j) + 1 || activity[w] == (j) + 1))
#if WORKERS == 1
#define runs_now(j) runs_in(0, j)
#else
#define runs_now(j) (runs_in(0, j) || runs_in(1, j))
#endif

#define me the_scheduler
proctype Scheduler() {
    byte x, j = 0, orphans = 0, only = 0, queued_again = 0, looks = LOOKS, from = 0;
    bool woken = false, after_crash = false, charged = false, due = false, mine = false;
    mtype outcome = bad;
life:
    {
        do
        :: all_ended -> goto done
        :: atomic { looks > 0 -> looks--; orphans_possible = true; scheduler_latch = true }
        :: atomic {
               scheduler_latch || any_is(Failing) || (any_is(Queued) && some_down && none_idle && none_isolates) ->
               scheduler_latch = false;
               if :: !orphans_possible -> goto look_for_retries :: else fi;
               orphans_possible = false;
               /* recover_orphans() */
#ifdef FAULT_CHARGED_AFTER_SETTLING
               after_crash = crashed;
#else
               after_crash = crashed && !settled;
#endif
               d_step { take_snapshot(me, Started, 0) };
               j = 0
           };
           do
           :: atomic { j < JOBS && !has(seen[me], j) -> j++ }
           :: atomic {
                  j < JOBS && has(seen[me], j) ->
#ifdef FAULT_NUMBER_LOCK_IGNORED
                  mine = true
#else
                  mine = number_lock[j] == 0;
                  if :: mine -> number_lock[j] = me + 1 :: else fi
#endif
              };
              d_step {
#ifndef FAULT_SLOTS_NOT_ASKED
                  if
                  :: mine && runs_now(j) ->
                      mine = false;
                      if :: number_lock[j] == me + 1 -> number_lock[j] = 0 :: else fi
                  :: else
                  fi;
#endif
                  if :: mine -> orphans = orphans | bit(j) :: else fi;
                  mine = false;
                  j++
              }
           :: j >= JOBS -> break
           od;
           only = orphans;  /* recover() */
           d_step {
               for (j : 0 .. JOBS - 1) {
                   if
                   :: has(orphans, j) && row_lock[j] == 0 && status[j] == Started -> row_lock[j] = me + 1
                   :: else -> orphans = orphans & ~bit(j)
                   fi
               };
               j = 0
           };
look_for_retries:
           skip;
           d_step {
               for (j : 0 .. JOBS - 1) {  /* requeue_due_retries() */
                   if
                   :: status[j] == Failing && row_lock[j] == 0 ->
                       row_lock[j] = me + 1;
                       queued_again = queued_again | bit(j)
                   :: else
                   fi
               };
               from = none_at_all;
               for (j : 0 .. WORKERS - 1) {  /* due_work() */
                   if :: up[j] -> lower(from, cursor[j]); lower(from, lowered[j]) :: else fi
               };
               if :: from == none_at_all -> from = 0 :: else fi;
               due = false;
               for (j : 0 .. JOBS - 1) {
                   if
                   :: j >= from && (status[j] == Queued || has(queued_again, j) || has(orphans, j)) -> due = true
                   :: else
                   fi
               };
               from = 0;
               j = 0
           };
           if
           :: orphans != 0 ->
               d_step {  /* unlock_job_number(), before the commit: the row is locked */
                   for (j : 0 .. JOBS - 1) {
                       if :: number_lock[j] == me + 1 -> number_lock[j] = 0 :: else fi
                   };
                   j = 0
               }
           :: else
           fi;
           skip;
           if
           :: (orphans | queued_again) != 0 ->
               d_step {  /* commit */
                   for (j : 0 .. JOBS - 1) {
                       if
                       :: has(orphans, j) ->
#if defined(FAULT_ALL_CHARGED)
                           charged = after_crash;
#elif defined(FAULT_NEVER_CHARGED_BESIDE_OTHERS)
                           charged = after_crash && only == bit(j);
#elif defined(FAULT_NEVER_CHARGED)
                           charged = false;
#else
                           charged = after_crash && (only == bit(j) || noted[j]);
#endif
                           if
                           :: charged ->
                               assert(has(cut_short, j) && (cut_short == bit(j) || cuts[j] > 1));
                               outcome = bad;
                               ended(j, outcome)
                           :: else ->
                               noted[j] = noted[j] || after_crash;
                               row_changes(j, Queued)
                           fi
                       :: !has(orphans, j) && has(queued_again, j) ->  /* retry_job() */
                           retries[j]++;
                           cuts[j] = 0;
                           row_changes(j, Queued)
                       :: else
                       fi
                   };
                   charged = false;
                   unlock_rows(me);
                   j = 0
               };
               do
               :: atomic { j < JOBS && has(orphans | queued_again, j) && status[j] != Failing -> skip }; wake(j); j++
               :: j < JOBS && !(has(orphans | queued_again, j) && status[j] != Failing) -> j++
               :: j >= JOBS -> break
               od
           :: else
           fi;
           atomic {  /* serve() */
               if :: !settled -> cut_short = 0 :: else fi;
               if
               :: !due
               :: due && up[0] && idle[0] -> idle[0] = false; latch[0] = true
#if WORKERS > 1
               :: due && up[1] && idle[1] -> idle[1] = false; latch[1] = true
#endif
               :: due && none_idle && some_down && none_isolates ->
                   j = (up[0] -> WORKERS - 1 : 0);
                   cursor[j] = 0;
                   lowered[j] = none_at_all;
#ifndef FAULT_NO_ISOLATION
                   isolate[j] = (crashed && !trusted -> BATCH_JOBS : 0);
#endif
                   up[j] = true;
                   trusted = true
               :: due && none_idle && !(some_down && none_isolates)
               fi;
               settled = true;
               d_step {
                   seen[me] = 0; fresh[me] = 0; j = 0; orphans = 0; only = 0; queued_again = 0; due = false;
                   after_crash = false
               }
           }
        od
    } unless { dead[me] != 0 };
    d_step {
        dead[me] = 0; j = 0; orphans = 0; only = 0; queued_again = 0; from = 0; due = false; woken = false; x = 0;
        after_crash = false; charged = false; mine = false
    };
    goto life;
done:
    skip
}
#undef me

/* --- Somebody cancels a job, also while it runs: cancel_sync_job(id, running => true) --- */

#ifdef CANCEL
#define me the_canceler
proctype Canceler() {
    byte x, worker = 0;
    bool asked_it = false;
    {
        status[CANCEL] != absent;
        cancel_wanted = true;
        do  /* stop_running() */
        :: true ->
            d_step {
                lwlock == 0;
                worker = none_at_all;
                for (x : 0 .. WORKERS - 1) {
                    if
                    :: up[x] && activity[x] == CANCEL + 1 -> worker = x; cancel_job[x] = CANCEL + 1; lwlock = me + 1
                    :: else
                    fi
                }
            };
            if
            :: worker != none_at_all ->
                d_step {
                    if :: activity[worker] == CANCEL + 1 -> signal[worker] = true; asked_it = true :: else fi;
                    lwlock = 0
                }
            :: else
            fi;
            if
            :: asked_it -> !runs_now(CANCEL); break
            :: !asked_it && status[CANCEL] == Started ->
                (status[CANCEL] != Started || activity[0] == CANCEL + 1 || activity[WORKERS - 1] == CANCEL + 1)
            :: else -> break
            fi
        od;
        if  /* locked_job(), cancel_job() */
        :: status[CANCEL] == Queued || status[CANCEL] == Failing ->
            atomic { row_lock[CANCEL] == 0; row_lock[CANCEL] = me + 1 };
            d_step {
                if
                :: status[CANCEL] == Queued || status[CANCEL] == Failing -> row_changes(CANCEL, Canceled)
                :: else
                fi;
                unlock_rows(me)
            };
            scheduler_latch = true
        :: else
        fi
    } unless { dead[me] != 0 };
    if :: lwlock == me + 1 -> lwlock = 0 :: else fi;
    cancels_left = false
}
#undef me
#endif

/* --- A session that runs a job of document 0 by itself: execute_sync_job(). It claims nothing: what waits for the document is for others --- */

#ifdef RUN_HERE
proctype RunsHere() {
    byte x;
    atomic { lwlock == 0 && !has(documents[0] | documents[WORKERS - 1], 0) -> run_here = bit(0) };
    run_here = 0;
    wake_blocked()
}
#endif

/* --- What comes from outside --- */

proctype Crashes() {
    byte x, left = KILLS;
    do
    :: left > 0 && !all_ended -> left--; crash()
    :: true -> break
    od
}

proctype Terminations() {
    byte left = TERMINATIONS;
    do
    :: left > 0 && up[0] && dead[0] == 0 -> left--; dead[0] = 2
    :: left > 0 && up[WORKERS - 1] && dead[WORKERS - 1] == 0 -> left--; dead[WORKERS - 1] = 2
    :: true -> break
    od
}

init {
    byte x;
    atomic {
        for (x : 0 .. JOBS - 1) { status[x] = (x < INITIAL -> Queued : absent) };
        next_id = INITIAL;
        for (x : 0 .. WORKERS - 1) { up[x] = true; lowered[x] = none_at_all };
        for (x : 0 .. WORKERS - 1) { run Worker(x) };
        for (x : 0 .. SESSIONS) { if :: x < SESSIONS -> run Session(x) :: else fi };
        run Scheduler();
#ifdef CANCEL
        run Canceler();
#endif
#ifdef RUN_HERE
        run RunsHere();
#endif
        if :: KILLS > 0 -> run Crashes() :: else fi;
        if :: TERMINATIONS > 0 -> run Terminations() :: else fi
    }
}
