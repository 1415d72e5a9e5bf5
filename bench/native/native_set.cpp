// The real sync of the benchmark in C++: `match` finds the targets, many are computed in one call.
#include <sync_job/controller.hpp>

struct Sync : sync_job::Controller {
    void update_many(sync_job::Batch& batch) override {
        for (auto item : batch) {
            item.target["name"] = item.source["full_name"];
            item.target["region"] = item.source["territory"];
            item.target["credit_limit"] = item.source["credit_limit"];
            item.target["active"] = !item.source.get<bool>("disabled");
        }
    }
};

SYNC_JOB_CONTROLLER(Sync)
