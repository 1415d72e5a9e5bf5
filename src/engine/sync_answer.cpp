// The step of an attempt at a job of an HTTP push that writes the answer back.
#include <utility>

#include "controller/http_push.hpp"
#include "engine/sync.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

using C = JobColumn;

std::string& answered_type() {
    static auto& name = *new std::string;  // never destroyed: the server may be gone by then
    return name;
}

struct Answering {
    explicit Answering(const std::string& type) : outer(std::exchange(answered_type(), type)) {}
    ~Answering() { answered_type() = outer; }
    Answering(const Answering&) = delete;
    Answering& operator=(const Answering&) = delete;
    std::string outer;
};

}  // namespace

void write_answer(SyncContext& sync, const JobType& type) {
    Answering answering(type.name);
    if (sync.job.is_null(C::source_document_name)) return;
    require_own_documents(*DocumentType::find(type.source, type.source_key));
    if (type.target != pg::no_oid) require_own_documents(*DocumentType::find(type.target, type.target_key));
    by_controller(sync, [&] {
        sync.controller->push()->write_answer(std::string(sync.job.text(C::source_document_name)), *sync.push->reply);
        return true;
    });
}

bool writes_answer_of(const std::string& type) { return !type.empty() && answered_type() == type; }

}  // namespace sync_job
