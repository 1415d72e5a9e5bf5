// One connection to a database that has the extension, and the results of statements on it. Blocking.
//
// The session is not changed, as a pooler may hand it on to others: each statement runs in a transaction of its own, with settings
// for that transaction only. So in every statement names of pg_catalog need no schema, whatever search_path the role has; for the
// schema of the extension it writes @extschema@.
#pragma once

#include "database/error.hpp"

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

/// Where to connect, as in psql. What is empty is left to libpq: the environment, a service file, .pgpass.
struct ConnectionOptions {
    std::string host, port, user;
    std::string database;  // a name, or a connection string
    bool ask_password = false, never_ask = false;
};

/// An argument of a statement: text, or NULL.
using Parameter = std::optional<std::string>;
using Parameters = std::vector<Parameter>;

class Result;

/// One row of a result. Valid as long as the result is.
class Row {
public:
    Row(const Result& result, int number) : result_(&result), number_(number) {}

    /// The value as text; empty for NULL.
    std::string operator[](std::string_view column) const;
    bool is_null(std::string_view column) const;
    bool is_true(std::string_view column) const { return (*this)[column] == "t"; }
    std::optional<std::string> get(std::string_view column) const;
    const Result& result() const { return *result_; }
    int number() const { return number_; }

private:
    const Result* result_;
    int number_;
};

class Result {
public:
    explicit Result(PGresult* result) : result_(result, PQclear) {}

    int size() const { return PQntuples(result_.get()); }
    bool empty() const { return size() == 0; }
    Row row(int number) const { return Row(*this, number); }
    int columns() const { return PQnfields(result_.get()); }
    int column(std::string_view name) const;  // std::logic_error if there is none
    std::string_view name(int column) const { return PQfname(result_.get(), column); }
    Oid type(int column) const { return PQftype(result_.get(), column); }
    bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
    std::string_view text(int row, int column) const;

    class Iterator {
    public:
        Iterator(const Result& result, int number) : result_(&result), number_(number) {}
        Row operator*() const { return Row(*result_, number_); }
        Iterator& operator++() { return ++number_, *this; }
        bool operator!=(const Iterator& other) const { return number_ != other.number_; }

    private:
        const Result* result_;
        int number_;
    };
    Iterator begin() const { return {*this, 0}; }
    Iterator end() const { return {*this, size()}; }

private:
    std::unique_ptr<PGresult, void (*)(PGresult*)> result_;
};

class Connection;

/// A transaction with the settings that all statements rely on; rolled back at its end unless it was committed.
class Transaction {
public:
    Transaction(Connection& connection, bool writes);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    Result query(std::string_view sql, const Parameters& parameters = {});
    void commit();

private:
    Connection& connection_;
};

class Connection {
public:
    /// Connects, and asks for a password if the server wants one. `time_zone` is the one in which the
    /// server returns times: "UTC", or empty for that of the session.
    Connection(const ConnectionOptions& options, const std::string& program, std::string time_zone);

    /// A statement that reads.
    Result query(std::string_view sql, const Parameters& parameters = {});
    /// A statement that may write; committed, unless it fails.
    Result execute(std::string_view sql, const Parameters& parameters = {});

    /// The schema of the extension, quoted where needed; throws ConnectionError if the database does not have it.
    const std::string& schema();
    const std::string& extension_version();
    bool has_extension();

    PGconn* handle() const { return connection_.get(); }

private:
    friend Transaction;
    std::string with_schema(std::string_view sql);
    Result send(const std::string& sql, const Parameters& parameters);
    void look_for_extension();

    std::unique_ptr<PGconn, void (*)(PGconn*)> connection_;
    std::unique_ptr<PGcancel, void (*)(PGcancel*)> cancel_;
    std::string time_zone_;
    bool looked_ = false;
    std::string schema_, version_;
};

}  // namespace sync_job
