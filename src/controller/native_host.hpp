// What a native controller may call while one of its hooks runs: the functions of sync_job_api (include/sync_job/abi.h). Errors do not
// cross this border: the controller gets a return code, and the attempt fails whatever the controller does about it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/answer.hpp"
#include "document/document.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/spi.hpp"
#include "pg/xact.hpp"
#include "sync_job/abi.h"

namespace sync_job {

// The columns of a document type, or of a result, for the ABI.
class NativeColumns {
public:
    void add(const std::string& name, Oid base_type, std::int32_t typmod = -1);
    const sync_job_columns* get();
    std::int32_t typmod(std::size_t column) const { return typmods_[column]; }
    static std::shared_ptr<NativeColumns> of(const pg::RelationInfo& relation);

private:
    std::vector<std::string> names_;
    std::vector<Oid> types_;
    std::vector<std::int32_t> typmods_;
    std::vector<sync_job_column> columns_;
    sync_job_columns whole_{};
};

// A row of the host: `stored` of a sync_job_row points to it.
struct NativeRow {
    pg::RowValues values;
    NativeColumns* columns;
};

// A value that the controller has set, for a column of this type (a base type).
pg::Value native_value(const sync_job_value& value, Oid type, std::int32_t typmod);

using NativeStatements = std::map<std::string, std::shared_ptr<pg::Statement>>;

// One call of the controller. What it hands out lives in the memory context that is current when this object is created.
class NativeHost {
public:
    enum class May { nothing, all };  // SQL is possible only within an attempt
    NativeHost(std::string what, NativeStatements& statements, May may);
    ~NativeHost();
    NativeHost(const NativeHost&) = delete;
    NativeHost& operator=(const NativeHost&) = delete;

    static const sync_job_api* api();
    sync_job_host* handle() { return reinterpret_cast<sync_job_host*>(this); }

    // Rows for the controller, with their values read now, or when the controller asks for them; without values for null ones. They live as
    // long as this object.
    enum class Read { now, later };
    std::vector<sync_job_row> give(const std::vector<pg::RowValues>& rows, const std::shared_ptr<NativeColumns>& columns, Read read);

    // `code`: what the controller returned. Raises what went wrong, whatever it was.
    void end(std::int32_t code);
    std::vector<TargetFields> targets;
    std::optional<std::string> result;  // JSON

private:
    struct Result;
    struct Functions;
    template <class F>
    std::int32_t run(F&& act) noexcept;
    void remember(std::shared_ptr<const pg::ErrorReport> report) noexcept;
    void execute(sync_job_text sql, const sync_job_value* arguments, std::uint64_t count, sync_job_rows* out);
    void load(sync_job_row* row);
    sync_job_text text_of(const sync_job_row& row, std::uint64_t column, bool as_json);
    void begin_savepoint();
    void end_savepoint(bool release);
    void roll_back_savepoints() noexcept;
    void show_progress(double percent, sync_job_text title, sync_job_text description);

    std::string what_;  // which hook of which library, for errors
    NativeStatements& statements_;
    May may_;
    std::vector<std::pair<std::shared_ptr<NativeColumns>, std::unique_ptr<NativeRow[]>>> given_;
    std::vector<std::unique_ptr<Result>> results_;
    std::vector<std::unique_ptr<pg::Subtransaction>> savepoints_;
    std::shared_ptr<const pg::ErrorReport> error_;  // null: no error
    std::size_t error_at_ = 0;                      // how many savepoints were open then
    std::shared_ptr<const pg::ErrorReport> own_error_;  // an exception of the controller
};

}  // namespace sync_job
