#include "controller/columns_read.hpp"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "pg/error.hpp"
#include "pg/expression.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

// Collects the columns that are read of one document type.
class Reader {
public:
    explicit Reader(const DocumentType& source) : source_(source) {}

    void add_all() {
        for (const pg::Column& column : source_.relation().columns) {
            if (!column.dropped) add(column.number);
        }
    }
    // For a column that does not exist there must be a job, which reports that. A column that is generated when it is read has no value of
    // its own in a row: then any column it may depend on counts as read.
    void add_column(const std::string& name) {
        const pg::Column* column = source_.relation().column(name);
        column == nullptr || column->generated ? add_all() : add(column->number);
    }
    void add_expression(const std::string& text) {
        pg::NamesRead read = names_in(text);
        if (read.all) return add_all();
        for (const std::string& name : read.names) {
            bool no_column = name == "context" || name == "target" || name == "sync_job_id";
            if (source_.relation().column(name) != nullptr || !no_column) add_column(name);
        }
    }
    void add_value(const pg::JsonField& field) {
        if (field.kind == pg::JsonKind::string) return add_column(field.text);
        if (field.kind != pg::JsonKind::object) return;
        for (const pg::JsonField& part : pg::json_fields(field.value)) {
            if (part.key == "expr") add_expression(part.text);
            if (part.key == "column") add_column(part.text);
        }
    }
    void add_values(const std::string& json) {
        for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(json))) add_value(field);
    }
    void add(const ColumnSet& columns) {
        for (int column : columns) add(column);
    }

    bool beyond_key() const {
        return std::any_of(columns_.begin(), columns_.end(), [&](int column) { return !contains(source_.key(), column); });
    }
    const ColumnSet& columns() const { return columns_; }

private:
    // Text that does not parse must fail the job, not the application's write.
    static pg::NamesRead names_in(const std::string& text) {
        pg::NamesRead read;
        try {
            pg::Subtransaction subtransaction;
            read = pg::names_read(text, "source");
            subtransaction.commit();
        } catch (const pg::Error& error) {
            if (!pg::is_specific(error)) throw;
            read.all = true;
        }
        return read;
    }
    void add(int column) {
        if (!contains(columns_, column)) columns_.push_back(column);
    }
    const DocumentType& source_;
    ColumnSet columns_;
};

ColumnsRead read(const JobType& type, const DocumentType& source) {
    ColumnsRead found;
    Reader match(source), kept(source), looked_up(source), synced(source);
    if (!type.match.empty()) match.add_values(type.match);
    if (match.beyond_key()) kept.add(match.columns());
    if (!type.source_condition.empty()) kept.add_expression(type.source_condition);
    found.kept = kept.columns();
    if (!type.declarative()) return found;
    looked_up.add(source.key());
    looked_up.add(match.columns());
    looked_up.add(kept.columns());
    found.looked_up = looked_up.columns();
    synced.add(match.columns());
    synced.add(kept.columns());
    synced.add_values(type.field_map);
    found.synced = synced.columns();
    return found;
}

}  // namespace

const ColumnsRead& columns_read(const JobType& type, const DocumentType& source) {
    struct Cached {
        std::uint64_t types = 0, documents = 0;
        ColumnsRead columns;
    };
    static auto& cache = *new std::unordered_map<std::string, Cached>;  // never destroyed: the server may be gone by then
    Cached& cached = cache[type.name + '\n' + std::to_string(source.relation().oid)];
    if (cached.types != job_type_generation() || cached.documents != document_generation()) {
        cached = {job_type_generation(), document_generation(), read(type, source)};
    }
    return cached.columns;
}

ColumnSet columns_while_unedited(const JobType& type, const DocumentType& target) {
    ColumnSet columns;
    if (!type.declarative()) return columns;
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(type.field_map))) {
        const pg::Column* column = target.relation().column(field.key);
        if (column == nullptr || field.kind != pg::JsonKind::object) continue;
        for (const pg::JsonField& part : pg::json_fields(field.value)) {
            if (part.key == "only" && part.text == "unedited") columns.push_back(column->number);
        }
    }
    return columns;
}

std::vector<std::string> secrets_looked_up(const JobType& type, const DocumentType& source) {
    std::vector<std::string> names;
    const ColumnSet& looked_up = columns_read(type, source).looked_up;
    for (const pg::JsonField& field : pg::json_fields(pg::json_from_text(type.field_map))) {
        if (!is_secret(field.key, type.secret_columns)) continue;
        std::string from = field.kind == pg::JsonKind::string ? field.text : std::string();
        if (field.kind == pg::JsonKind::object) {
            for (const pg::JsonField& part : pg::json_fields(field.value)) {
                if (part.key == "column") from = part.text;
            }
        }
        const pg::Column* column = source.relation().column(from);
        if (column != nullptr && contains(looked_up, column->number)) names.push_back(field.key);
    }
    return names;
}

ColumnSet condition_reads(const JobType& type, const DocumentType& source) {
    Reader reader(source);
    if (!type.source_condition.empty()) reader.add_expression(type.source_condition);
    return reader.columns();
}

}  // namespace sync_job
