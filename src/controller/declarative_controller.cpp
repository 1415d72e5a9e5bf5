// The declarative controller: it has match and field_map of the job type instead of functions, and no hooks.
#include <algorithm>

#include "controller/kinds.hpp"
#include "controller/mapping.hpp"
#include "document/written_values.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

pg::Value context_of(const Job& job) { return {job.datum(JobColumn::context), job.is_null(JobColumn::context)}; }

class DeclarativeController : public Controller {
public:
    explicit DeclarativeController(const JobType& type) : name_(type.name), has_secrets_(!type.secret_columns.empty()), mapping_(type) {}

    Mapping* mapping() override { return &mapping_; }

    bool bypass() const override { return false; }
    bool has(Hook) const override { return false; }
    HookResult result_of(Hook) const override { return HookResult::nothing; }
    std::vector<Target> targets_from_json(Datum, const Job&) const override { return {}; }
    BypassResult execute(const Job&, const Documents&) override { return {}; }
    pg::Value call_hook(Hook, const Job&, const Documents&, pg::Value) override { return {}; }

    std::vector<Target> targets(const Job& job, const Documents& documents) override {
        if (documents.source_is_deleted) return targets_of_deleted(job, documents);
        Target target;
        target.wanted = mapping_.evaluate(documents.source, context_of(job));
        bool wants_none = mapping_.matches_nothing(target.wanted);
        if (!wants_none) find_current(job, target);
        std::vector<std::string> behind = left_behind(job, documents, target);
        if (wants_none) return deletes(behind);
        if (!target.document_name && !behind.empty()) {
            target.operation = Operation::update;
            target.document_name = behind[0];
            target.moves = true;
            behind.erase(behind.begin());
        }
        target.left_behind = behind;
        return {target};
    }

    pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target,
                         ColumnSet* explicit_columns) override {
        // The job may know a later version of the target's row type than this mapping, which computed the values: until the job looked at
        // the target, it held no lock on it.
        pg::require_current(mapping_.target().relation());
        // Do not evaluate twice: an expression may be volatile or expensive.
        pg::RowValues wanted = documents.wanted.values != nullptr ? pg::copy_of(documents.wanted)
                                                                  : mapping_.evaluate(source_row(job, documents), context_of(job));
        if (mapping_.reads_target()) {
            pg::Value before = documents.target_is_new ? pg::Value() : documents.target;
            mapping_.evaluate_late(wanted, source_row(job, documents), context_of(job), before, job.id());
        }
        bool all = documents.target_is_new || documents.target_moves;
        *explicit_columns = all ? mapping_.all_columns() : mapping_.set_columns();
        if (!documents.target_is_new) {
            ColumnSet written = mapping_.apply_rules(wanted, target, unedited(wanted, target));
            std::erase_if(*explicit_columns, [&](int column) { return !contains(written, column); });
        }
        pg::RowValues row = pg::copy_of(target);
        for (int column : *explicit_columns) row.set(column, wanted.at(column));
        return row;
    }

    void wrote(const DocumentType& target, const pg::RowValues& after, const ColumnSet& columns) override {
        ColumnSet watched = mapping_.watched_columns();
        std::erase_if(watched, [&](int column) { return !contains(columns, column); });
        remember_written(name_, target, after, watched);
    }

private:
    // The watched columns that still have what a sync wrote last, and those that already have the wanted value, because then nothing is
    // lost.
    ColumnSet unedited(const pg::RowValues& wanted, const pg::RowValues& target) const {
        const ColumnSet& watched = mapping_.watched_columns();
        if (watched.empty()) return {};
        ColumnSet columns = unedited_columns(name_, mapping_.target(), target, watched);
        ColumnSet differ = mapping_.target().changed_columns(target, wanted, watched);
        for (int column : watched) {
            if (!contains(differ, column)) columns.push_back(column);
        }
        return columns;
    }

    pg::Value source_row(const Job& job, const Documents& documents) {
        if (!documents.source_is_deleted) return documents.source;
        const DocumentType& source = mapping_.source();  // happens if the job was enqueued with an operation and a target
        std::string name(job.text(JobColumn::source_document_name));
        return whole_document(source, read_kept(source, name, documents.kept.at(0)));
    }

    // Finds the target that belongs to the current source row.
    void find_current(const Job& job, Target& target) {
        pg::Value found = mapping_.find(target.wanted, Mapping::Lock::none);
        bool updates = !found.null && job.flag(JobColumn::update_enabled) && mapping_.target().locks_rows();
        if (updates && mapping_.find(target.wanted, Mapping::Lock::for_update).null) {  // it went while we waited, or policies hide it
            found = mapping_.find(target.wanted, Mapping::Lock::none);
        }
        if (!found.null) target.document_name = mapping_.target().name_of(found.datum);
        target.operation = found.null ? Operation::insert : Operation::update;
    }

    std::vector<Target> targets_of_deleted(const Job& job, const Documents& documents) {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < documents.kept.size(); i++) {
            if (i == 0 || mapping_.match_may_change()) add_left_behind(names, match_of(job, documents.kept[i]), i == 0);
        }
        return deletes(names);
    }

    static std::vector<Target> deletes(std::vector<std::string> names) {
        if (names.empty()) return {};
        Target target;
        target.operation = Operation::remove;
        target.document_name = names[0];
        names.erase(names.begin());
        target.left_behind = names;
        return {target};
    }

    pg::RowValues match_of(const Job& job, const KeptRow& row) {
        std::string name(job.text(JobColumn::source_document_name));
        return mapping_.evaluate_match(read_kept(mapping_.source(), name, row), context_of(job));
    }

    // The targets of match values that the source had before and that no source has now.
    std::vector<std::string> left_behind(const Job& job, const Documents& documents, const Target& current) {
        std::vector<std::string> names;
        if (!mapping_.match_may_change()) return names;
        if (current.document_name) names.push_back(*current.document_name);
        for (const KeptRow& row : documents.kept) {
            if (!row.own) continue;
            try {
                pg::Subtransaction subtransaction;
                add_left_behind(names, match_of(job, row), false);
                subtransaction.commit();
            } catch (const pg::Error& error) {
                // Do not fail the job: syncing the document itself is more important.
                if (!pg::is_specific(error)) throw;
                pg::warning("the target of an earlier value is left as it is: " +
                            (has_secrets_ ? "an error of SQLSTATE " + error.sqlstate() : error.report().message));
            }
        }
        if (current.document_name) names.erase(names.begin());
        return names;
    }

    // Locks the target before it asks whether any source has the value: a later job waits for us and finds the target gone; an earlier job
    // has already made its source visible.
    void add_left_behind(std::vector<std::string>& names, const pg::RowValues& wanted, bool if_unknown) {
        if (mapping_.matches_nothing(wanted)) return;
        pg::Value found = mapping_.find(wanted, Mapping::Lock::none);
        if (found.null) return;
        std::string name = mapping_.target().name_of(found.datum);
        if (std::find(names.begin(), names.end(), name) != names.end()) return;
        if (mapping_.target().locks_rows() && mapping_.find(wanted, Mapping::Lock::for_update).null) return;
        Mapping::Living lives = mapping_.lives(wanted);
        if (lives == Mapping::Living::no || (lives == Mapping::Living::unknown && if_unknown)) names.push_back(name);
    }

    std::string name_;  // name of the type
    bool has_secrets_;  // the type has secret columns, which errors may quote
    Mapping mapping_;
};

}  // namespace

std::shared_ptr<Controller> make_declarative_controller(const JobType& type) {
    return std::make_shared<DeclarativeController>(type);
}

}  // namespace sync_job
