// The jobs of a set on their way through it: the steps of what set_sync.hpp promises.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "controller/controller.hpp"
#include "controller/mapping.hpp"
#include "engine/set_sync.hpp"

namespace sync_job {

// One job on its way through the set.
struct Member {
    std::size_t number = 0;  // index of its job
    bool is_there = false;   // its document exists, but perhaps outside the type's source_condition
    bool by_itself = false;  // runs after the set; so do later jobs of its target
    pg::RowValues source, wanted, before;
    RowLocation location;  // of the target, if it was read without a lock
    ColumnSet columns;  // update: columns that change; insert: columns that are written
    std::vector<pg::RowValues> kept;  // earlier match values: other documents may have them now
};

// Caches a context: jobs enqueued by one statement all have the same.
class Contexts {
public:
    pg::Value of(const Job& job);

private:
    bool same(const Job& job) const;

    const Job* last_ = nullptr;
    pg::Value corrected_;
};

class Set {
public:
    // `mapping`: that of the controller, or the one for the shard of all these documents.
    Set(const std::vector<Job>& jobs, const JobType& type, Controller& controller, Mapping& mapping)
        : jobs_(jobs), type_(type), controller_(controller), mapping_(mapping), outcomes_(jobs.size()) {}

    std::vector<std::optional<Outcome>> run();
    // Runs them all as `all` guesses. Raises an error if anything is different: a target exists or not, a document occurs twice, is gone,
    // was deleted before, or is outside the type's source_condition.
    std::vector<std::optional<Outcome>> run_as(LastSet::All all, const ColumnSet& columns);
    void note_in(LastSet& last) const;

private:
    struct Sources {
        std::vector<std::string> names;
        std::vector<pg::Value> contexts;
    };
    Sources sources_for(Operation operation) const;
    std::vector<std::optional<Outcome>> ended_now();
    void insert_all();
    void update_all(const ColumnSet& columns);
    void compute_and_insert_all();
    void compute_and_update_all();
    void require_all_different(const std::vector<Member>& members) const;
    void load_sources();
    void look_at_kept(Member& member, const std::string& name);
    void find_targets(std::vector<Member>& existing, std::vector<Member>& missing);
    void compute(std::vector<Member>& existing, std::vector<Member>& missing);
    void compute(std::vector<Member*> members);
    void update(std::vector<Member>& members);
    void insert(std::vector<Member>& members);
    void end_inserted(const Member& member, const pg::RowValues& after);
    void end_updated(const Member& member, const pg::RowValues& before, const pg::RowValues& after);
    void leave(Member& member);
    bool enabled(Member& member, Operation operation);
    Job seen(const Member& member, Contexts& contexts) const;
    Job& end(const Member& member, Status status);
    Job& end(const Member& member, Status status, Operation operation, const pg::RowValues& target);

    const std::vector<Job>& jobs_;
    const JobType& type_;
    Controller& controller_;
    Mapping& mapping_;
    std::vector<Member> members_;
    std::vector<std::optional<Outcome>> outcomes_;
    std::size_t inserted_ = 0, updated_ = 0, updates_ = 0;  // numbers of documents; and of statements that updated
    ColumnSet updated_columns_;                             // of the last of these statements
};

// Many large documents must be split among several statements, because a statement has all their values in memory several times. Raises
// 54000.
void require_small(const std::vector<pg::RowValues>& rows, const DocumentType& type);

}  // namespace sync_job
