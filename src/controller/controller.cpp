// Which kind of controller a job type has, and the cache of controllers.
#include <algorithm>
#include <unordered_map>

#include "controller/controller.hpp"
#include "controller/kinds.hpp"
#include "controller/native_library.hpp"
#include "controller/source_condition.hpp"
#include "core/text.hpp"
#include "document/document.hpp"
#include "pg/catalog.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

struct Cached {
    std::shared_ptr<Controller> controller;
    std::uint64_t types, documents, functions;
};

std::unordered_map<std::string, Cached>& cache() {
    static auto& controllers =
        *new std::unordered_map<std::string, Cached>;  // never destroyed: the server may be gone by then
    return controllers;
}

std::uint64_t function_generation = 1;

std::shared_ptr<Controller> make(const JobType& type) {
    try {
        require_secret_columns(type);
        auto controller = type.is_push()       ? make_push_controller(type)
                          : type.declarative() ? make_declarative_controller(type)
                          : type.native()      ? make_native_controller(type)
                                               : make_function_controller(type);
        if (!type.source_condition.empty()) controller->source_condition = std::make_shared<SourceCondition>(type);
        return controller;
    } catch (const SetupError&) {
        throw;
    } catch (const pg::Error& error) {
        // Errors that are not the fault of the set-up: a deadlock, a cancellation, lack of memory.
        std::string error_class = error.sqlstate().substr(0, 2);
        if (error_class == "40" || error_class == "53" || error_class == "57") throw;
        throw SetupError(error);
    }
}

}  // namespace

namespace {

ControllerKind kind_of(const JobType& type, const NativeLibrary& library) {
    bool bypass = library.has(SYNC_JOB_EXECUTE);
    return {bypass, false, !bypass && type.match.empty() && library.has(SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS)};
}

// Opens the library if it is not open yet. Null: it cannot be opened; the attempt will report why.
std::shared_ptr<const NativeLibrary> library_of(const JobType& type) {
    if (auto library = NativeLibrary::if_open(type)) return library;
    try {
        return NativeLibrary::find(type);
    } catch (const SetupError&) {
        return nullptr;
    }
}

// Cached, because it is asked for each job. It depends on the type and on its library, which stays open.
struct NativeKind {
    ControllerKind kind;
    bool by_statements = false;
    std::uint64_t types = 0;
};

NativeKind native_kind(const JobType& type) {
    static auto& kinds = *new std::unordered_map<std::string, NativeKind>;
    NativeKind& cached = kinds[type.name];
    if (cached.types == job_type_generation()) return cached;
    auto library = library_of(type);
    if (library == nullptr) return {};
    cached.kind = kind_of(type, *library);
    cached.by_statements = !type.match.empty() && !cached.kind.bypass && !library->has(SYNC_JOB_AFTER_START) &&
                           !library->has(SYNC_JOB_BEFORE_SYNC) && !library->has(SYNC_JOB_AFTER_SYNC) && !library->has(SYNC_JOB_FINISHED);
    cached.types = job_type_generation();
    return cached;
}

}  // namespace

ControllerKind controller_kind(const JobType& type) {
    if (type.native()) return native_kind(type).kind;
    struct CachedKind {
        ControllerKind kind;
        std::uint64_t types = 0, functions = 0;
    };
    static auto& kinds = *new std::unordered_map<std::string, CachedKind>;
    CachedKind& cached = kinds[type.name];
    if (cached.types == job_type_generation() && cached.functions == function_generation) return cached.kind;
    CachedKind fresh{{}, job_type_generation(), function_generation};
    fresh.kind.bypass = type.is_push();
    Oid module = type.declarative() || type.is_push() ? pg::no_oid : pg::schema_oid(type.module);
    if (module != pg::no_oid) {
        for (const pg::FunctionInfo& info : pg::functions_named(module, "execute")) {
            fresh.kind.bypass = true;
            fresh.kind.commits = fresh.kind.commits || info.kind == 'p';
        }
        fresh.kind.relays =
            !fresh.kind.bypass && !pg::functions_named(module, "get_multiple_target_documents").empty();
    }
    cached = fresh;
    return fresh.kind;
}

ControllerKind known_kind(const JobType& type) {
    if (!type.native()) return controller_kind(type);
    auto library = NativeLibrary::if_open(type);
    return library == nullptr ? ControllerKind{} : kind_of(type, *library);
}

bool syncs_by_statements(const JobType& type) {
    return type.declarative() || (type.native() && native_kind(type).by_statements);
}

bool runs_in_sets(const JobType& type) {
    if (type.background) return false;
    if (type.is_push()) return type.set_size > 1;  // the table allows that only with batch
    ControllerKind kind = known_kind(type);
    return !kind.bypass && !kind.commits && !kind.relays && type.batchable.value_or(true);
}

std::shared_ptr<Controller> find_controller(const JobType& type) {
    auto found = cache().find(type.name);
    if (found != cache().end()) {
        const Cached& entry = found->second;
        if (entry.types == job_type_generation() && entry.documents == document_generation() &&
            entry.functions == function_generation) {
            return entry.controller;
        }
        cache().erase(found);
    }
    Cached entry{nullptr, job_type_generation(), document_generation(), function_generation};
    entry.controller = make(type);
    cache().insert_or_assign(type.name, entry);  // making it may have cached another one for this type
    return entry.controller;
}

std::shared_ptr<Controller> find_failed_hook(const JobType& type) {
    if (type.declarative() || type.native() || type.is_push() || type.background) return nullptr;
    try {
        pg::Subtransaction subtransaction;
        auto controller = make_failed_hook(type);
        subtransaction.commit();
        return controller;
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        return nullptr;
    }
}

void require_secret_columns(const JobType& type) {
    if (type.secret_columns.empty() || type.target == pg::no_oid) return;
    auto target = DocumentType::find(type.target, type.target_key);
    std::vector<pg::JsonField> match;
    if (!type.match.empty()) match = pg::json_fields(pg::json_from_text(type.match));
    for (const std::string& name : type.secret_columns) {
        const pg::Column* column = target->relation().column(name);
        if (column == nullptr) {
            throw pg::Error("42703", "secret_columns names column " + quoted(name) + ", which document type " + quoted(target->label()) +
                                         " does not have").column("secret_columns");
        }
        if (contains(target->key(), column->number)) {
            throw pg::Error("0A000", "secret_columns names column " + quoted(name) + ", which is part of the key of document type " +
                                         quoted(target->label()))
                .detail("The key is the name of a document, which its jobs record.")
                .column("secret_columns");
        }
        if (std::any_of(match.begin(), match.end(), [&](const pg::JsonField& field) { return field.key == name; })) {
            throw pg::Error("0A000", "secret_columns names column " + quoted(name) + ", which is one of match")
                .detail("What match reads of the source is kept when its row is deleted.")
                .column("secret_columns");
        }
    }
}

void invalidate_controllers() { function_generation++; }

std::uint64_t controller_generation() { return function_generation; }

}  // namespace sync_job
