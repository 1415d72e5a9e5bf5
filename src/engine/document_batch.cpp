#include "engine/document_batch.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/plan_invalidation.hpp"
#include "engine/set_sync.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/xact.hpp"
#include "queue/in_progress.hpp"
#include "shared/activity.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

class DocumentBatch {
public:
    DocumentBatch(const Job& set, const DocumentLimits& limits, StatementSize& size)
        : set_(set), limits_(limits), size_(size), document_(set.copy()) {
        for (C column : {C::source_documents, C::result}) document_.clear(column);
        if (document_.is_null(C::documents)) document_.set(C::documents, pg::int32_datum(1));  // the run of a full sync has none
    }

    DocumentsDone run(const std::vector<std::string>& names) {
        CurrentJobScope current(set_, describe(set_), depth_of(set_));
        if (is_set(set_)) waiting_ = pg::datum_text_array(set_.datum(C::source_documents)).size();
        for (std::size_t from = 0; from < names.size();) {
            std::size_t to = std::min(names.size(), from + size_.get());
            run_part({names.begin() + static_cast<std::ptrdiff_t>(from), names.begin() + static_cast<std::ptrdiff_t>(to)});
            from = to;
        }
        for (const std::string& name : by_themselves_) {
            if (over()) {
                done_.left.push_back(name);
            } else {
                run_one(name);
            }
            show();
        }
        record_now();
        return std::move(done_);
    }

private:
    bool over() const { return done_.canceled || (done_.any() && limits_.is_full && limits_.is_full()); }

    // The document's job, as its controller sees it.
    Job job_for(const std::string& name) const {
        Job job = document_.copy();
        job.set_text(C::source_document_name, name);
        return job;
    }

    using Names = std::vector<std::string>::const_iterator;
    std::vector<Job> jobs_for(Names from, Names to) const {
        std::vector<Job> jobs;
        for (; from != to; ++from) jobs.push_back(job_for(*from));
        return jobs;
    }

    void run_part(const std::vector<std::string>& names);
    bool run_statement(const std::vector<std::string>& names);
    void run_in_parts(const std::vector<std::string>& names);
    void run_by_functions(std::vector<std::string> names);
    bool run_sharing(std::vector<std::string>& names, std::size_t& next);
    bool run_one(const std::string& name);
    void add(const std::string& name, Outcome outcome);
    void add_ended(const std::string& name, const Outcome& outcome, Status status);
    void record_now();
    void record_when_many();
    void show() const;

    const Job& set_;
    const DocumentLimits& limits_;
    StatementSize& size_;
    Job document_;
    std::size_t waiting_ = 0;                 // documents that a set job has not synced yet
    std::vector<std::string> by_themselves_;  // documents that run by themselves, after the others
    // How many documents that call functions share one subtransaction.
    std::size_t most_sharing_ = 32;  // an error costs the work of this many
    std::size_t sharing_ = most_sharing_;
    DocumentsDone done_;
    MemoryContextData* outer_ = pg::current_memory();
    pg::Memory memory_{"documents of a set"};  // what documents need until they are recorded
    std::size_t run_since_ = 0;                // documents run one by one since the last recording
};

void DocumentBatch::run_part(const std::vector<std::string>& names) {
    if (over()) {
        done_.left.insert(done_.left.end(), names.begin(), names.end());
        return;
    }
    if (names.size() < fewest_in_set || !suits_set(job_for(names[0]))) {
        run_by_functions(names);
    } else if (run_statement(names)) {
        show();
    } else if (!done_.canceled) {
        run_in_parts(names);
    }
}

// False: the statement failed or was canceled.
bool DocumentBatch::run_statement(const std::vector<std::string>& names) {
    // Checked each time, because the table grows from one statement to the next, in a first load for example.
    if (auto type = find_job_type(std::string(set_.text(C::sync_job_type)))) invalidate_outgrown_plans(*type);
    record_now();
    pg::MemorySwitch in_it(memory_);
    std::vector<std::optional<Outcome>> outcomes;
    try {
        const AttemptLimits& limits = limits_.attempt;
        outcomes = sync_set(jobs_for(names.begin(), names.end()), size_.last, limits.batch_microseconds, limits.lock_patience_microseconds);
    } catch (const pg::Error& error) {
        if (error.sqlstate() == "57014" && cancel_requested(set_.id())) {
            done_.canceled = true;
            done_.left.insert(done_.left.end(), names.begin(), names.end());
        } else {
            size_.went_wrong(names.size());
        }
        return false;
    }
    pg::command_counter_increment();
    size_.went_well(names.size());
    for (std::size_t i = 0; i < names.size(); i++) {
        if (outcomes[i]) {
            add(names[i], std::move(*outcomes[i]));
        } else {
            by_themselves_.push_back(names[i]);
        }
    }
    return true;
}

// Shows the progress of a set job. The chunk of a full sync is only a part of its run, which shows its own.
void DocumentBatch::show() const {
    if (waiting_ == 0) return;
    auto all = static_cast<double>(set_.int32(C::documents));
    auto done = std::accumulate(done_.counts.begin(), done_.counts.end(), all - static_cast<double>(waiting_),
                                [](double sum, std::int64_t count) { return sum + static_cast<double>(count); });
    show_progress(std::clamp(100.0 * done / all, 0.0, 100.0), std::nullopt, std::nullopt);
}

// Runs smaller and smaller parts, until a document that is wrong is alone.
void DocumentBatch::run_in_parts(const std::vector<std::string>& names) {
    constexpr std::size_t parts = 4;
    std::size_t size = (names.size() + parts - 1) / parts;
    for (std::size_t from = 0; from < names.size(); from += size) {
        std::size_t to = std::min(from + size, names.size());
        run_part({names.begin() + static_cast<std::ptrdiff_t>(from), names.begin() + static_cast<std::ptrdiff_t>(to)});
    }
}

// Runs documents in shared subtransactions: after a failure one by one, then more and more of them together again.
void DocumentBatch::run_by_functions(std::vector<std::string> names) {
    for (std::size_t next = 0; next < names.size();) {
        if (over()) {
            done_.left.insert(done_.left.end(), names.begin() + static_cast<std::ptrdiff_t>(next), names.end());
            return;
        }
        bool well = sharing_ > 1 ? run_sharing(names, next) : run_one(names[next++]);
        sharing_ = well ? std::min(sharing_ * 2, most_sharing_) : 1;
        show();
    }
}

// False: one of them failed. It runs next, by itself, so that it leaves the set however little time there is.
bool DocumentBatch::run_sharing(std::vector<std::string>& names, std::size_t& next) {
    record_now();
    pg::MemorySwitch in_it(memory_);
    auto from = names.begin() + static_cast<std::ptrdiff_t>(next);
    auto to = from + static_cast<std::ptrdiff_t>(std::min(sharing_, names.size() - next));
    auto shared = attempt_sharing(jobs_for(from, to), limits_.attempt, limits_.is_full);
    if (!shared) {
        most_sharing_ = 1;
        return false;
    }
    std::size_t ended = shared->outcomes.size();
    if (shared->rolled_back) {
        done_.canceled = cancel_requested(set_.id());
        auto failed = std::min(from + static_cast<std::ptrdiff_t>(ended), to - 1);
        std::rotate(from, failed, failed + 1);
        return false;
    }
    for (std::size_t i = 0; i < ended; i++) add(names[next + i], std::move(shared->outcomes[i]));
    next += ended;
    return true;
}

// False: the document failed or has left the set.
bool DocumentBatch::run_one(const std::string& name) {
    record_when_many();
    pg::MemorySwitch in_it(memory_);
    std::size_t jobs = done_.jobs.size();
    add(name, attempt(job_for(name), limits_.attempt));
    pg::command_counter_increment();
    return done_.jobs.size() == jobs;
}

void DocumentBatch::add(const std::string& name, Outcome outcome) {
    Status status = outcome.verdict == Verdict::ended ? outcome.job.status() : Status::queued;
    if (outcome.verdict != Verdict::ended) {
        done_[Count::handed_over]++;
        pg::MemorySwitch outside(outer_);
        outcome.job = job_of_its_own(set_, name);
        done_.jobs.push_back(std::move(outcome));
    } else if (status == Status::canceled) {
        done_.canceled = true;
        done_.left.push_back(name);
    } else if (status == Status::failed) {
        done_[Count::failed]++;
        pg::MemorySwitch outside(outer_);
        Job copied = Job::from_composite(pg::put_together(outcome.job.row(), schema_objects().job_row_type));
        outcome.job = job_of_its_own(set_, name, &copied);
        done_.jobs.push_back(std::move(outcome));
    } else {
        add_ended(name, outcome, status);
    }
}

void DocumentBatch::add_ended(const std::string& name, const Outcome& outcome, Status status) {
    const Job& job = outcome.job;
    bool changed = status == Status::finished;
    if (!changed) {
        done_[status == Status::skipped ? Count::skipped : Count::no_target]++;
    } else {
        auto operation = job.operation().value_or(Operation::update);
        done_[operation == Operation::insert   ? Count::inserted
              : operation == Operation::update ? Count::updated
                                               : Count::deleted]++;
    }
    if (changed || job.flag(C::verbose_logging)) done_.documents.push_back(document_row(name, outcome));
}

// Records what has been done so far, and frees its memory: diffs have all old and new values, and must not accumulate.
void DocumentBatch::record_now() {
    record_rows(std::exchange(done_.documents, {}));
    memory_.reset();
    run_since_ = 0;
}

void DocumentBatch::record_when_many() {
    constexpr std::size_t many = 16;
    if (++run_since_ >= many) record_now();
}

}  // namespace

void StatementSize::went_well(std::size_t documents) {
    constexpr std::size_t growth = 16;
    if (documents >= size_) size_ = std::min(most, size_ + growth);
}

void StatementSize::went_wrong(std::size_t documents) { size_ = std::max(documents / 8, fewest_in_set); }

DocumentsDone run_documents(const Job& job, const std::vector<std::string>& names, const DocumentLimits& limits,
                            StatementSize& size) {
    return DocumentBatch(job, limits, size).run(names);
}

DocumentsDone hand_over(const Job& job, const std::vector<std::string>& names) {
    DocumentsDone done;
    for (const std::string& name : names) {
        done[Count::handed_over]++;
        Outcome outcome;
        outcome.job = job_of_its_own(job, name);
        done.jobs.push_back(std::move(outcome));
    }
    return done;
}

}  // namespace sync_job
