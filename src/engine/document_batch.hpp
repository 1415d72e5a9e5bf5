// Many documents of one type under one job: in the transaction that is under way, as a few statements where they can be, else one
// by one. A document that fails, or has to run in a transaction of its own, gets a job of its own.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/attempt.hpp"
#include "engine/set_sync.hpp"
#include "queue/set_record.hpp"

namespace sync_job {

struct DocumentLimits {
    AttemptLimits attempt;                        // of a document, or of a statement for some hundreds
    std::function<bool()> is_full = nullptr;      // no more is begun, once something has been done
};

// How many documents a statement has: fewer after trouble, as where one document is wrong, or large, others may be; and more
// again while all goes well. Kept from one call to the next.
class StatementSize {
public:
    std::size_t get() const { return size_; }
    void went_well(std::size_t documents);
    void went_wrong(std::size_t documents);
    LastSet last;

private:
    static constexpr std::size_t most = 256;  // an error costs the time of a part of them
    std::size_t size_ = 64;  // of the first ones nobody knows how large they are
};

// `job`: of the set, locked, its documents in progress nowhere else. The names are canonical, none of them twice. What was done to
// documents is recorded as it comes; their jobs are to be recorded: record_documents(). Raises what is no document's fault.
DocumentsDone run_documents(const Job& job, const std::vector<std::string>& names, const DocumentLimits& limits,
                            StatementSize& size);

// Each of them gets a job of its own.
DocumentsDone hand_over(const Job& job, const std::vector<std::string>& names);

}  // namespace sync_job
