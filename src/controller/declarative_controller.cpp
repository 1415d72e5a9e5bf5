// The declarative controller: match and field_map of the job type in place of functions. It has no hooks.
#include "controller/kinds.hpp"
#include "controller/mapping.hpp"
#include "pg/error.hpp"

namespace sync_job {

namespace {

class DeclarativeController : public Controller {
public:
    explicit DeclarativeController(const JobType& type) : mapping_(type) {}

    Mapping* mapping() override { return &mapping_; }

    bool bypass() const override { return false; }
    bool has(Hook) const override { return false; }
    HookResult result_of(Hook) const override { return HookResult::nothing; }
    std::vector<Target> targets_from_json(Datum, const Job&) const override { return {}; }
    BypassResult execute(const Job&, const Documents&) override { return {}; }
    pg::Value call_hook(Hook, const Job&, const Documents&, pg::Value) override { return {}; }

    std::vector<Target> targets(const Job& job, const Documents& documents) override {
        pg::RowValues wanted = evaluate(job, documents);
        if (mapping_.matches_nothing(wanted)) return {};
        pg::Value found = mapping_.find(wanted, Mapping::Lock::none);
        bool updates = !found.null && !documents.source_is_deleted && job.flag(JobColumn::update_enabled) &&
                       mapping_.target().locks_rows();
        if (updates && mapping_.find(wanted, Mapping::Lock::for_update).null) {  // gone while we waited, or hidden
            found = mapping_.find(wanted, Mapping::Lock::none);
        }
        Target target;
        target.wanted = wanted;
        if (!found.null) target.document_name = mapping_.target().name_of(found.datum);
        if (documents.source_is_deleted) {
            if (found.null) return {};
            target.operation = Operation::remove;
        } else {
            target.operation = found.null ? Operation::insert : Operation::update;
        }
        return {target};
    }

    pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target,
                         ColumnSet* explicit_columns) override {
        // Not a second time: an expression may be volatile, and cost something.
        pg::RowValues wanted = documents.wanted.values != nullptr ? documents.wanted : evaluate(job, documents);
        pg::RowValues row = pg::copy_of(target);
        *explicit_columns = documents.target_is_new ? mapping_.all_columns() : mapping_.set_columns();
        for (int column : *explicit_columns) row.set(column, wanted.at(column));
        return row;
    }

private:
    pg::RowValues evaluate(const Job& job, const Documents& documents) {
        using C = JobColumn;
        return mapping_.evaluate(documents.source, {job.datum(C::context), job.is_null(C::context)});
    }

    Mapping mapping_;
};

}  // namespace

std::shared_ptr<Controller> make_declarative_controller(const JobType& type) {
    return std::make_shared<DeclarativeController>(type);
}

}  // namespace sync_job
