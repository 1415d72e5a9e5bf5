// What became of documents of a set job, and writing it down: their rows in sync_job_document, the jobs of those that have left
// the set, and how far the set has come.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "pg/row.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// How many documents ended in which way, by the names that column result of the set has.
enum class Count { inserted, updated, deleted, skipped, no_target, failed, handed_over };
constexpr std::array<const char*, 7> count_names = {"inserted", "updated", "deleted", "skipped", "no_target", "failed", "handed_over"};

struct DocumentsDone {
    std::array<std::int64_t, count_names.size()> counts{};
    std::vector<std::string> left;         // not done: the time was over, or the job canceled
    bool canceled = false;
    std::vector<pg::RowValues> documents;  // rows of sync_job_document
    std::vector<Outcome> jobs;             // of documents that have jobs of their own now: Failed, or Queued

    std::int64_t& operator[](Count count) { return counts[static_cast<std::size_t>(count)]; }
    bool any() const { return !documents.empty() || !jobs.empty() || counts != decltype(counts){}; }
};

// The job of a document that leaves the set, with a number of its own and as it is to be stored: Queued, or what `ended` says.
Job job_of_its_own(const Job& set, const std::string& name, const Job* ended = nullptr);
// A row of sync_job_document.
constexpr int document_columns = 7;
pg::RowValues document_row(const pg::Value (&values)[document_columns]);
pg::RowValues document_row(const std::string& name, const Outcome& outcome);

// Rows of sync_job_document.
void record_rows(const std::vector<pg::RowValues>& documents);
// The documents and the jobs; in the transaction in which they were done.
void record_documents(const DocumentsDone& done);
// The counts together with those that a result has already.
Datum added_up(const DocumentsDone& done, pg::Value result);

// All of a set job, which this transaction has locked in the queue: it has ended, or waits on with what is left.
struct SetProgress {
    Job job;  // with the start of this attempt
    DocumentsDone done;
};
void record_set(const SetProgress& set);

}  // namespace sync_job
