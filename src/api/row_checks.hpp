// What the checks of several tables have in common.
#pragma once

#include <string>

#include "core/text.hpp"
#include "job/table_row.hpp"
#include "pg/error.hpp"

namespace sync_job {

inline pg::Error bad_column(const char* column, const std::string& what) {
    return pg::Error("23514", std::string(column) + " " + what).column(column);
}

inline void check_interval(const TableRow& row, const char* column) {
    pg::Value value = row.at(column);
    if (value.null || pg::interval_microseconds(value.datum) >= 0) return;
    throw bad_column(column, "must not be negative: " + pg::value_to_text(value.datum, pg::type::interval));
}

inline void check_number(const TableRow& row, const char* column, int least) {
    pg::Value value = row.at(column);
    if (value.null || pg::datum_int32(value.datum) >= least) return;
    throw bad_column(
        column, "must not be less than " + std::to_string(least) + ": " + std::to_string(pg::datum_int32(value.datum)));
}

}  // namespace sync_job
