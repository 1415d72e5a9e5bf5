#include "document/document.hpp"

#include <algorithm>

#include "core/text.hpp"
#include "document/written_values.hpp"
#include "pg/citus.hpp"
#include "pg/error.hpp"
#include "pg/json.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

using Key = std::pair<Oid, std::vector<std::string>>;

std::map<Key, std::shared_ptr<DocumentType>>& cache() {
    static auto& types =
        *new std::map<Key, std::shared_ptr<DocumentType>>;  // never destroyed: the server may be gone by then
    return types;
}

std::uint64_t generation = 1, cached_at = 0;

// More statements than this mean that the column sets keep changing: start over.
constexpr std::size_t most_statements = 256;

ColumnSet resolve_key(const pg::RelationInfo& relation, const std::vector<std::string>& declared) {
    if (declared.empty()) {
        if (relation.primary_key.empty()) {
            throw pg::Error("42P16", "document type " + quoted(pg::relation_name(relation.oid)) + " has no primary key")
                .detail("The name of a document is its key.")
                .hint("Add a primary key, or name the key columns in source_key or target_key of the sync job type.");
        }
        return relation.primary_key;
    }
    ColumnSet key;
    for (const std::string& name : declared) {
        const pg::Column* column = relation.column(name);
        if (column == nullptr) {
            throw pg::Error("42703", "key column " + quoted(name) + " of document type " +
                                         quoted(pg::relation_name(relation.oid)) + " does not exist");
        }
        key.push_back(column->number);
    }
    return key;
}

void check_kind(const pg::RelationInfo& relation) {
    bool fits = relation.kind == 'r' || relation.kind == 'p' || relation.kind == 'f' || relation.kind == 'v';
    if (!fits) {
        throw pg::Error("42809", quoted(pg::relation_name(relation.oid)) + " cannot be a document type")
            .detail("A document type is a table, partitioned table, foreign table or view.");
    }
    if (relation.temporary) {
        throw pg::Error("42809", "temporary table " + quoted(relation.name) + " cannot be a document type")
            .detail("Other sessions, and so the workers, do not see its rows.");
    }
}

std::string parameter(int number) { return "$" + std::to_string(number); }

}  // namespace

std::shared_ptr<DocumentType> DocumentType::find(Oid oid, const std::vector<std::string>& declared_key) {
    if (cached_at != generation) {
        cache().clear();
        cached_at = generation;
    }
    Key cache_key{oid, declared_key};
    if (auto found = cache().find(cache_key); found != cache().end()) return found->second;

    std::shared_ptr<pg::RelationInfo> relation = pg::read_relation(oid);
    if (relation == nullptr) {
        throw pg::Error("42P01", "document type with OID " + std::to_string(oid) + " does not exist")
            .hint("The table was dropped after the sync job type or the job was created.");
    }
    check_kind(*relation);
    std::shared_ptr<DocumentType> type(new DocumentType);
    type->relation_ = relation;
    type->label_ = pg::relation_name(oid);
    type->key_ = resolve_key(*relation, declared_key);
    for (int column : type->key_) {
        if (relation->columns[column - 1].equality.empty()) {
            throw pg::Error("42883", "key column " + quoted(relation->columns[column - 1].name) + " of document type " +
                                         quoted(type->label_) + " has no equality operator")
                .detail("Its type has none, or implicit casts of the type make the choice ambiguous.");
        }
    }
    if (type->key_.size() == 1) {
        Oid base = pg::base_type(relation->columns[type->key_[0] - 1].type);
        constexpr Oid varchar = 1043;
        type->name_is_text_ = base == pg::type::text || base == varchar;
    }
    type->distributed_ = pg::citus::distributed_table(oid);
    type->make_statements(type->distributed_ != nullptr ? relation->quoted : "");
    if (cached_at == generation) cache().emplace(cache_key, type);
    return type;
}

// Whole rows of a distributed table are made by column name: when a shard moves, it is created anew without the dropped columns, and
// plans of Citus return its rows as they are.
void DocumentType::make_statements(const std::string& row_type) {
    whole_row_ = row_type.empty() ? relation_->alias : "ROW(" + relation_->alias + ".*)::" + row_type;
    named_ = relation_->quoted + " AS " + relation_->alias;
    returning_ = " RETURNING " + whole_row_;
    std::string where = " WHERE " + key_condition(1);
    load_sql_ = "SELECT " + whole_row_ + " FROM " + named_ + where;
    lock_sql_ = load_sql_ + " FOR NO KEY UPDATE";
    remove_sql_ = "DELETE FROM " + named_ + where + returning_;
}

// --- Names ---

std::string DocumentType::name_of(const pg::RowValues& row) const {
    pg::CanonicalOutput canonical;
    auto text_of = [&](int number) {
        pg::Value value = row.at(number);
        const pg::Column& column = relation_->columns[number - 1];
        if (value.null) {
            throw pg::Error(
                "22004", "key column " + quoted(column.name) + " of a document of type " + quoted(label_) + " is null");
        }
        return name_is_text_ ? std::string(pg::datum_text(value.datum)) : pg::value_to_text(value.datum, column.type);
    };
    if (key_.size() == 1) return text_of(key_[0]);
    pg::JsonBuilder names;
    names.begin_array();
    for (int number : key_) names.string(text_of(number));
    names.end_array();
    return pg::json_to_text(names.finish());
}

std::string DocumentType::name_of(Datum row) const { return name_of(pg::take_apart(row, *relation_)); }

std::vector<pg::Value> DocumentType::key_values(const std::string& name) const {
    std::vector<std::string> texts;
    if (key_.size() == 1) {
        texts.push_back(name);
    } else {
        for (const pg::JsonField& item : pg::json_elements(pg::json_from_text(name))) {
            if (item.kind != pg::JsonKind::string && item.kind != pg::JsonKind::number &&
                item.kind != pg::JsonKind::boolean) {
                throw pg::Error("22023", "a key value must be a text, not null, an array or an object");
            }
            texts.push_back(item.text);
        }
        if (texts.size() != key_.size()) {
            throw pg::Error("22023", "expected " + std::to_string(key_.size()) + " key values, not " +
                                         std::to_string(texts.size()));
        }
    }
    std::vector<pg::Value> values;
    if (name_is_text_) return {{pg::text_datum(texts[0]), false}};
    pg::CanonicalOutput canonical;
    for (std::size_t i = 0; i < texts.size(); i++) {
        const pg::Column& column = relation_->columns[key_[i] - 1];
        values.push_back({pg::text_to_value(texts[i], column.type, column.typmod), false});
    }
    return values;
}

std::vector<pg::Value> DocumentType::values_of(const std::string& name) const {
    try {
        return key_values(name);
    } catch (const pg::Error& error) {
        std::vector<std::string> columns;
        for (int number : key_) {
            const pg::Column& column = relation_->columns[number - 1];
            columns.push_back(column.name + " " + pg::type_name(column.type));
        }
        throw pg::Error("22023", "name " + quoted(pg::clipped(name, 140)) + " does not fit the key of document type " + quoted(label_) +
                                     ", which is now (" + join(columns, ", ") + ")")
            .detail(error.report().message + ".")
            .hint("If the key has changed since the job was enqueued, cancel the job, and enqueue the document by its current name.");
    }
}

std::string DocumentType::canonical_name(const std::string& name) const {
    if (name_is_text_) return name;
    try {
        pg::CanonicalOutput canonical;
        pg::RowValues row = pg::empty_row(*relation_);
        set_key(row, name);
        return name_of(row);
    } catch (const pg::Error& error) {
        std::string error_class = error.sqlstate().substr(0, 2);
        if (error.sqlstate() == "42501" || error_class == "40" || error_class == "53" || error_class == "57") throw;
        pg::Error wrong("22023", "invalid name " + quoted(name) + " for a document of type " + quoted(label_));
        wrong.detail(error.report().message + ".");
        if (key_.size() > 1) {
            std::vector<std::string> columns;
            for (int column : key_) columns.push_back(relation_->columns[column - 1].name);
            wrong.hint("The name is a JSON array of texts, one for each key column: " + join(columns, ", ") + ".");
        }
        throw wrong;
    }
}

void DocumentType::set_key(pg::RowValues& row, const std::string& name) const {
    std::vector<pg::Value> values = key_values(name);
    for (std::size_t i = 0; i < key_.size(); i++) row.set(key_[i], values[i]);
}

// --- Rows ---

std::string DocumentType::key_condition(int first) const {
    std::string out;
    for (int number : key_) {
        const pg::Column& column = relation_->columns[number - 1];
        if (!out.empty()) out += " AND ";
        out += relation_->alias + "." + pg::quoted_identifier(column.name) + column.base_cast + " " + column.equality +
               " " + parameter(first++);
    }
    return out;
}

std::vector<Oid> DocumentType::key_types() const {
    std::vector<Oid> types;
    for (int number : key_) types.push_back(pg::base_type(relation_->columns[number - 1].type));
    return types;
}

std::shared_ptr<pg::Statement> DocumentType::statement(const std::string& sql, const std::vector<Oid>& types) {
    if (statements_.size() >= most_statements) statements_.clear();
    auto& found = statements_[sql];
    if (found == nullptr) found = std::make_shared<pg::Statement>(sql, types, pg::Statement::Access::by_index);
    return found;
}

namespace {

pg::Value only_row(const pg::Rows& rows, const std::string& label) {
    if (rows.empty()) return {};
    if (rows.size() > 1) {
        throw pg::Error("21000", "the key of document type " + quoted(label) + " is not unique")
            .detail(std::to_string(rows.size()) + " rows have the same key.");
    }
    return {pg::copy_row(rows.at(0, 0).datum), false};
}

}  // namespace

// PostgreSQL cannot lock rows through a view with outer joins, grouping or the like; its INSTEAD OF triggers have to
// lock what they write. Tried once, with keys that find nothing.
bool DocumentType::lockable() {
    if (!lockable_) {
        try {
            pg::Subtransaction subtransaction;
            statement(lock_sql_, key_types())->execute(std::vector<pg::Value>(key_.size()), false);
            subtransaction.commit();
            lockable_ = true;
        } catch (const pg::Error& error) {
            if (error.sqlstate() != "0A000") throw;
            lockable_ = false;
        }
    }
    return *lockable_;
}

pg::Value DocumentType::load(const std::string& name, Lock lock) {
    if (auto shard = here(shard_of(name))) return shard->load(name, lock);
    bool lock_row = lock == Lock::for_update && locks_rows();
    const std::string& sql = lock_row ? lock_sql_ : load_sql_;
    return only_row(statement(sql, key_types())->execute(values_of(name), false), label_);
}

pg::Value DocumentType::remove(const std::string& name) {
    if (auto shard = here(shard_of(name))) return shard->remove(name);
    pg::Value removed = only_row(statement(remove_sql_, key_types())->execute(values_of(name)), label_);
    if (!removed.null) forget_written(*this, canonical_name(name));
    return removed;
}

Datum DocumentType::written(const pg::Rows& rows, const char* command) const {
    pg::Value row = only_row(rows, label_);
    if (row.null) {
        throw pg::Error("27000", std::string(command) + " of a document of type " + quoted(label_) + " stored no row")
            .detail("A trigger, rule or policy of the table suppressed it.");
    }
    return row.datum;
}

Datum DocumentType::insert(const pg::RowValues& row, const ColumnSet& columns, Identity identity) {
    auto shard = here(shard_of(row));
    if (shard != nullptr && shard->has_defaults_but(columns)) return shard->insert(row, columns, identity);
    std::string names, values;
    std::vector<Oid> types;
    std::vector<pg::Value> arguments;
    for (int number : columns) {
        const pg::Column& column = relation_->columns[number - 1];
        if (!names.empty()) names += ", ", values += ", ";
        names += pg::quoted_identifier(column.name);
        types.push_back(pg::base_type(column.type));  // so that storing it checks the domain
        arguments.push_back(row.at(number));
        values += parameter(static_cast<int>(types.size()));
    }
    std::string overriding = identity == Identity::given ? " OVERRIDING SYSTEM VALUE" : "";
    std::string sql =
        "INSERT INTO " + named_ + " " +
        (columns.empty() ? "DEFAULT VALUES" : "(" + names + ")" + overriding + " VALUES (" + values + ")") + returning_;
    return written(statement(sql, types)->execute(arguments), "insert");
}

Datum DocumentType::update(const std::string& name, const pg::RowValues& row, const ColumnSet& columns) {
    if (auto shard = here(shard_of(name))) return shard->update(name, row, columns);
    std::string assignments;
    std::vector<Oid> types = key_types();
    std::vector<pg::Value> arguments = values_of(name);
    for (int number : columns) {
        const pg::Column& column = relation_->columns[number - 1];
        types.push_back(pg::base_type(column.type));
        arguments.push_back(row.at(number));
        if (!assignments.empty()) assignments += ", ";
        assignments += pg::quoted_identifier(column.name) + " = " + parameter(static_cast<int>(types.size()));
    }
    if (columns.empty()) {  // an update without changes still fires the table's triggers
        auto settable = std::find_if(
            relation_->columns.begin(), relation_->columns.end(),
            [](const pg::Column& column) { return !column.dropped && !column.generated && !column.always_identity; });
        const pg::Column& any = settable != relation_->columns.end() ? *settable : relation_->columns[key_[0] - 1];
        std::string column = pg::quoted_identifier(any.name);
        assignments = column + " = " + relation_->alias + "." + column;
    }
    std::string sql = "UPDATE " + named_ + " SET " + assignments + " WHERE " + key_condition(1) + returning_;
    return written(statement(sql, types)->execute(arguments), "update");
}

void invalidate_document_types(Oid relation) {
    if (relation == pg::no_oid) {
        generation++;
        return;
    }
    for (const auto& [key, type] : cache()) {
        if (key.first == relation) {
            generation++;
            return;
        }
    }
}

std::uint64_t document_generation() { return generation; }

}  // namespace sync_job
