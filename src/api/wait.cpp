// wait_for_sync_job(), wait_for_sync_jobs(): wait until jobs have ended.
#include <algorithm>
#include <chrono>
#include <memory>

#include "api/nodes.hpp"
#include "job/internal_sql.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/rights.hpp"
#include "queue/setup_error.hpp"
#include "shared/slots.hpp"

namespace sync_job {

namespace {

using C = JobColumn;
using Clock = std::chrono::steady_clock;

// Workers announce the jobs they end; jobs that end elsewhere (in a session, or on another server) are polled for this often.
constexpr long longest_wait_milliseconds = 1000;
constexpr long poll_milliseconds = 50;  // if there is no shared memory for announcements

std::string state_of(const Job& job) {
    std::string text = "Its status is " + std::string(job.text(C::status)) + ".";
    if (has_ended(job.status()) && !job.is_null(C::documents)) return text + " Jobs of documents that have left it have not ended.";
    if (job.status() != Status::failed) return text;
    text += waits_for_change(job) ? " It is tried again when the set-up of its type has changed"
                         : " It is tried again at " + pg::value_to_text(job.datum(C::retry_after), pg::type::timestamptz);
    if (!may_read_row(job)) return text + ".";
    std::string_view message = job.text(C::error_message);
    return text + "; the last attempt ended with: " + std::string(message.substr(0, message.find('\n'))) + ".";
}

// Such a job is retried, and may fail that way for ever.
pg::Error broken_setup(const Job& job) {
    std::string type(job.text(C::sync_job_type));
    return pg::Error("55000", "sync job " + std::to_string(job.id()) + " cannot run: the set-up of its type is broken")
        .detail(state_of(job))
        .hint("SELECT * FROM validate_sync_job_type(" + pg::quoted_literal(type) + ") says what is wrong with it.");
}

void check_waitable(std::int64_t id, const Job& job) {
    if (is_in_progress(id)) {
        throw pg::Error("55000", "sync job " + std::to_string(id) + " runs in this session, and cannot end while it waits");
    }
    std::int64_t here = current_job_id();
    if (here != 0 && (id == here || (job.status() == Status::pending && waits_for(id, here)))) {
        throw pg::Error("55000", "sync job " + std::to_string(id) + " cannot end while this one waits for it")
            .detail(id == here ? "It is this one." : "It waits for this one itself.");
    }
    if (pg::is_current_transaction(job.created_by_transaction)) {
        throw pg::Error("55000", "sync job " + std::to_string(id) + " cannot end before this transaction is committed")
            .hint("COMMIT first, then wait; or use execute_sync_job().");
    }
    if (pg::uses_one_snapshot()) {
        throw pg::Error("25001", "wait_for_sync_job() needs the READ COMMITTED isolation level")
            .hint("In this transaction the job would look the same for ever.");
    }
}

// Announced commits end the wait early. Waiting sessions are counted, so that nothing is announced when there are none.
class Waiting {
public:
    Waiting() {
        if (shared() == nullptr) return;
        shared()->waiting_sessions++;
        condition_ = std::make_unique<pg::ConditionWait>(shared()->ended);
    }
    ~Waiting() {
        condition_.reset();
        if (shared() != nullptr) shared()->waiting_sessions--;
    }
    void wait(long milliseconds) {
        if (condition_ != nullptr) {
            condition_->wait(std::min(milliseconds, longest_wait_milliseconds));
        } else {
            pg::pause(std::min(milliseconds, poll_milliseconds));
        }
    }

private:
    std::unique_ptr<pg::ConditionWait> condition_;
};

// What to wait for: jobs by their ids, and the jobs of a group that the caller may know of.
struct Awaited {
    std::vector<std::int64_t> ids;  // in reverse order
    std::optional<std::string> group;
    bool one = false;  // messages name it, and it is an error if it does not exist
};

// The jobs of the group that are in the queue or will be retried, as of now.
std::vector<std::int64_t> waiting_in_group(const std::string& group) {
    static auto& select = *new InternalStatement(
        "SELECT id FROM sync_job_internal.sync_job_live WHERE job_group = $1 UNION ALL"
        " SELECT id FROM sync_job_internal.sync_job_failed WHERE job_group = $1 AND retry_after IS NOT NULL ORDER BY id DESC",
        {pg::type::text});
    std::vector<std::int64_t> ids;
    for (const auto& row : select.run({{pg::text_datum(group), false}})) {
        std::int64_t id = pg::datum_int64(row[0].datum);
        auto stored = find_job(id);
        if (stored && may_know(stored->job)) ids.push_back(id);
    }
    return ids;
}

// The first that has not ended; those before it are taken off the list.
std::optional<Job> first_not_over(Awaited& awaited) {
    for (bool looked = !awaited.group;; looked = true) {
        while (!awaited.ids.empty()) {
            auto stored = find_job(awaited.ids.back());
            if (!stored && awaited.one) no_such_job(awaited.ids.back());
            if (stored && awaited.one) require_may_know(stored->job);
            if (stored && how_ended(stored->job) == Ended::no) return stored->job;
            awaited.ids.pop_back();
        }
        if (looked) return std::nullopt;
        awaited.ids = waiting_in_group(*awaited.group);
    }
}

pg::Error too_late(const Awaited& awaited, const Job& first, Datum timeout) {
    bool one = awaited.one || awaited.ids.size() == 1;
    pg::Error error("57014", (one ? "sync job " + std::to_string(first.id()) + " has" : std::to_string(awaited.ids.size()) + " sync jobs have") +
                                 " not ended within " + pg::value_to_text(timeout, pg::type::interval));
    return error.detail(one ? state_of(first) : "The first of them is sync job " + std::to_string(first.id()) + ". " + state_of(first));
}

// `timeout_argument`: the number of the argument.
Datum wait_for(pg::Arguments& args, Awaited awaited, int timeout_argument) {
    std::optional<std::int64_t> timeout;
    if (!args.is_null(timeout_argument)) timeout = pg::interval_microseconds(args.datum(timeout_argument));
    if (timeout && *timeout < 0) throw pg::Error("22023", "timeout must not be negative");
    auto deadline = Clock::now() + std::chrono::microseconds(timeout.value_or(0));
    bool may_commit = args.may_commit();
    pg::SpiScope spi(may_commit ? pg::SpiScope::Commits::allowed : pg::SpiScope::Commits::never);
    Waiting waiting;
    for (;;) {
        pg::ensure_portal_snapshot();
        auto job = first_not_over(awaited);
        if (!job) return args.null_result();
        if (waits_for_setup(*job)) throw broken_setup(*job);
        check_waitable(job->id(), *job);
        long left = longest_wait_milliseconds;
        if (timeout) {
            left = static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count());
            if (left <= 0) throw too_late(awaited, *job, args.datum(timeout_argument));
        }
        if (may_commit) pg::spi_commit();  // no snapshot is held while it waits
        waiting.wait(left);
    }
}

// Several calls, so that no snapshot is held for long; the error of the last one is raised.
constexpr long elsewhere_milliseconds = 3000;

// True when the job has ended.
bool wait_elsewhere(int node, std::int64_t id, long milliseconds, bool last) {
    try {
        pg::Subtransaction subtransaction;
        call_node(node, "CALL " + schema_objects().in_schema("wait_for_sync_job") + "(" + std::to_string(id) + ", '" + std::to_string(milliseconds) + " ms')");
        subtransaction.commit();
        return true;
    } catch (const pg::Error& error) {
        bool too_late = error.sqlstate() == "57014" && error.report().message.find(" not ended within ") != std::string::npos;
        if (last || !too_late) throw;
        return false;
    }
}

// The timeout counts from `since`, for each of them.
void wait_for_other_nodes(pg::Arguments& args, const std::vector<std::int64_t>& ids, Clock::time_point since, int timeout_argument) {
    std::optional<std::int64_t> timeout;
    if (!args.is_null(timeout_argument)) timeout = pg::interval_microseconds(args.datum(timeout_argument));
    if (timeout && *timeout < 0) throw pg::Error("22023", "timeout must not be negative");
    auto deadline = since + std::chrono::microseconds(timeout.value_or(0));
    bool may_commit = args.may_commit();
    pg::SpiScope spi(may_commit ? pg::SpiScope::Commits::allowed : pg::SpiScope::Commits::never);
    for (std::size_t i = 0; i < ids.size();) {
        pg::ensure_portal_snapshot();
        long left = elsewhere_milliseconds;
        bool last = false;
        if (timeout) {
            left = std::max(0L, static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count()));
            last = left <= elsewhere_milliseconds;
        }
        if (wait_elsewhere(node_elsewhere(ids[i]), ids[i], std::min(left, elsewhere_milliseconds), last)) i++;
        if (may_commit) pg::spi_commit();
    }
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_wait) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    if (node_elsewhere(id) != 0) {
        wait_for_other_nodes(args, {id}, Clock::now(), 1);
        return args.null_result();
    }
    return wait_for(args, {{id}, std::nullopt, true}, 1);
}

SYNC_JOB_FUNCTION(sync_job_wait_many) {
    Awaited awaited;
    if (args.is_null(0) && args.is_null(1)) throw pg::Error("22004", "ids and job_group must not both be null");
    if (!args.is_null(0)) awaited.ids = args.int64_array(0);
    awaited.group = args.text(1);
    auto since = Clock::now();
    auto first_elsewhere = std::stable_partition(awaited.ids.begin(), awaited.ids.end(), [](std::int64_t id) { return node_elsewhere(id) == 0; });
    std::vector<std::int64_t> elsewhere(first_elsewhere, awaited.ids.end());
    awaited.ids.erase(first_elsewhere, awaited.ids.end());
    for (std::int64_t id : awaited.ids) {
        auto stored = find_job(id);
        if (!stored) no_such_job(id);
        require_may_know(stored->job);
    }
    std::reverse(awaited.ids.begin(), awaited.ids.end());
    wait_for(args, std::move(awaited), 2);
    wait_for_other_nodes(args, elsewhere, since, 2);
    return args.null_result();
}
