// The validator of the wrapper sync_job_http: CREATE and ALTER SERVER and USER MAPPING call it with all options.
#include "controller/http_endpoint.hpp"
#include "pg/error.hpp"
#include "pg/function.hpp"

using namespace sync_job;

SYNC_JOB_FUNCTION(sync_job_check_http_options) {
    auto options = pg::option_list(args.datum(0));
    switch (pg::options_of(*args.oid(1))) {
        case pg::OptionsOf::server:
            check_server_options(options);
            break;
        case pg::OptionsOf::mapping:
            check_secret_names(options);
            break;
        case pg::OptionsOf::wrapper:
        case pg::OptionsOf::other:
            if (options.empty()) break;
            throw pg::Error("HV00D", "invalid option \"" + options.begin()->first + "\"")
                .detail("The wrapper sync_job_http has options of servers and of user mappings only.");
    }
    return 0;  // called in C, where a result must not be null
}
