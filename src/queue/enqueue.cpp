#include "queue/enqueue.hpp"

#include <limits>

#include "controller/controller.hpp"
#include "core/text.hpp"
#include "job/job_store.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/shared.hpp"
#include "pg/xact.hpp"
#include "queue/deduplication.hpp"
#include "queue/dependencies.hpp"
#include "queue/in_progress.hpp"
#include "queue/rights.hpp"
#include "shared/metrics.hpp"
#include "shared/settings.hpp"
#include "shared/wake.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::string seconds_text(std::int64_t microseconds) {
    return pg::value_to_text(pg::interval_datum(microseconds), pg::type::interval);
}

void check_not_negative(const char* what, std::optional<std::int64_t> microseconds) {
    if (microseconds && *microseconds < 0) {
        throw pg::Error("22023", std::string(what) + " must not be negative: " + seconds_text(*microseconds));
    }
}

void check_enabled(const JobType& type) {
    if (!type.disabled) return;
    throw pg::Error("55000", "sync job type " + quoted(type.name) + " is disabled")
        .hint("Enable it with UPDATE sync_job_type SET disabled = false WHERE name = ...");
}

// The document type of one side of the job: the job type's, or the given one if that leaves it open.
Oid document_type(const JobType& type, const char* side, Oid of_type, Oid given, Oid of_document) {
    auto disagree = [&](Oid candidate, const std::string& with, Oid other) {
        throw pg::Error("22023", std::string(side) + " document type " + quoted(pg::relation_name(candidate)) +
                                     " is not that of " + with)
            .detail("That is " + quoted(pg::relation_name(other)) + ".");
    };
    for (Oid candidate : {given, of_document}) {
        if (candidate != pg::no_oid && of_type != pg::no_oid && candidate != of_type) {
            disagree(candidate, "sync job type " + quoted(type.name), of_type);
        }
    }
    if (given != pg::no_oid && of_document != pg::no_oid && given != of_document) {
        disagree(of_document, std::string(side) + "_document_type", given);
    }
    return of_type != pg::no_oid ? of_type : given != pg::no_oid ? given : of_document;
}

// The relation that a row belongs to; raises for an anonymous record.
Oid relation_of_document(const pg::Value& document, const char* argument) {
    if (document.null) return pg::no_oid;
    Oid relation = pg::relation_of_row_type(pg::composite_type(document.datum));
    if (relation == pg::no_oid) {
        throw pg::Error("42804", std::string(argument) + " is not a row of a table")
            .detail("An anonymous record does not tell which document it is.")
            .hint(
                "Pass the row itself, as in SELECT enqueue_sync_job('...', c) FROM customer c, or the document's name.");
    }
    return relation;
}

// One side of a job: the type of its documents, and the name of the one given.
struct Side {
    Oid type = pg::no_oid;
    std::shared_ptr<DocumentType> documents;  // where a document is given
    std::optional<std::string> name;
};

Side resolve_side(const JobType& type, const char* side, const char* argument, Oid of_type,
                  const std::vector<std::string>& key, Oid given_type, const std::optional<std::string>& given_name,
                  const pg::Value& document) {
    Side result;
    result.type = document_type(type, side, of_type, given_type, relation_of_document(document, argument));
    if (!given_name && document.null) return result;
    if (result.type == pg::no_oid) {
        throw pg::Error("22023", std::string(side) + " document without a document type")
            .hint(std::string("Give ") + side + "_document_type too.");
    }
    result.documents = DocumentType::find(result.type, key);
    if (given_name) result.name = result.documents->canonical_name(*given_name);
    if (document.null) return result;
    std::string name = result.documents->name_of(document.datum);
    if (result.name && *result.name != name) {
        throw pg::Error("22023", std::string(side) + " document and its name disagree")
            .detail("The document is " + quoted(name) + ", the name given is " + quoted(*result.name) + ".");
    }
    result.name = name;
    return result;
}

std::optional<std::string_view> operation_of(const EnqueueRequest& request, const Side& target) {
    if (!request.operation) {
        if (target.name) {
            throw pg::Error("22023", "target_document_name without an operation")
                .hint("Say what to do with the target: operation => 'Insert', 'Update' or 'Delete'.");
        }
        return std::nullopt;
    }
    auto operation = parse_operation(*request.operation);
    if (!operation) {
        throw pg::Error("22023", "invalid operation " + quoted(*request.operation))
            .hint("Valid operations are: " + std::string(operation_list()) + ".");
    }
    return to_text(*operation);
}

std::string_view trigger_type_of(const EnqueueRequest& request) {
    std::string given = request.trigger_type.value_or("Manual");
    auto type = parse_trigger_type(given);
    if (!type) {
        throw pg::Error("22023", "invalid trigger type " + quoted(given))
            .hint("Valid trigger types are: " + std::string(trigger_type_list()) + ".");
    }
    return *type;
}

void check_context(const pg::Value& context) {
    if (context.null || pg::json_kind(context.datum) == pg::JsonKind::object) return;
    throw pg::Error("22023", "context must be a JSON object")
        .detail("It is: " + pg::clipped(pg::json_to_text(context.datum), 60) + ".");
}

void check_parent(std::optional<std::int64_t> parent) {
    if (!parent) return;
    auto stored = find_job(*parent);
    if (!stored) throw pg::Error("42704", "parent sync job " + std::to_string(*parent) + " does not exist");
    require_may_steer(stored->job);  // another role's child would get in the way of canceling or retrying the parent
}

void set_optional_text(Job& job, C column, const std::optional<std::string>& text) {
    if (text) job.set_text(column, *text);
}

// Says once per session that nothing will run by itself.
void say_when_not_preloaded() {
    static bool said = false;
    if (said || pg::shared_memory() != nullptr) return;
    said = true;
    pg::notice(
        "pg_sync_job is not preloaded: no worker will run the jobs",
        "Add pg_sync_job to shared_preload_libraries and restart the server, or run them with CALL run_sync_jobs().");
}

void check_numbers(const EnqueueRequest& request) {
    check_not_negative("timeout", request.timeout);
    check_not_negative("retry_delay", request.retry_delay);
    if (request.max_retries && *request.max_retries < 0) {
        throw pg::Error("22023", "max_retries must not be negative: " + std::to_string(*request.max_retries));
    }
}

Side source_side(const EnqueueRequest& request, const JobType& type) {
    return resolve_side(type, "source", "source_doc", type.source, type.source_key, request.source_document_type,
                        request.source_document_name, request.source_doc);
}

Side target_side(const EnqueueRequest& request, const JobType& type) {
    return resolve_side(type, "target", "target_doc", type.target, type.target_key, request.target_document_type,
                        request.target_document_name, request.target_doc);
}

Side trigger_side(const EnqueueRequest& request, const JobType& type) {
    return resolve_side(type, "triggered_by", "triggered_by_doc", pg::no_oid, {}, request.triggered_by_document_type,
                        request.triggered_by_document_name, request.triggered_by_doc);
}

void set_flags(Job& job, const EnqueueRequest& request, const JobType& type) {
    auto set = [&](C column, std::optional<bool> given, bool otherwise) {
        job.set(column, pg::bool_datum(given.value_or(otherwise)));
    };
    // What the type allows is checked when the job runs.
    set(C::insert_enabled, request.insert_enabled, true);
    set(C::update_enabled, request.update_enabled, true);
    set(C::delete_enabled, request.delete_enabled, true);
    set(C::update_without_changes_enabled, request.update_without_changes_enabled, false);
    set(C::verbose_logging, request.verbose_logging, type.verbose_logging);
    set(C::dry_run, request.dry_run, false);
    set(C::queue_on_insert, request.queue_on_insert, true);
}

// 0: no limit.
std::int64_t limit_of(std::int64_t timeout) { return timeout == 0 ? std::numeric_limits<std::int64_t>::max() : timeout; }

// An endless job occupies a worker: only those who may stop the jobs of others may ask for more than the type or the
// queue allows. What a trigger asks for is reduced, as the application's write must not fail.
std::int64_t allowed_timeout(const EnqueueRequest& request, const Queue& queue, std::int64_t most) {
    std::int64_t timeout = *request.timeout;
    if (limit_of(timeout) <= most) return timeout;
    Oid role = request.owner != pg::no_oid ? request.owner : pg::current_user();
    if (has_level(role, Level::operator_) || has_level(role, Level::manager)) return timeout;
    if (request.from_trigger) return most;
    throw pg::Error("42501", "permission denied for a timeout of " +
                                 (timeout == 0 ? std::string("0, which is none") : seconds_text(timeout)))
        .detail("The limit is " + seconds_text(most) + ", that of queue " + quoted(queue.name) +
                " or of the sync job type, and role " + quoted(pg::role_name(role)) + " has neither level operator nor manager.")
        .hint("Give a shorter timeout, or a queue with a longer one.");
}

void set_running(Job& job, const EnqueueRequest& request, const JobType& type) {
    auto queue = require_queue(request.queue.value_or(type.queue));
    std::int64_t usual = type.timeout.value_or(queue->timeout);
    std::int64_t timeout = request.timeout.value_or(usual);
    if (request.timeout) timeout = allowed_timeout(request, *queue, std::max(limit_of(usual), limit_of(queue->timeout)));
    job.set_text(C::queue, queue->name);
    job.set(C::priority, pg::int32_datum(request.priority.value_or(type.priority)));
    job.set(C::timeout, pg::interval_datum(timeout));
    job.set(C::retry_delay, pg::interval_datum(request.retry_delay.value_or(type.retry_delay)));
    job.set_text(C::retry_backoff, request.retry_backoff.value_or(type.retry_backoff));
    job.set(C::max_retries, pg::int32_datum(request.max_retries.value_or(type.max_retries)));
    job.set(C::retry_count, pg::int32_datum(0));
    if (request.scheduled_at) job.set(C::scheduled_at, pg::int64_datum(*request.scheduled_at));
}

Oid background_role(const EnqueueRequest& request) {
    return request.run_as != pg::no_oid ? request.run_as : pg::current_user();
}

void set_origin(Job& job, const EnqueueRequest& request, const JobType& type, Oid owner) {
    Side trigger = trigger_side(request, type);
    job.set_text(C::trigger_type, trigger_type_of(request));
    job.set_oid(C::triggered_by_document_type, trigger.type);
    set_optional_text(job, C::triggered_by_document_name, trigger.name);
    if (request.trigger_document_timestamp || trigger.name) {  // the version this transaction sees
        pg::Timestamp at = request.trigger_document_timestamp.value_or(pg::transaction_start());
        job.set(C::trigger_document_timestamp, pg::int64_datum(at));
    }
    if (request.parent_sync_job) job.set(C::parent_sync_job, pg::int64_datum(*request.parent_sync_job));
    if (request.relation != nullptr) job.set_text(C::relation, request.relation);
    if (request.rerun_of) job.set(C::parent_sync_job, pg::int64_datum(*request.rerun_of));
    set_optional_text(job, C::job_id, request.job_id);
    job.set_oid(C::run_as, type.background ? background_role(request) : type.run_as);
    job.set_oid(C::owner, owner);
    job.set_oid(C::enqueued_by, type.background ? background_role(request) : pg::current_user());
    job.set(C::created_at, pg::int64_datum(pg::transaction_start()));
}

void set_background(Job& job, const EnqueueRequest& request) {
    set_optional_text(job, C::procedure, request.procedure);
    set_optional_text(job, C::on_success, request.on_success);
    set_optional_text(job, C::on_failure, request.on_failure);
    set_optional_text(job, C::job_group, request.job_group);
    if (request.after.empty()) return;
    job.set(C::after, pg::int64_array_datum(request.after));
    job.set_text(C::after_failure, request.after_failure.value_or("cancel"));
    job.set_status(Status::pending);
}

bool queue_publishes(const Job& job) { return require_queue(std::string(job.text(C::queue)))->publish_events; }

std::size_t source_name_bytes(const pg::RowValues& row) {
    constexpr int name = static_cast<int>(C::source_document_name) - 1;
    return row.nulls[name] ? 0 : pg::datum_text(row.values[name]).size();
}

// Inserts rows into the queue. In a database of version 0.1.0 the index on documents cannot hold every name.
void insert_rows(pg::Table& table, const std::vector<pg::RowValues>& rows) {
    try {
        table.insert_many(rows);
    } catch (const pg::Error& error) {
        if (error.sqlstate() != "54000") throw;
        std::size_t bytes = 0;
        for (const pg::RowValues& row : rows) bytes = std::max(bytes, source_name_bytes(row));
        throw pg::Error("54000", "source document name of " + std::to_string(bytes) + " bytes is too long for the queue")
            .detail("Jobs of a document are found by an index on its name: " + error.report().message + ".")
            .hint("A key that is shorter than 2000 bytes as text always fits.");
    }
}

std::string label_of(Oid relation, Oid of_type, const std::string& label_of_type) {
    if (relation == of_type) return label_of_type;
    return pg::relation_name(relation);
}

}  // namespace

Enqueuer::~Enqueuer() = default;

Enqueuer::Enqueuer(const EnqueueRequest& request)
    : request_(request), template_(Job::blank()), row_memory_("sync job to enqueue") {
    pg::require_writable("enqueue_sync_job()");
    table_ = std::make_unique<pg::Table>(schema_objects().live, pg::TableLock::write);
    type_ = require_job_type(request.sync_job_type);
    Oid owner = request.owner != pg::no_oid ? request.owner : pg::current_user();
    if (type_->background) {
        if (!request.procedure) {
            throw pg::Error("22023", "sync job type " + quoted(type_->name) + " is for background work")
                .hint("Use enqueue_background_job().");
        }
        require_role_can_run(background_role(request));
    } else {
        require_may_enqueue(*type_, owner, request);
    }
    if (!request.task || request.task == Task::full_sync) check_enabled(*type_);
    check_context(request.context);
    check_numbers(request);
    check_parent(request.parent_sync_job);

    Side target = target_side(request, *type_);
    target_name_ = target.name;
    Oid source = document_type(*type_, "source", type_->source, request.source_document_type,
                               relation_of_document(request.source_doc, "source_doc"));
    if (source != pg::no_oid) {
        bool named = request.source_document_name || !request.source_doc.null || request_.many;
        if (named) source_documents_ = DocumentType::find(source, type_->source_key);
    }
    source_label_ = label_of(source, type_->source, type_->source_label);
    target_label_ = label_of(target.type, type_->target, type_->target_label);

    Job& job = template_;
    job.set_text(C::sync_job_type, type_->name);
    job.set_status(request.queue_on_insert.value_or(true) ? Status::queued : Status::pending);
    bool may_be_held = !request.task || !runs_while_paused(to_text(*request.task));
    bool held = (type_->paused && may_be_held) || (type_->is_push() && !request.task && !request.scheduled_at);
    if (held && job.status() == Status::queued) job.set(C::held, pg::bool_datum(true));
    job.set_oid(C::source_document_type, source);
    job.set_oid(C::target_document_type, target.type);
    set_optional_text(job, C::target_document_name, target.name);
    if (auto operation = operation_of(request, target)) job.set_text(C::operation, *operation);
    if (request.task) job.set_text(C::operation, to_text(*request.task));
    job.set(C::context, request.context);
    set_flags(job, request, *type_);
    set_running(job, request, *type_);
    set_origin(job, request, *type_, owner);
    set_background(job, request);
    set_depth();
    set_trace();
    job.set(C::publish_event, pg::bool_datum(request.publish_event || type_->publish_events || queue_publishes(job)));
    say_when_not_preloaded();
}

// Two types that write to each other's sources may trigger each other endlessly. The write that leads to one job too
// many must not fail: it belongs to an application, or to a job. So the job is inserted as Canceled.
void Enqueuer::set_depth() {
    constexpr int most_generations = 100;
    constexpr pg::Timestamp pause_between_lines = 60'000'000;
    static pg::Timestamp last_said = 0;
    auto above = current_depth();
    int depth = above ? *above + (request_.from_trigger ? 1 : 0) : 0;
    if (depth == 0) return;
    template_.set(C::depth, pg::int32_datum(depth));
    if (!request_.from_trigger || depth <= most_generations) return;
    std::string reason = std::to_string(most_generations) + " jobs led to this one, each by a trigger on what the job before it wrote";
    template_.set_status(Status::canceled);
    template_.set_text(C::cancel_reason, reason);
    template_.set(C::ended_at, pg::int64_datum(pg::now()));
    if (pg::now() - last_said < pause_between_lines) return;
    last_said = pg::now();
    pg::log("jobs of sync job type " + quoted(type_->name) + " are canceled as they are enqueued", reason + ".",
            "Job types that write to each other's sources must settle on the same values, or one of them must not react to "
            "what the other writes: see current_sync_job().");
}

void Enqueuer::set_trace() {
    std::optional<std::string> trace = request_.traceparent;
    if (!trace && *settings.traceparent != '\0') trace = settings.traceparent;
    if (!trace && request_.parent_sync_job) {
        auto parent = find_job(*request_.parent_sync_job);
        if (parent && !parent->job.is_null(C::traceparent)) trace = std::string(parent->job.text(C::traceparent));
    }
    set_optional_text(template_, C::traceparent, trace);
}

void Enqueuer::set_context(pg::Value context) {
    if (context.datum != template_.datum(C::context)) end_set();
    template_.set(C::context, context);
}

// When very many are enqueued at once and no job waits, one look-up serves all the rest. Not for a few: while somebody
// holds an old snapshot, that look-up reads all jobs of the type that have ended since.
bool Enqueuer::may_be_absorbed() {
    constexpr int one_by_one = 1000;
    if (!request_.many || request_.job_id || looked_up_++ < one_by_one) return true;
    if (!any_live_) any_live_ = any_live(type_->name);
    return *any_live_;
}

std::int64_t Enqueuer::add(const std::optional<std::string>& name) {
    if (!name || !makes_sets()) return add_job(name);
    add_to_set(*name);
    return 0;
}

// Arguments that apply to a single document need a job for each.
bool Enqueuer::makes_sets() const {
    bool for_each = request_.operation || target_name_ || request_.dry_run.value_or(false) ||
                    (request_.job_id && request_.deduplicate);
    return request_.many && type_->set_size > 1 && !for_each && schema_objects().current && runs_in_sets(*type_);
}

void Enqueuer::add_to_set(const std::string& name) {
    constexpr std::size_t most_bytes = 16 << 20;
    if (!known_names_.insert(name).second) return;
    bool full = names_.size() >= static_cast<std::size_t>(type_->set_size) || bytes_of_names_ + name.size() > most_bytes;
    if (full) {
        end_set();
        known_names_.insert(name);
    }
    names_.push_back(name);
    bytes_of_names_ += name.size();
}

// A few documents become jobs of their own, which can absorb later requests.
void Enqueuer::end_set() {
    constexpr std::size_t fewest = 8;
    std::vector<std::string> few;
    if (names_.size() < fewest) {
        few.swap(names_);
    } else {
        insert_set();
    }
    names_.clear();
    if (request_.from_trigger) known_names_.clear();  // a trigger names each document once, and may have very many
    bytes_of_names_ = 0;
    for (const std::string& name : few) add_job(name);
}

void Enqueuer::insert_set() {
    insert_waiting();
    row_memory_.reset();
    pg::MemorySwitch memory(row_memory_);
    Job job = template_.copy();
    std::string label = source_label_ + (target_label_.empty() ? "" : " > " + target_label_);
    job.set_text(C::title, pg::clipped(label + ": " + std::to_string(names_.size()) + " documents", 140));
    job.set(C::documents, pg::int32_datum(static_cast<int>(names_.size())));
    if (job.status() != Status::canceled) job.set(C::source_documents, pg::text_array_datum(names_));
    insert(job);
    insert_waiting();
}

std::int64_t Enqueuer::add_job(const std::optional<std::string>& name) {
    constexpr std::size_t at_a_time = 200;
    if (waiting_rows_.size() >= at_a_time) insert_waiting();
    if (waiting_rows_.empty()) row_memory_.reset();
    pg::MemorySwitch memory(row_memory_);
    Job job = template_.copy();
    job.clear(C::source_document_name);
    set_optional_text(job, C::source_document_name, name);
    if (request_.title) {
        job.set_text(C::title, pg::clipped(*request_.title, 140));
    } else {
        job.set_title(source_label_, target_label_);
    }
    if (request_.deduplicate && job.status() != Status::canceled && may_be_absorbed()) {
        if (auto absorbed = absorb(job)) {
            count_job(job, Counter::deduplicated);
            return *absorbed;
        }
    }
    return insert(job);
}

std::int64_t Enqueuer::insert(Job& job) {
    std::int64_t id = pg::next_sequence_value(schema_objects().id_sequence);
    job.set(C::id, pg::int64_datum(id));
    count_job(job, Counter::enqueued);
    if (job.status() == Status::canceled) {
        insert_job(job);
        count_end(job);
    } else if (request_.many) {
        waiting_rows_.push_back(job.row());
    } else {
        insert_rows(*table_, {job.row()});
    }
    if (!request_.after.empty()) wait_for_jobs(id, request_.after);
    if (job.status() == Status::queued) wake_at_commit(job);
    return id;
}

void Enqueuer::finish() {
    end_set();
    insert_waiting();
}

void Enqueuer::insert_waiting() {
    insert_rows(*table_, waiting_rows_);
    waiting_rows_.clear();
}

std::int64_t enqueue(const EnqueueRequest& request) {
    Enqueuer enqueuer(request);
    return enqueuer.add(source_side(request, *require_job_type(request.sync_job_type)).name);
}

}  // namespace sync_job
