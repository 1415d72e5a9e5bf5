// Finds the route of a request, and the parameters of its statement.
#pragma once

#include "serve/api/routes.hpp"
#include "serve/database.hpp"
#include "serve/parameters.hpp"

namespace sync_job::serve {

class Router {
public:
    Router();

    struct Match {
        const Route* route = nullptr;
        Named from_path;
        bool other_method = false;  // the path is known, but not with this method
    };
    // Throws DatabaseError if the path is not text.
    Match find(Method method, std::string_view path) const;

private:
    struct Entry {
        const Route* route;
        std::vector<std::string_view> segments;
    };
    std::vector<Entry> entries_;
};

// In the order of $1, $2, … Throws DatabaseError for what cannot be read, and for a parameter that the route does not know: a misspelt
// filter must not select everything.
Parameters parameters_of(const Route& route, Named from_path, const Request& request);

}  // namespace sync_job::serve
