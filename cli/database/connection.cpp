// A connection and its results; see the header.
#include "database/connection.hpp"

#include "database/interrupt.hpp"
#include "database/password.hpp"
#include "text/message.hpp"
#include "text/visible.hpp"

#include <algorithm>
#include <cstring>

namespace sync_job {

// ---- results ----

int Result::column(std::string_view name) const {
    for (int i = 0; i < columns(); i++) {
        if (this->name(i) == name) {
            return i;
        }
    }
    throw std::logic_error("a result has no column \"" + std::string(name) + "\"");
}

std::string_view Result::text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::string Row::operator[](std::string_view column) const {
    return std::string(result_->text(number_, result_->column(column)));
}

bool Row::is_null(std::string_view column) const {
    return result_->is_null(number_, result_->column(column));
}

std::optional<std::string> Row::get(std::string_view column) const {
    return is_null(column) ? std::nullopt : std::optional((*this)[column]);
}

// ---- the connection ----

namespace {

std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
        text.pop_back();
    }
    return text;
}

PGconn* connect_once(const ConnectionOptions& options, const std::string& program, const std::optional<std::string>& password) {
    std::vector<const char*> names, values;
    auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) {
            names.push_back(name), values.push_back(value.c_str());
        }
    };
    // A connection string comes first, so that other options on the command line override it, as in psql.
    add("dbname", options.database);
    add("host", options.host);
    add("port", options.port);
    add("user", options.user);
    if (password) {
        names.push_back("password"), values.push_back(password->c_str());
    }
    add("fallback_application_name", program);
    names.push_back("client_encoding"), values.push_back("UTF8");
    names.push_back(nullptr), values.push_back(nullptr);
    return PQconnectdbParams(names.data(), values.data(), 1);
}

void tell_notice(void*, const PGresult* notice) {
    auto field = [&](int code) {
        const char* value = PQresultErrorField(notice, code);
        return std::string(value ? value : "");
    };
    tell_message(field(PG_DIAG_SEVERITY), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT));
}

[[noreturn]] void raise(PGconn* connection, const PGresult* result) {
    auto field = [&](int code) {
        const char* value = PQresultErrorField(result, code);
        return std::string(value ? value : "");
    };
    if (PQstatus(connection) != CONNECTION_OK) {
        std::string message = field(PG_DIAG_MESSAGE_PRIMARY);
        throw ConnectionError(message.empty() ? trimmed(PQerrorMessage(connection)) : message, {}, true);
    }
    throw DatabaseError(field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY), field(PG_DIAG_MESSAGE_DETAIL), field(PG_DIAG_MESSAGE_HINT),
                        field(PG_DIAG_CONTEXT));
}

}  // namespace

Connection::Connection(const ConnectionOptions& options, const std::string& program, std::string time_zone)
    : connection_(nullptr, PQfinish), cancel_(nullptr, PQfreeCancel), time_zone_(std::move(time_zone)) {
    std::optional<std::string> password;
    if (options.ask_password) {
        password = ask_password(options.user);
    }
    while (true) {
        connection_.reset(connect_once(options, program, password));
        if (PQstatus(connection_.get()) == CONNECTION_OK) {
            break;
        }
        interrupt::check();
        if (PQconnectionNeedsPassword(connection_.get()) && !password && !options.never_ask) {
            const char* user = PQuser(connection_.get());
            password = ask_password(user ? user : "");
            continue;
        }
        throw ConnectionError(trimmed(PQerrorMessage(connection_.get())));
    }
    cancel_.reset(PQgetCancel(connection_.get()));
    PQsetNoticeReceiver(connection_.get(), tell_notice, nullptr);
}

Result Connection::send(const std::string& sql, const Parameters& parameters) {
    std::vector<const char*> values;
    for (const Parameter& parameter : parameters) {
        values.push_back(parameter ? parameter->c_str() : nullptr);
    }
    interrupt::check();
    interrupt::cancel_with(cancel_.get());
    // All parameters are text, and the statement casts them where needed. Without parameters there may be several statements.
    static constexpr Oid type_text = 25;
    const std::vector<Oid> types(values.size(), type_text);
    PGresult* raw = parameters.empty() ? PQexec(connection_.get(), sql.c_str())
                                       : PQexecParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()), types.data(), values.data(),
                                                      nullptr, nullptr, 0);
    interrupt::cancel_with(nullptr);
    Result result(raw);
    const ExecStatusType status = PQresultStatus(raw);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
        const char* state = PQresultErrorField(raw, PG_DIAG_SQLSTATE);
        if (interrupt::requested() && state && std::strcmp(state, "57014") == 0) {
            throw Interrupted();
        }
        raise(connection_.get(), raw);
    }
    return result;
}

std::string Connection::with_schema(std::string_view sql) {
    static constexpr std::string_view placeholder = "@extschema@";
    std::string statement(sql);
    for (std::size_t at; (at = statement.find(placeholder)) != std::string::npos;) {
        statement.replace(at, placeholder.size(), schema());
    }
    return statement;
}

Result Connection::query(std::string_view sql, const Parameters& parameters) {
    const std::string statement = with_schema(sql);  // may query the schema, in a transaction of its own
    return Transaction(*this, false).query(statement, parameters);
}

Result Connection::execute(std::string_view sql, const Parameters& parameters) {
    const std::string statement = with_schema(sql);
    Transaction transaction(*this, true);
    Result result = transaction.query(statement, parameters);
    transaction.commit();
    return result;
}

// ---- transactions ----

Transaction::Transaction(Connection& connection, bool writes) : connection_(connection) {
    std::string begin = writes ? "BEGIN ISOLATION LEVEL READ COMMITTED;" : "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;";
    begin += " SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL extra_float_digits = 1;"
             " SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = ";
    begin += connection.time_zone_.empty() ? "'postgres'" : "'iso_8601'; SET LOCAL timezone = '" + connection.time_zone_ + "'";
    connection_.send(begin, {});
}

Transaction::~Transaction() {
    if (PQtransactionStatus(connection_.handle()) != PQTRANS_IDLE) {
        PQclear(PQexec(connection_.handle(), "ROLLBACK"));
    }
}

Result Transaction::query(std::string_view sql, const Parameters& parameters) {
    return connection_.send(connection_.with_schema(sql), parameters);
}

void Transaction::commit() {
    connection_.send("COMMIT", {});
}

// ---- the extension ----

void Connection::look_for_extension() {
    if (looked_) {
        return;
    }
    looked_ = true;
    Result found = query(R"(
        SELECT n.nspname AS name, quote_ident(n.nspname) AS schema, e.extversion AS version
        FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
        WHERE e.extname = 'pg_sync_job')");
    for (Row row : found) {
        // Statements contain the name. CREATE EXTENSION refuses such names too, but ALTER SCHEMA can introduce them later.
        static constexpr std::string_view unfit = "\"'$\\@";
        if (row["name"].find_first_of(unfit) != std::string::npos) {
            throw ConnectionError("the schema of the extension has a name with one of the characters " + std::string(unfit),
                                  "Give it another name: ALTER SCHEMA ... RENAME TO.");
        }
        schema_ = row["schema"];
        version_ = row["version"];
    }
}

bool Connection::has_extension() {
    look_for_extension();
    return !schema_.empty();
}

const std::string& Connection::schema() {
    if (!has_extension()) {
        throw ConnectionError("database \"" + std::string(PQdb(connection_.get())) + "\" does not have the extension pg_sync_job",
                              "Connect to the database that has it (-d), or make it there, as a superuser: CREATE EXTENSION pg_sync_job.");
    }
    return schema_;
}

const std::string& Connection::extension_version() {
    schema();
    return version_;
}

}  // namespace sync_job
