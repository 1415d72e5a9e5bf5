// sync_job_trigger(): a job for each changed row of a source table; at row level, or for a whole statement at once.
#include <unordered_map>
#include <unordered_set>

#include "controller/columns_read.hpp"
#include "core/state.hpp"
#include "core/text.hpp"
#include "document/deleted_document.hpp"
#include "engine/sync.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"
#include "pg/json.hpp"
#include "pg/memory.hpp"
#include "pg/xact.hpp"
#include "queue/enqueue.hpp"
#include "queue/in_progress.hpp"

namespace sync_job {

namespace {

using Event = pg::TriggerCall::Event;

struct Options {
    std::string sync_job_type;
    bool keep_deleted = true;
    bool deduplicate = false;
    std::optional<std::vector<std::string>> columns;  // for a type with code: what it reads
};

bool option_value(const std::string& trigger, const std::string& option, const std::string& text) {
    std::string value = lower(text);
    if (value == "true" || value == "on" || value == "yes") return true;
    if (value == "false" || value == "off" || value == "no") return false;
    throw pg::Error("22023",
                    "trigger " + quoted(trigger) + ": invalid value " + quoted(text) + " of option " + quoted(option))
        .hint("Use true or false.");
}

std::vector<std::string> column_list(const std::string& trigger, const std::string& text) {
    std::vector<std::string> names;
    bool is_list = false;
    try {
        pg::Subtransaction subtransaction;
        Datum list = pg::json_from_text(text);
        is_list = pg::json_kind(list) == pg::JsonKind::array;
        if (is_list) {
            for (const pg::JsonField& name : pg::json_elements(list)) names.push_back(name.text);
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
    }
    if (is_list) return names;
    throw pg::Error("22023", "trigger " + quoted(trigger) + ": invalid value " + quoted(text) + " of option \"columns\"")
        .hint("Write a JSON array of column names.");
}

Options read_options(const pg::TriggerCall& call) {
    if (call.arguments.empty()) {
        throw pg::Error("22023", "trigger " + quoted(call.trigger_name) + " names no sync job type")
            .hint("CREATE TRIGGER ... EXECUTE FUNCTION sync_job_trigger('SAP Customer Sync').");
    }
    Options options;
    options.sync_job_type = call.arguments[0];
    for (std::size_t i = 1; i < call.arguments.size(); i++) {
        const std::string& argument = call.arguments[i];
        std::size_t equals = argument.find('=');
        std::string name = argument.substr(0, equals);
        std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
        if (name == "keep_deleted") {
            options.keep_deleted = option_value(call.trigger_name, name, value);
        } else if (name == "deduplicate") {
            options.deduplicate = option_value(call.trigger_name, name, value);
        } else if (name == "columns") {
            options.columns = column_list(call.trigger_name, value);
        } else {
            throw pg::Error("22023", "trigger " + quoted(call.trigger_name) + ": unknown option " + quoted(argument))
                .hint("Options are: deduplicate=true|false, keep_deleted=true|false, columns=[\"...\"].");
        }
    }
    return options;
}

void check_call(const pg::TriggerCall& call) {
    if (!call.after || call.event == Event::truncate) {
        throw pg::Error("39P01", "trigger " + quoted(call.trigger_name) + " must be AFTER INSERT, UPDATE or DELETE");
    }
}

// The rows of another table are not documents of the type: their keys would name others.
void check_table(const pg::TriggerCall& call, const JobType& type) {
    if (type.source == pg::no_oid || call.relation == type.source) return;
    Oid table = pg::citus::table_of(call.relation);
    if (table == type.source || pg::is_partition_of(table, type.source)) return;
    throw pg::Error("42809", "trigger " + quoted(call.trigger_name) + " is on " +
                                 quoted(pg::relation_name(call.relation)) + ", and sync job type " + quoted(type.name) +
                                 " syncs from " + quoted(type.source_label))
        .hint("Drop the trigger, or name another sync job type in it.");
}

// The write comes from a job that brings the type's target here: it need not go back.
bool is_echo(const JobType& type) {
    if (writes_answer_of(type.name)) return true;
    return type.ignore_synced && type.target != pg::no_oid && current_source_type() == type.target;
}

pg::Value context_for(Operation operation) {
    pg::JsonBuilder json;
    json.begin_object();
    json.field("trigger_operation", to_text(operation));
    json.end_object();
    return {json.finish(), false};
}

// The changes of one trigger call on their way into the queue.
class Changes {
public:
    Changes(const Options& options, const JobType& type, const pg::TriggerCall& call)
        : options_(options), enqueuer_(request(options, type, call)), documents_(enqueuer_.source_documents()) {
        if (type.declarative() && !type.secret_columns.empty()) only_ = columns_read(type, *documents_).looked_up;
        if (call.event != Event::update) return;
        const ColumnsRead& read = columns_read(type, *documents_);
        if (options.keep_deleted && keeps_changed_documents()) kept_ = read.kept;
        synced_ = read.synced;
        if (options.columns && !synced_) synced_ = given_columns(*options.columns);
    }

    DocumentType& documents() { return *documents_; }
    // If one of these changes, a declarative type may have another target, or the document may no longer exist for it, and the
    // job has to know the old values.
    const ColumnSet& kept_columns() const { return kept_; }
    bool has_to_be_kept(const pg::RowValues& before, const pg::RowValues& after) const {
        return !documents_->changed_columns(before, after, kept_).empty();
    }
    // Whether something changed that the type reads.
    bool concerns(const pg::RowValues& before, const pg::RowValues& after) const {
        return !synced_ || !documents_->changed_columns(before, after, *synced_).empty();
    }
    bool looks_at_columns() const { return synced_.has_value(); }
    // A statement that names none of these enqueues nothing.
    bool may_concern(pg::Arguments& args) const {
        return !synced_ || pg::may_have_changed(args, *synced_) || pg::may_have_changed(args, kept_);
    }

    void finish() { enqueuer_.finish(); }

    void enqueue(Operation operation, const std::string& name) {
        pg::Value& context = contexts_[static_cast<int>(operation)];
        if (context.null) {
            pg::MemorySwitch memory(memory_);  // outlives the row's
            context = context_for(operation);
        }
        enqueuer_.set_context(context);
        enqueuer_.add(name);
    }

    // Keeps the deleted row first.
    void enqueue_delete(const std::string& name, const pg::RowValues& row) {
        if (options_.keep_deleted) keep_document(*documents_, options_.sync_job_type, name, row, Kept::deleted, only_);
        enqueue(Operation::remove, name);
    }

    // Keeps the row as it was; the document still has the name.
    void keep_changed(const std::string& name, const pg::RowValues& row) {
        keep_document(*documents_, options_.sync_job_type, name, row, Kept::changed, only_);
    }

private:
    // A column that has been dropped or renamed since could have been any.
    std::optional<ColumnSet> given_columns(const std::vector<std::string>& names) const {
        ColumnSet columns;
        for (const std::string& name : names) {
            const pg::Column* column = documents_->relation().column(name);
            if (column == nullptr || column->generated) return std::nullopt;
            columns.push_back(column->number);
        }
        return columns;
    }

    static EnqueueRequest request(const Options& options, const JobType& type, const pg::TriggerCall& call) {
        EnqueueRequest request;
        request.sync_job_type = options.sync_job_type;
        // The rows of a partition or a shard are documents of the type's own table.
        request.source_document_type = type.source == pg::no_oid ? pg::citus::table_of(call.relation) : type.source;
        request.trigger_type = "Document Hook";
        request.owner = pg::relation_owner(call.relation);
        request.deduplicate = options.deduplicate;
        request.many = true;
        request.from_trigger = true;
        return request;
    }

    const Options& options_;
    Enqueuer enqueuer_;
    std::shared_ptr<DocumentType> documents_;
    ColumnSet kept_;
    std::optional<ColumnSet> only_;  // what is kept of a row; nothing: all of it
    std::optional<ColumnSet> synced_;
    pg::Value contexts_[3];
    MemoryContextData* memory_ = pg::current_memory();
};

// --- Row level ---

void row_changed(Changes& changes, const pg::TriggerCall& call) {
    DocumentType& documents = changes.documents();
    auto row_of = [&](const pg::RowValues& row) { return documents.row_of(call.relation, row); };
    switch (call.event) {
        case Event::insert:
            return changes.enqueue(Operation::insert, documents.name_of(row_of(call.new_row)));
        case Event::update: {
            pg::RowValues before = row_of(call.old_row), after = row_of(call.new_row);
            std::string old_name = documents.name_of(before), new_name = documents.name_of(after);
            if (old_name != new_name) {
                changes.enqueue_delete(old_name, before);
            } else if (changes.has_to_be_kept(before, after)) {
                changes.keep_changed(old_name, before);
            } else if (!changes.concerns(before, after)) {
                return;
            }
            return changes.enqueue(old_name == new_name ? Operation::update : Operation::insert, new_name);
        }
        case Event::remove: {
            pg::RowValues before = row_of(call.old_row);
            return changes.enqueue_delete(documents.name_of(before), before);
        }
        case Event::truncate:
            break;
    }
}

// --- Statement level ---

[[noreturn]] void no_transition_table(const pg::TriggerCall& call, const char* clause) {
    throw pg::Error("39P01", "trigger " + quoted(call.trigger_name) + " has no transition table")
        .detail(std::string("A statement-level trigger of this event needs REFERENCING ") + clause + ".")
        .hint("attach_sync_job_triggers(..., level => 'statement') makes the right ones.");
}

void rows_inserted(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call) {
    DocumentType& documents = changes.documents();
    bool found = pg::for_each_transition_row(args, pg::Transition::new_rows, [&](const pg::RowValues& row) {
        changes.enqueue(Operation::insert, documents.name_of(documents.row_of(call.relation, row)));
    });
    if (!found) no_transition_table(call, "NEW TABLE AS ...");
}

void rows_deleted(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call) {
    DocumentType& documents = changes.documents();
    bool found = pg::for_each_transition_row(args, pg::Transition::old_rows, [&](const pg::RowValues& old_row) {
        pg::RowValues row = documents.row_of(call.relation, old_row);
        changes.enqueue_delete(documents.name_of(row), row);
    });
    if (!found) no_transition_table(call, "OLD TABLE AS ...");
}

// If rows exchange their keys, the document of a name is another row than before.
void keep_changed_rows(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call,
                       const std::unordered_map<std::string, bool>& still_there) {
    if (changes.kept_columns().empty()) return;
    DocumentType& documents = changes.documents();
    auto keep = [&](const std::string& name, const pg::RowValues& row) {
        if (still_there.at(name)) changes.keep_changed(name, row);
    };
    bool told = pg::for_each_updated_row(args, [&](const pg::RowValues& old_row, const pg::RowValues& new_row) {
        pg::RowValues before = documents.row_of(call.relation, old_row), after = documents.row_of(call.relation, new_row);
        std::string name = documents.name_of(before);
        bool same = name == documents.name_of(after) && !changes.has_to_be_kept(before, after);
        if (!same) keep(name, before);
    });
    if (told) return;
    pg::for_each_transition_row(args, pg::Transition::old_rows, [&](const pg::RowValues& old_row) {
        pg::RowValues before = documents.row_of(call.relation, old_row);
        keep(documents.name_of(before), before);
    });
}

// No key has changed, nor anything for which a row is kept.
void rows_of_same_names(Changes& changes, pg::Arguments& args) {
    DocumentType& documents = changes.documents();
    auto enqueue = [&](const pg::RowValues& row) { changes.enqueue(Operation::update, documents.name_of(row)); };
    bool told = changes.looks_at_columns() &&
                pg::for_each_updated_row(args, [&](const pg::RowValues& before, const pg::RowValues& after) {
                    if (changes.concerns(before, after)) enqueue(after);
                });
    if (!told) pg::for_each_transition_row(args, pg::Transition::new_rows, enqueue);
}

// The rows that have kept their names, and in which nothing that the type reads has changed.
std::unordered_set<std::string> rows_of_no_concern(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call) {
    std::unordered_set<std::string> names;
    if (!changes.looks_at_columns()) return names;
    DocumentType& documents = changes.documents();
    pg::for_each_updated_row(args, [&](const pg::RowValues& old_row, const pg::RowValues& new_row) {
        pg::RowValues before = documents.row_of(call.relation, old_row), after = documents.row_of(call.relation, new_row);
        if (changes.concerns(before, after) || changes.has_to_be_kept(before, after)) return;
        std::string name = documents.name_of(before);
        if (name == documents.name_of(after)) names.insert(name);
    });
    return names;
}

// Where the key has changed, the new name counts as inserted and the old one as deleted.
void rows_updated(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call) {
    DocumentType& documents = changes.documents();
    auto name_of = [&](const pg::RowValues& row) { return documents.name_of(documents.row_of(call.relation, row)); };
    if (!pg::has_transition(args, pg::Transition::old_rows) || !pg::has_transition(args, pg::Transition::new_rows)) {
        no_transition_table(call, "OLD TABLE AS ... NEW TABLE AS ...");
    }
    bool same_names = documents.has_columns_of(call.relation) && !pg::may_have_changed(args, documents.key());
    if (same_names && !changes.may_concern(args)) return;
    if (same_names && !pg::may_have_changed(args, changes.kept_columns())) return rows_of_same_names(changes, args);
    std::unordered_set<std::string> of_no_concern = rows_of_no_concern(changes, args, call);
    std::unordered_map<std::string, bool> still_there;  // the old names
    pg::for_each_transition_row(
        args, pg::Transition::old_rows, [&](const pg::RowValues& row) { still_there.emplace(name_of(row), false); });
    std::size_t gone = still_there.size();
    std::vector<std::string> inserted;
    pg::for_each_transition_row(args, pg::Transition::new_rows, [&](const pg::RowValues& row) {
        std::string name = name_of(row);
        auto old = still_there.find(name);
        if (old == still_there.end()) {
            inserted.push_back(name);
            return;
        }
        if (!std::exchange(old->second, true)) gone--;
        if (!of_no_concern.contains(name)) changes.enqueue(Operation::update, name);
    });
    if (gone > 0) {
        pg::for_each_transition_row(args, pg::Transition::old_rows, [&](const pg::RowValues& old_row) {
            pg::RowValues row = documents.row_of(call.relation, old_row);
            std::string name = documents.name_of(row);
            if (!still_there[name]) changes.enqueue_delete(name, row);
        });
    }
    keep_changed_rows(changes, args, call, still_there);
    for (const std::string& name : inserted) changes.enqueue(Operation::insert, name);
}

void statement_changed(Changes& changes, pg::Arguments& args, const pg::TriggerCall& call) {
    switch (call.event) {
        case Event::insert:
            return rows_inserted(changes, args, call);
        case Event::update:
            return rows_updated(changes, args, call);
        case Event::remove:
            return rows_deleted(changes, args, call);
        case Event::truncate:
            break;
    }
}

}  // namespace

}  // namespace sync_job

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_change_trigger) {
    pg::TriggerCall call = pg::trigger_call(args, "sync_job_trigger");
    check_call(call);
    Options options = read_options(call);
    auto type = find_job_type(options.sync_job_type);
    if (type == nullptr) {
        throw pg::Error("42704", "sync job type " + quoted(options.sync_job_type) + " of trigger " +
                                     quoted(call.trigger_name) + " on " + quoted(pg::relation_name(call.relation)) +
                                     " does not exist")
            .hint("Drop the trigger, or create the sync job type.");
    }
    check_table(call, *type);
    if (!type->disabled && !is_echo(*type)) {  // the application's write must not fail because of it
        Changes changes(options, *type, call);
        if (call.row_level) {
            row_changed(changes, call);
        } else {
            statement_changed(changes, args, call);
        }
        changes.finish();
    }
    return pg::trigger_suppress(args);  // the result of an AFTER trigger is ignored
}
