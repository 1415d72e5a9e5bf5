// Native controllers: hooks in a C++ library, called through a C ABI. The counterpart of include/sync_job/controller.hpp.
#include <algorithm>
#include <array>
#include <map>

#include "controller/answer.hpp"
#include "controller/kinds.hpp"
#include "controller/mapping.hpp"
#include "controller/native_host.hpp"
#include "controller/native_library.hpp"
#include "core/text.hpp"
#include "job/schema_objects.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/native_value.hpp"

namespace sync_job {

namespace {

// In the order of Hook.
constexpr std::array<sync_job_hook, 7> hook_numbers = {SYNC_JOB_AFTER_START, SYNC_JOB_BEFORE_RELAY, SYNC_JOB_AFTER_RELAY, SYNC_JOB_BEFORE_SYNC,
                                                       SYNC_JOB_AFTER_SYNC,  SYNC_JOB_FINISHED,     SYNC_JOB_FAILED_HOOK};
constexpr std::array<const char*, 12> function_names = {
    "execute",      "get_target_document", "get_multiple_target_documents", "update_target_doc", "update_many", "after_start",
    "before_relay", "after_relay",         "before_sync",                   "after_sync",        "finished",    "failed"};

// The controller object that the library has created.
class Instance {
public:
    explicit Instance(std::shared_ptr<const NativeLibrary> library) : library_(std::move(library)) {
        NativeHost host("the constructor of the controller of library " + quoted(library_->name()), statements_, NativeHost::May::nothing);
        host.end(guarded([&] { return library_->table().create(NativeHost::api(), host.handle(), &controller_); }));
        if (controller_ == nullptr) throw pg::Error("38000", "library " + quoted(library_->name()) + " made no controller");
    }
    ~Instance() {
        guarded([&] { return library_->table().destroy(controller_), SYNC_JOB_OK; });
    }
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    std::int32_t call(sync_job_call* call) {
        return guarded([&] { return library_->table().call(controller_, call); });
    }
    NativeStatements& statements() { return statements_; }

private:
    // A library that was not built with our headers may throw.
    template <class F>
    static std::int32_t guarded(F&& act) noexcept {
        try {
            return act();
        } catch (...) {
            return -1;
        }
    }

    std::shared_ptr<const NativeLibrary> library_;
    NativeStatements statements_;
    void* controller_ = nullptr;
};

pg::RowValues apart(pg::Value composite, const DocumentType& type) {
    return composite.null ? pg::RowValues() : pg::take_apart(composite.datum, type.relation());
}

class NativeController : public Controller {
public:
    explicit NativeController(const JobType& type);

    Mapping* match() override { return by_match_ == nullptr ? nullptr : by_match_->mapping(); }
    bool bypass() const override { return library_->has(SYNC_JOB_EXECUTE); }
    bool has(Hook hook) const override { return library_->has(hook_numbers[static_cast<std::size_t>(hook)]); }
    HookResult result_of(Hook hook) const override {
        return hook == Hook::before_relay ? HookResult::json : hook == Hook::before_sync ? HookResult::target_row : HookResult::nothing;
    }
    std::vector<Target> targets_from_json(Datum jsonb, const Job& job) const override {
        return read_targets_json(jsonb, type_, job, name_of(SYNC_JOB_BEFORE_RELAY));
    }
    BypassResult execute(const Job& job, const Documents& documents) override;
    std::vector<Target> targets(const Job& job, const Documents& documents) override;
    pg::RowValues update(const Job& job, const Documents& documents, const pg::RowValues& target, ColumnSet* explicit_columns) override;
    bool computes_many() const override { return by_match_ != nullptr && library_->has(SYNC_JOB_UPDATE_MANY); }
    void update_many(std::vector<SetDocument>& documents) override;
    pg::Value call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) override;

private:
    std::string name_of(sync_job_hook hook) const { return std::string(function_names[hook]) + " of library " + quoted(library_->name()); }
    const std::shared_ptr<NativeColumns>& columns_of(const std::shared_ptr<DocumentType>& type);
    const std::shared_ptr<NativeColumns>& columns_of_jobs();

    // The rows of one call.
    struct Given {
        std::vector<sync_job_row> jobs, sources, targets;
    };
    Given give(NativeHost& host, const Job& job, const Documents& documents, const pg::RowValues& target);
    void run(NativeHost& host, sync_job_hook hook, Given& given, pg::Value extra = {});
    pg::Value source_of(const Job& job, const Documents& documents) const;
    pg::RowValues changed(const sync_job_row& row, const std::shared_ptr<DocumentType>& type, const pg::RowValues& base, ColumnSet* set);

    JobType type_;
    std::shared_ptr<const NativeLibrary> library_;
    std::shared_ptr<Controller> by_match_;  // finds the targets, if match is declared
    std::unique_ptr<Instance> instance_;
    std::map<std::shared_ptr<DocumentType>, std::shared_ptr<NativeColumns>> columns_;
    std::shared_ptr<NativeColumns> job_columns_;
};

NativeController::NativeController(const JobType& type) : type_(type), library_(NativeLibrary::find(type)) {
    if (!type.match.empty()) by_match_ = make_declarative_controller(type);
    auto missing = [&](const std::string& what) {
        throw SetupError(pg::Error("42883", "the controller of library " + quoted(type.library) + " overrides " + what)
                             .detail("It needs execute(); or update_target_doc() or update_many(), and where the type has no match, "
                                     "get_target_document() or get_multiple_target_documents()."));
    };
    bool finds = library_->has(SYNC_JOB_GET_TARGET_DOCUMENT) || library_->has(SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS);
    if (!bypass()) {
        if (!library_->has(SYNC_JOB_UPDATE_TARGET_DOC) && !library_->has(SYNC_JOB_UPDATE_MANY)) missing("neither update_target_doc() nor update_many()");
        if (by_match_ == nullptr && !finds) missing("neither get_target_document() nor get_multiple_target_documents(), and there is no match");
    }
    instance_ = std::make_unique<Instance>(library_);
}

const std::shared_ptr<NativeColumns>& NativeController::columns_of(const std::shared_ptr<DocumentType>& type) {
    static const std::shared_ptr<NativeColumns> none;
    constexpr std::size_t most = 16;
    if (type == nullptr) return none;
    auto found = columns_.find(type);
    if (found != columns_.end()) return found->second;
    if (columns_.size() >= most) columns_.clear();
    return columns_[type] = NativeColumns::of(type->relation());
}

const std::shared_ptr<NativeColumns>& NativeController::columns_of_jobs() {
    if (job_columns_ == nullptr) job_columns_ = NativeColumns::of(*pg::read_relation(schema_objects().job_table));
    return job_columns_;
}

// For a deleted source: the kept row. If match is declared, nobody has read that yet.
pg::Value NativeController::source_of(const Job& job, const Documents& documents) const {
    if (by_match_ == nullptr || !documents.source_is_deleted || documents.kept.empty()) return documents.source;
    std::string name(job.text(JobColumn::source_document_name));
    return whole_document(*documents.source_type, read_kept(*documents.source_type, name, documents.kept[0]));
}

NativeController::Given NativeController::give(NativeHost& host, const Job& job, const Documents& documents, const pg::RowValues& target) {
    Given given;
    given.jobs = host.give({job.row()}, columns_of_jobs(), NativeHost::Read::later);
    pg::RowValues source = documents.source_type == nullptr ? pg::RowValues() : apart(source_of(job, documents), *documents.source_type);
    given.sources = host.give({source}, columns_of(documents.source_type), NativeHost::Read::now);
    given.targets = host.give({target}, columns_of(documents.target_type), NativeHost::Read::now);
    given.targets[0].is_new = documents.target_is_new ? 1 : 0;
    return given;
}

void NativeController::run(NativeHost& host, sync_job_hook hook, Given& given, pg::Value extra) {
    std::string json = extra.null ? std::string() : pg::json_to_text(extra.datum);
    sync_job_call call{};
    call.size = sizeof(call);
    call.api = NativeHost::api();
    call.host = host.handle();
    call.hook = hook;
    call.count = given.jobs.size();
    call.jobs = given.jobs.data();
    call.sources = given.sources.data();
    call.targets = given.targets.data();
    if (!extra.null) call.extra = {json.data(), json.size()};
    host.end(instance_->call(&call));
}

BypassResult NativeController::execute(const Job& job, const Documents& documents) {
    library_->require_current();
    NativeHost host(name_of(SYNC_JOB_EXECUTE), instance_->statements(), NativeHost::May::all);
    Given given = give(host, job, documents, {});
    run(host, SYNC_JOB_EXECUTE, given);
    if (!host.result) return {};
    return read_result({pg::json_from_text(*host.result), false}, true, name_of(SYNC_JOB_EXECUTE));
}

std::vector<Target> NativeController::targets(const Job& job, const Documents& documents) {
    library_->require_current();
    if (by_match_ != nullptr) return by_match_->targets(job, documents);
    sync_job_hook hook = library_->has(SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS) ? SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS : SYNC_JOB_GET_TARGET_DOCUMENT;
    NativeHost host(name_of(hook), instance_->statements(), NativeHost::May::all);
    Given given = give(host, job, documents, {});
    run(host, hook, given);
    if (hook == SYNC_JOB_GET_TARGET_DOCUMENT && host.targets.size() > 1) {
        throw pg::Error("21000", name_of(hook) + " named " + std::to_string(host.targets.size()) + " targets");
    }
    std::vector<Target> targets;
    for (const TargetFields& fields : host.targets) {
        if (auto target = to_target(fields, type_, job, name_of(hook))) targets.push_back(*target);
    }
    return targets;
}

// The row as the controller has left it. The columns that it has set are added to `set`.
pg::RowValues NativeController::changed(const sync_job_row& row, const std::shared_ptr<DocumentType>& type, const pg::RowValues& base,
                                        ColumnSet* set) {
    NativeColumns& columns = *columns_of(type);
    pg::RowValues after = pg::copy_of(base);
    for (const pg::Column& column : type->relation().columns) {
        const sync_job_value& value = row.values[column.number - 1];
        if (column.dropped || value.set == 0) continue;
        try {
            after.set(column.number, native_value(value, columns.get()->columns[column.number - 1].type, columns.typmod(column.number - 1)));
        } catch (const pg::Error& error) {
            throw pg::Error(error.sqlstate(), "column " + quoted(column.name) + ": " + error.report().message).detail(error.report().detail);
        }
        if (!contains(*set, column.number)) set->push_back(column.number);
    }
    std::sort(set->begin(), set->end());
    return after;
}

pg::RowValues NativeController::update(const Job& job, const Documents& documents, const pg::RowValues& target, ColumnSet* explicit_columns) {
    pg::RowValues base = target;
    if (by_match_ != nullptr && documents.wanted.values != nullptr && (documents.target_is_new || documents.target_moves)) {
        base = pg::copy_of(target);
        for (int column : match()->all_columns()) base.set(column, documents.wanted.at(column));
        *explicit_columns = match()->all_columns();
    }
    sync_job_hook hook = library_->has(SYNC_JOB_UPDATE_TARGET_DOC) ? SYNC_JOB_UPDATE_TARGET_DOC : SYNC_JOB_UPDATE_MANY;
    NativeHost host(name_of(hook), instance_->statements(), NativeHost::May::all);
    Given given = give(host, job, documents, base);
    run(host, hook, given);
    return changed(given.targets[0], documents.target_type, base, explicit_columns);
}

void NativeController::update_many(std::vector<SetDocument>& documents) {
    library_->require_current();
    auto source_type = DocumentType::find(type_.source, type_.source_key), target_type = DocumentType::find(type_.target, type_.target_key);
    std::vector<pg::RowValues> jobs, sources, targets;
    for (const SetDocument& document : documents) {
        jobs.push_back(document.job->row());
        sources.push_back(document.source);
        targets.push_back(document.base);
    }
    NativeHost host(name_of(SYNC_JOB_UPDATE_MANY), instance_->statements(), NativeHost::May::all);
    Given given;
    given.jobs = host.give(jobs, columns_of_jobs(), NativeHost::Read::later);
    given.sources = host.give(sources, columns_of(source_type), NativeHost::Read::now);
    given.targets = host.give(targets, columns_of(target_type), NativeHost::Read::now);
    for (std::size_t i = 0; i < documents.size(); i++) given.targets[i].is_new = documents[i].is_new ? 1 : 0;
    run(host, SYNC_JOB_UPDATE_MANY, given);
    for (std::size_t i = 0; i < documents.size(); i++) {
        documents[i].wanted = changed(given.targets[i], target_type, documents[i].base, &documents[i].explicit_columns);
    }
}

pg::Value NativeController::call_hook(Hook hook, const Job& job, const Documents& documents, pg::Value extra) {
    sync_job_hook number = hook_numbers[static_cast<std::size_t>(hook)];
    NativeHost host(name_of(number), instance_->statements(), NativeHost::May::all);
    pg::RowValues target = documents.target_type == nullptr ? pg::RowValues() : apart(documents.target, *documents.target_type);
    Given given = give(host, job, documents, target);
    run(host, number, given, extra);
    if (hook == Hook::before_relay && host.result) return {pg::json_from_text(*host.result), false};
    if (hook != Hook::before_sync || target.values == nullptr) return {};
    ColumnSet set;
    pg::RowValues after = changed(given.targets[0], documents.target_type, target, &set);
    return {pg::put_together(after, documents.target_type->relation()), false};
}

}  // namespace

std::shared_ptr<Controller> make_native_controller(const JobType& type) { return std::make_shared<NativeController>(type); }

}  // namespace sync_job
