// Records what became of the documents of a set job: their rows in sync_job_document, the jobs of those that have left the set, and
// how far the set has come.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "pg/row.hpp"
#include "queue/outcome.hpp"

namespace sync_job {

// How documents ended, under the names in column result of the set.
enum class Count { inserted, updated, deleted, skipped, no_target, failed, handed_over };
constexpr std::array<const char*, 7> count_names = {"inserted", "updated", "deleted", "skipped", "no_target", "failed", "handed_over"};

struct DocumentsDone {
    std::array<std::int64_t, count_names.size()> counts{};
    std::vector<std::string> left;         // not done: the time was up, or the job canceled
    bool canceled = false;
    std::vector<pg::RowValues> documents;  // rows of sync_job_document
    std::vector<Outcome> jobs;             // of documents that now have jobs of their own: Failed, or Queued

    std::int64_t& operator[](Count count) { return counts[static_cast<std::size_t>(count)]; }
    bool any() const { return !documents.empty() || !jobs.empty() || counts != decltype(counts){}; }
};

// The job of a document that leaves the set, with an id of its own and as it is to be stored: Queued, or what `ended` says.
Job job_of_its_own(const Job& set, const std::string& name, const Job* ended = nullptr);
// A row of sync_job_document.
constexpr int document_columns = 7;
pg::RowValues document_row(const pg::Value (&values)[document_columns]);
pg::RowValues document_row(const std::string& name, const Outcome& outcome);

// Rows of sync_job_document.
void record_rows(const std::vector<pg::RowValues>& documents);
// Writes the documents and the jobs, in the transaction in which they were done.
void record_documents(const DocumentsDone& done);
// The counts, added to those that a result has already.
Datum added_up(const DocumentsDone& done, pg::Value result);

// A set job, which this transaction has locked in the queue: it has ended, or goes on waiting with what is left.
struct SetProgress {
    Job job;  // with the start of this attempt
    DocumentsDone done;
};
void record_set(const SetProgress& set);

}  // namespace sync_job
