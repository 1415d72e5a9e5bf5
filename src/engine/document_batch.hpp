// Many documents of one type under one job, in the current transaction: with a few statements if possible, else one by one. A document that
// fails, or has to run in a transaction of its own, gets a job of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/attempt.hpp"
#include "engine/set_sync.hpp"
#include "queue/set_record.hpp"

namespace sync_job {

struct DocumentLimits {
    AttemptLimits attempt;                        // for a document, or for a statement with a few hundred documents
    std::function<bool()> is_full = nullptr;      // if true, no more is begun, once something has been done
};

// How many documents a statement has: fewer after trouble, because where one document is wrong or large, others may be, too; and more again
// while all goes well. Kept from one call to the next.
class StatementSize {
public:
    std::size_t get() const { return size_; }
    void went_well(std::size_t documents);
    void went_wrong(std::size_t documents);
    LastSet last;

private:
    static constexpr std::size_t most = 256;  // an error costs the time of some of them
    std::size_t size_ = 64;  // it is not known how large the first ones are
};

// `job`: that of the set; it is locked, and its documents are not in progress elsewhere. The names are canonical and distinct. What was
// done to documents is recorded on the way; the jobs of documents remain to be recorded, by record_documents(). Raises errors that are no
// document's fault.
DocumentsDone run_documents(const Job& job, const std::vector<std::string>& names, const DocumentLimits& limits,
                            StatementSize& size);

// Gives each of these documents a job of its own.
DocumentsDone hand_over(const Job& job, const std::vector<std::string>& names);

}  // namespace sync_job
