// The body of a LANGUAGE sql function as a plan that is kept. Before version 18, PostgreSQL parses and plans such a body again in each
// transaction and subtransaction, and so for each job.
#pragma once

#include <cstdint>
#include <string>

#include "pg/types.hpp"

struct CachedPlanSource;

namespace sync_job::pg {

// The body, according to one definition of the function. If it is not a single SELECT whose meaning depends only on the arguments and on
// what it reads, there is no plan, and the function is called in the usual way.
class SqlBody {
public:
    // Raises what is wrong with the body.
    explicit SqlBody(Oid function);
    ~SqlBody();
    SqlBody(const SqlBody&) = delete;
    SqlBody& operator=(const SqlBody&) = delete;

    // False: the function, or something it uses, has changed, so this object has to be created again.
    bool is_current() const;
    // Call it within guarded(). `types`: of the arguments. False: there is no plan, or no valid one any more; the function has not been
    // called.
    bool call(FunctionCallInfoBaseData* call, const Oid* types, Datum* result) const;

private:
    // What must stay the same: the function's row in pg_proc, and the row types of arguments and result. Version numbers of row types only
    // grow, and so does their sum.
    struct Definition {
        std::uint32_t transaction = 0, block = 0;
        std::uint16_t item = 0;
        std::uint64_t row_types = 0;
        bool operator==(const Definition&) const = default;
    };
    static Definition definition_of(HeapTupleData* tuple);
    void make_plan(HeapTupleData* tuple);

    Oid function_;
    bool in_sql_ = false, reads_only_ = false;
    Definition definition_;
    std::string name_, text_;
    CachedPlanSource* source_ = nullptr;
    bool plans_by_value_ = false;  // it must be planned with known parameters: see citus::is_distributed()
    Oid type_ = no_oid;   // type of the result
    bool whole_ = false;  // the columns of the query are those of that type
};

}  // namespace sync_job::pg
