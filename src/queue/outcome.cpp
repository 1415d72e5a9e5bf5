#include "queue/outcome.hpp"

#include <algorithm>
#include <initializer_list>
#include <random>

#include "controller/controller.hpp"
#include "core/retry.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "shared/activity.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

enum class Quotes { nothing, in_context, in_detail, in_message };

bool is_of(const std::string& sqlstate, std::initializer_list<const char*> states) {
    return std::any_of(states.begin(), states.end(), [&](const char* one) { return sqlstate.starts_with(one); });
}

// Errors of this extension quote no values, unless they pass on what the server said of a value.
Quotes quoted_by_us(const std::string& sqlstate) {
    if (sqlstate == "22023" || sqlstate == "22004") return Quotes::nothing;
    if (is_of(sqlstate, {"22"})) return Quotes::in_message;
    return is_of(sqlstate, {"23"}) ? Quotes::in_detail : Quotes::nothing;
}

// Which parts of an error may quote a value. The message may, too, unless it is known to name only objects that exist. Functions,
// languages and foreign servers quote values in messages of almost every class, and so does the parser if code has made a statement
// from values. A set-up error is an error in the definition, whatever its text quotes.
Quotes quotes_values(const pg::Error& error) {
    if (dynamic_cast<const SetupError*>(&error) != nullptr) return Quotes::nothing;
    const pg::ErrorReport& report = error.report();
    if (!report.from_server) return quoted_by_us(report.sqlstate);
    // Constraints and check options; PL/pgSQL's missing or surplus rows, with the query's parameters.
    if (is_of(report.sqlstate, {"23", "44", "P0002", "P0003"})) return Quotes::in_detail;
    // What code raises by itself; several rows instead of one, transactions, functions without a result, resources, locks and
    // cancellations; and missing rights.
    if (is_of(report.sqlstate, {"P0001", "P0004", "21", "25", "2D", "2F", "3B", "40", "42501", "53", "54001", "55006", "55P03", "57", "XX001", "XX002"})) {
        return report.context.empty() ? Quotes::nothing : Quotes::in_context;
    }
    return Quotes::in_message;
}

std::shared_ptr<const pg::ErrorReport> without_values(const pg::Error& error, Quotes quotes) {
    auto report = std::make_shared<pg::ErrorReport>(error.report());
    report->context.clear();
    if (quotes == Quotes::in_context) return report;
    report->detail = "The rest is not recorded, as the sync job type has secret_columns.";
    if (quotes == Quotes::in_detail) return report;
    report->message = (report->sqlstate.starts_with("22") ? "invalid data, SQLSTATE " : "an error of SQLSTATE ") + report->sqlstate;
    report->hint.clear();
    return report;
}

// The report, cut to a length that somebody may still read, so that what is made from it (a row, JSON, one text) can be
// stored.
std::shared_ptr<const pg::ErrorReport> bounded(std::shared_ptr<const pg::ErrorReport> report) {
    constexpr std::size_t most_bytes = 1 << 20;
    auto shorter = std::make_shared<pg::ErrorReport>(*report);
    bool any = false;
    for (std::string* text : {&shorter->message, &shorter->detail, &shorter->hint, &shorter->context}) {
        if (text->size() <= most_bytes) continue;
        *text = pg::clipped_to_bytes(*text, most_bytes);
        any = true;
    }
    return any ? shorter : report;
}

std::string full_message(const pg::ErrorReport& report) {
    std::string text = report.message;
    if (!report.detail.empty()) text += "\nDETAIL:  " + report.detail;
    if (!report.hint.empty()) text += "\nHINT:  " + report.hint;
    if (!report.context.empty()) text += "\nCONTEXT:  " + report.context;
    return text + "\nSQLSTATE:  " + report.sqlstate;
}

double random_fraction() {
    static std::minstd_rand generator(std::random_device{}());
    return std::uniform_real_distribution<double>(0, 1)(generator);
}

}  // namespace

std::shared_ptr<const pg::ErrorReport> recordable(const pg::Error& error, const JobType& type) {
    Quotes quotes = type.secret_columns.empty() ? Quotes::nothing : quotes_values(error);
    return quotes == Quotes::nothing ? error.share() : without_values(error, quotes);
}

std::shared_ptr<const pg::ErrorReport> recordable(const pg::Error& error, const Job& job) {
    if (quotes_values(error) == Quotes::nothing) return error.share();
    auto type = find_job_type(std::string(job.text(C::sync_job_type)));
    return type == nullptr ? error.share() : recordable(error, *type);
}

void stamp_end(Job& job) { stamp_end(job, pg::now()); }

void stamp_end(Job& job, pg::Timestamp now) {
    job.set(C::ended_at, pg::int64_datum(now));
    if (!job.is_null(C::started_at)) job.set(C::time_taken, pg::interval_datum(now - job.int64(C::started_at)));
}

Job as_started(const Job& job) {
    Job started = job.copy();
    started.set_status(Status::started);
    started.set(C::started_at, pg::int64_datum(pg::now()));
    started.set(C::worker_pid, pg::int32_datum(pg::my_pid()));
    for (C column : {C::ended_at, C::time_taken, C::error_message, C::retry_after}) started.clear(column);
    return started;
}

Outcome failed_outcome(const Job& job, const pg::Error& error, bool counted) {
    Outcome outcome;
    outcome.job = job.copy();
    outcome.error = bounded(recordable(error, job));
    outcome.counted = counted;
    Job& failed = outcome.job;
    failed.set_status(Status::failed);
    failed.set_text(C::error_message, full_message(*outcome.error));
    stamp_end(failed);
    int retries = failed.int32(C::retry_count);
    // What is not the job's fault does not end it: server trouble, or, for a job that has retries, a set-up error.
    int most = failed.int32(C::max_retries);
    bool again = retries < most || (!counted && (most > 0 || pg::is_server_trouble(error)));
    if (again) {
        Backoff backoff = parse_backoff(failed.text(C::retry_backoff)).value_or(Backoff::linear);
        std::int64_t wait = retry_wait(failed.microseconds(C::retry_delay), backoff, retries, random_fraction());
        failed.set(C::retry_after, pg::int64_datum(failed.int64(C::ended_at) + wait));
    } else {
        failed.clear(C::retry_after);
    }
    return outcome;
}

Outcome canceled_outcome(const Job& original) {
    Outcome outcome;
    outcome.job = original.copy();
    outcome.job.set_status(Status::canceled);
    std::string reason = requested_cancel_reason();
    if (!reason.empty()) outcome.job.set_text(C::cancel_reason, reason);
    stamp_end(outcome.job);
    return outcome;
}

}  // namespace sync_job
