// The real sync of the benchmark in C++: `match` finds the targets, update_target_doc is called row by row.
#include <sync_job/controller.hpp>

struct Sync : sync_job::Controller {
    void update_target_doc(const sync_job::Job&, const sync_job::Document& source, sync_job::Document& target) override {
        target["name"] = source["full_name"];
        target["region"] = source["territory"];
        target["credit_limit"] = source["credit_limit"];
        target["active"] = !source.get<bool>("disabled");
    }
};

SYNC_JOB_CONTROLLER(Sync)
