// One attempt at a full sync, from its checkpoint to its end or to where it stops. full_sync.cpp finds out what there is to do;
// full_sync_chunks.cpp does it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controller/controller.hpp"
#include "controller/mapping.hpp"
#include "core/claim_position.hpp"
#include "engine/document_batch.hpp"
#include "engine/full_sync_job.hpp"
#include "engine/sync.hpp"

namespace sync_job {

// Names of documents, perhaps millions, stored one after the other in a single piece of memory.
class NameList {
public:
    void add(const std::string& name);
    std::size_t size() const { return size_; }
    // The next names, at most `most`.
    std::vector<std::string> take(std::size_t most);
    // Puts these names back, which were the last ones taken: they come again.
    void put_back(const std::vector<std::string>& names);

private:
    std::string bytes_;
    std::size_t size_ = 0, at_ = 0;
};

// What a comparison has found, and how far the run has come with it. A run that lets other jobs go first keeps this in the memory of its
// worker; if another process continues the run, it compares again.
struct FullSyncWork {
    NameList to_sync, to_delete;
    std::int64_t missing = 0, different = 0, surplus = 0, ambiguous = 0, sources = 0, targets = 0;
    std::string surplus_unknown;
    bool counted = false;    // the differences are known
    bool unwatched = false;  // no trigger reports changes in the meantime
    std::size_t before = 0, walked = 0;  // documents done by earlier attempts, and by this one
    std::chrono::steady_clock::time_point began{};  // when this attempt did its first document
    std::chrono::steady_clock::time_point next_chunk{};  // not before this time
};

// Whether a job of the same role and queue that precedes the run is waiting and nobody takes it.
class OthersWait {
public:
    explicit OthersWait(const Job& run) : run_(run) {}
    bool is_due() const;
    bool look();

private:
    const Job& run_;
    ClaimPosition first_;
    bool any_ = false;
    std::chrono::steady_clock::time_point since_{}, next_look_{};
};

class FullSync {
public:
    FullSync(SyncContext& sync, const JobType& type, Controller& controller);
    void run();

private:
    // Finding out what there is to do.
    void read_context();
    void read_checkpoint();
    void require_same_type(const JobType* type) const;
    void require_alone() const;
    void find_work();
    void compare_tables();
    void compare_documents();
    void list_sources();
    void count_scope();
    std::string sources_sql(const std::string& columns, const std::string& more = "") const;
    std::string after_sql() const;
    void check_limits(std::int64_t updates, std::int64_t deletes, std::int64_t inserts) const;
    [[noreturn]] void stop(const std::string& why) const;
    std::string counts() const;
    Datum result() const;
    // Doing it.
    using Chunk = std::function<std::vector<std::string>(const std::vector<std::string>&)>;
    void walk(NameList& names, const Chunk& work);
    bool wait_for_next_chunk();
    void show() const;
    std::int64_t seconds_left(std::size_t documents) const;
    std::vector<std::string> sync_documents(const std::vector<std::string>& names);
    void lock_sources(const std::vector<std::string>& names) const;
    void adopt(const std::string& name);
    DocumentsDone run_chunk(const Job& job, const std::vector<std::string>& names);
    DocumentsDone run_checked(const Job& job, const std::vector<std::string>& names);
    void fail_document(const Job& job, const std::string& name, const pg::Error& error, DocumentsDone& done) const;
    static void check_deferred();
    std::vector<std::string> delete_surplus(const std::vector<std::string>& names);
    static DocumentsDone hand_over_target(const Job& job);
    DocumentsDone delete_target(const Job& job);
    void add(DocumentsDone done);
    Job document_job() const;
    void commit(bool moved);
    std::size_t chunk_size() const;

    SyncContext& sync_;
    const JobType& type_;
    Mapping* mapping_;  // null: its controller has code
    std::shared_ptr<DocumentType> source_;
    Job run_;
    FullSyncRequest request_;
    FullSyncCheckpoint checkpoint_;
    FullSyncWork work_;
    StatementSize statement_size_;
    OthersWait others_;
    FullSyncCounts committed_ = {};
    bool stops_ = false;  // paused, or others go first
};

}  // namespace sync_job
