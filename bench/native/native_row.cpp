// The real sync of the benchmark in C++, row by row, like the functions in PL/pgSQL.
#include <sync_job/controller.hpp>

struct Sync : sync_job::Controller {
    std::optional<sync_job::Target> get_target_document(const sync_job::Job&, const sync_job::Document& source) override {
        auto found = sql("SELECT id::text AS id FROM target WHERE external_code = $1", source["code"]);
        if (found.empty()) return sync_job::Target::insert();
        return sync_job::Target::update(found[0].get<std::string>("id"));
    }
    void update_target_doc(const sync_job::Job&, const sync_job::Document& source, sync_job::Document& target) override {
        target["external_code"] = source["code"];
        target["name"] = source["full_name"];
        target["region"] = source["territory"];
        target["credit_limit"] = source["credit_limit"];
        target["active"] = !source.get<bool>("disabled");
    }
};

SYNC_JOB_CONTROLLER(Sync)
