// wait_for_sync_job(): waits until a job has ended.
#include <chrono>
#include <memory>

#include "job/job_store.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/shared.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/rights.hpp"
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
    text += " It is tried again at " + pg::value_to_text(job.datum(C::retry_after), pg::type::timestamptz);
    if (!may_read_row(job)) return text + ".";
    std::string_view message = job.text(C::error_message);
    return text + "; the last attempt ended with: " + std::string(message.substr(0, message.find('\n'))) + ".";
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

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_wait) {
    if (args.is_null(0)) throw pg::Error("22004", "id must not be null");
    std::int64_t id = *args.int64(0);
    std::optional<std::int64_t> timeout;
    if (!args.is_null(1)) timeout = pg::interval_microseconds(args.datum(1));
    if (timeout && *timeout < 0) throw pg::Error("22023", "timeout must not be negative");
    auto deadline = Clock::now() + std::chrono::microseconds(timeout.value_or(0));

    bool may_commit = args.may_commit();
    pg::SpiScope spi(may_commit ? pg::SpiScope::Commits::allowed : pg::SpiScope::Commits::never);
    Waiting waiting;
    for (;;) {
        pg::ensure_portal_snapshot();
        auto stored = find_job(id);
        if (!stored) no_such_job(id);
        require_may_know(stored->job);
        if (how_ended(stored->job) != Ended::no) return args.null_result();
        check_waitable(id, stored->job);
        long left = longest_wait_milliseconds;
        if (timeout) {
            left = static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count());
            if (left <= 0) {
                throw pg::Error("57014", "sync job " + std::to_string(id) + " has not ended within " +
                                             pg::value_to_text(args.datum(1), pg::type::interval))
                    .detail(state_of(stored->job));
            }
        }
        if (may_commit) pg::spi_commit();  // no snapshot is held while it waits
        waiting.wait(left);
    }
}
