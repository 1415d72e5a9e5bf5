#include "document/deleted_document.hpp"

#include <algorithm>
#include <set>

#include "core/text.hpp"
#include "job/internal_sql.hpp"
#include "job/schema_objects.hpp"
#include "pg/json.hpp"
#include "pg/role.hpp"
#include "pg/table.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

// As JSON a value takes up to about ten times as much space; jsonb is limited to 256 MB.
constexpr std::int64_t most_kept_bytes = 16 * 1024 * 1024;
// The key for the names of the columns left out because of their size, and for true if all others that are missing were left out on
// purpose. No column has an empty name.
constexpr const char* left_out_key = "";

ColumnSet left_out(const DocumentType& type, const pg::RowValues& row) {
    std::vector<std::pair<std::int64_t, int>> sizes;
    std::int64_t all = 0;
    for (const pg::Column& column : type.relation().columns) {
        pg::Value value = row.at(column.number);
        if (column.dropped || value.null) continue;
        sizes.emplace_back(pg::full_size(value.datum, column.by_value, column.length), column.number);
        all += sizes.back().first;
    }
    ColumnSet columns;
    std::sort(sizes.rbegin(), sizes.rend());
    for (std::size_t i = 0; all > most_kept_bytes; i++) {
        all -= sizes[i].first;
        columns.push_back(sizes[i].second);
    }
    return columns;
}

Datum as_kept(const DocumentType& type, const pg::RowValues& row, const std::optional<ColumnSet>& only) {
    pg::CanonicalOutput canonical;
    ColumnSet missing = left_out(type, row);
    pg::JsonBuilder json;
    json.begin_object();
    for (const pg::Column& column : type.relation().columns) {
        if (column.dropped || contains(missing, column.number) || (only && !contains(*only, column.number))) continue;
        json.key(column.name);
        pg::Value value = row.at(column.number);
        json.value(value.datum, value.null, column.type, true);
    }
    if (!missing.empty() || only) {
        json.key(left_out_key);
        json.begin_array();
        for (int number : missing) json.string(type.relation().columns[number - 1].name);
        if (only) json.boolean(true);
        json.end_array();
    }
    json.end_object();
    return json.finish();
}

bool may_find(const DocumentType& type) {
    return pg::relation_pages(schema_objects().deleted_table).value_or(1) > 0 && !pg::row_security_applies(type.relation().oid);
}

pg::Value ids_of(const std::vector<KeptRow>& rows, bool own) {
    std::vector<std::int64_t> ids;
    for (const KeptRow& row : rows) {
        if (row.own == own && (own || row.is_deletion)) ids.push_back(row.id);
    }
    if (ids.empty()) return {};
    return {pg::int64_array_datum(ids), false};
}

}  // namespace

void keep_document(const DocumentType& type, const std::string& sync_job_type, const std::string& name,
                   const pg::RowValues& row, Kept why, const std::optional<ColumnSet>& only) {
    const SchemaObjects& o = schema_objects();
    pg::Table table(o.deleted_table, pg::TableLock::write);
    // The columns of sync_job_deleted_document, in order; that of 0.1.0 lacks the last ones.
    Datum values[] = {pg::int64_datum(pg::next_sequence_value(o.deleted_sequence)),
                      pg::oid_datum(type.relation().oid),
                      pg::text_datum(name),
                      as_kept(type, row, only),
                      pg::int64_datum(pg::now()),
                      pg::oid_datum(pg::current_user()),
                      pg::text_datum(sync_job_type),
                      pg::bool_datum(why == Kept::deleted)};
    bool nulls[std::size(values)] = {};
    table.insert({values, nulls, static_cast<int>(std::size(values))});
}

bool keeps_changed_documents() {
    const SchemaObjects& o = schema_objects();
    return o.has_column(o.deleted_table, "is_deletion");
}

// --- Finding ---

std::vector<KeptRow> kept_rows(const DocumentType& type, const std::string& sync_job_type, const std::string& name,
                               InternalStatement::Sees sees) {
    static auto& select = *new InternalStatement(
        "SELECT id, deleted_at, coalesce(sync_job_type = $3, true), sync_job_type IS NULL, is_deletion, data"
        " FROM {}.sync_job_deleted_document WHERE document_type = $1 AND document_name = $2"
        " AND (is_deletion OR sync_job_type = $3) ORDER BY id DESC",
        {pg::type::regclass, pg::type::text, pg::type::text});
    if (!may_find(type)) return {};
    std::vector<KeptRow> found;
    for (const auto& row : select.run({{pg::oid_datum(type.relation().oid), false},
                                       {pg::text_datum(name), false},
                                       {pg::text_datum(sync_job_type), false}}, sees)) {
        found.push_back({pg::datum_int64(row[0].datum), pg::datum_int64(row[1].datum), pg::datum_bool(row[2].datum),
                         pg::datum_bool(row[3].datum), pg::datum_bool(row[4].datum), row[5].datum});
    }
    return found;
}

std::map<std::string, std::vector<KeptRow>> kept_rows_of(const DocumentType& type, const std::string& sync_job_type,
                                                         const std::vector<std::string>& names) {
    static auto& select = *new InternalStatement(
        "SELECT document_name, id, coalesce(sync_job_type = $3, true), is_deletion"
        " FROM {}.sync_job_deleted_document WHERE document_type = $1"
        " AND document_name = ANY ($2) AND (is_deletion OR sync_job_type = $3)",
        {pg::type::regclass, pg::type::text_array, pg::type::text});
    if (!may_find(type)) return {};
    std::map<std::string, std::vector<KeptRow>> found;
    for (const auto& row : select.run({{pg::oid_datum(type.relation().oid), false},
                                       {pg::text_array_datum(names), false},
                                       {pg::text_datum(sync_job_type), false}})) {
        KeptRow kept;
        kept.id = pg::datum_int64(row[1].datum);
        kept.own = pg::datum_bool(row[2].datum);
        kept.is_deletion = pg::datum_bool(row[3].datum);
        found[std::string(pg::datum_text(row[0].datum))].push_back(kept);
    }
    return found;
}

// Other types delete their own rows; one that a job of such a type has locked is skipped.
void forget_earlier_lives(const std::vector<KeptRow>& rows) {
    static auto& remove = *new InternalStatement("DELETE FROM {}.sync_job_deleted_document WHERE id = ANY ($1)",
                                                 {pg::type::int8_array});
    static auto& mark = *new InternalStatement(
        "UPDATE {}.sync_job_deleted_document SET is_deletion = false WHERE id IN (SELECT d.id"
        " FROM {}.sync_job_deleted_document AS d WHERE d.id = ANY ($1) FOR UPDATE SKIP LOCKED)",
        {pg::type::int8_array});
    if (pg::Value own = ids_of(rows, true); !own.null) remove.run({own});
    if (pg::Value others = ids_of(rows, false); !others.null) mark.run({others});
}

void forget_before(const std::vector<KeptRow>& rows, std::int64_t last) {
    std::vector<KeptRow> earlier;
    for (const KeptRow& row : rows) {
        if (row.own && row.id != last) earlier.push_back(row);
    }
    forget_earlier_lives(earlier);
}

// --- Reading ---

namespace {

// `why` is the error of the value, or says that the value was not kept.
std::shared_ptr<const pg::ErrorReport> unreadable(const KeptDocument& kept, const pg::Column& column, const pg::Error& why) {
    const pg::ErrorReport& report = why.report();
    return pg::Error(why.sqlstate(), "column " + quoted(column.name) + " of " + kept.described + " cannot be read: " + report.message)
        .detail(report.detail)
        .hint("Repair its value in sync_job_deleted_document; or correct the target by hand, and cancel the job.")
        .share();
}

void read_column(KeptDocument& kept, const pg::Column& column, const pg::JsonField& field) {
    kept.row.set(column.number, pg::json_to_value(field.value, column.type, column.typmod, true));
}

void read_column_by_itself(KeptDocument& kept, const pg::Column& column, const pg::JsonField& field) {
    try {
        pg::Subtransaction subtransaction;
        read_column(kept, column, field);
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        kept.row.set(column.number, {});
        kept.unread.push_back({column.number, unreadable(kept, column, error)});
    }
}

void read_columns(KeptDocument& kept, const DocumentType& type, const std::vector<pg::JsonField>& fields,
                  void (*read)(KeptDocument&, const pg::Column&, const pg::JsonField&)) {
    for (const pg::JsonField& field : fields) {
        const pg::Column* column = type.relation().column(field.key);
        if (column != nullptr) read(kept, *column, field);  // else dropped since
    }
}

// Columns that the kept row lacks: left out because of their size or on purpose, or not there at the time.
void note_missing(KeptDocument& kept, const DocumentType& type, const std::vector<pg::JsonField>& fields) {
    std::set<std::string> there, too_large;
    bool on_purpose = false;
    for (const pg::JsonField& field : fields) {
        there.insert(field.key);
        if (field.key != left_out_key) continue;
        for (const pg::JsonField& name : pg::json_elements(field.value)) {
            if (name.kind == pg::JsonKind::boolean) on_purpose = true;
            else too_large.insert(name.text);
        }
    }
    for (const pg::Column& column : type.relation().columns) {
        if (column.dropped || there.contains(column.name)) continue;
        if (too_large.contains(column.name)) {
            pg::Error why("54000", "its value was too large to be kept");
            kept.unread.push_back({column.number, unreadable(kept, column, why)});
        } else if (on_purpose) {
            pg::Error why("55000", "its value was not kept, as the sync job type has secret_columns");
            kept.unread.push_back({column.number, unreadable(kept, column, why), true});
        } else {
            kept.absent.push_back(column.number);
        }
    }
}

}  // namespace

KeptDocument read_kept(const DocumentType& type, const std::string& name, const KeptRow& row) {
    pg::CanonicalOutput canonical;
    KeptDocument kept;
    kept.described = "the row of document " + quoted(name) + " of type " + quoted(type.label()) + " kept at " +
                     pg::value_to_text(pg::int64_datum(row.kept_at), pg::type::timestamptz);
    kept.row = pg::empty_row(type.relation());
    std::vector<pg::JsonField> fields = pg::json_fields(row.data);
    note_missing(kept, type, fields);
    try {
        pg::Subtransaction subtransaction;
        read_columns(kept, type, fields, read_column);
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        read_columns(kept, type, fields, read_column_by_itself);
    }
    return kept;
}

pg::Value whole_document(const DocumentType& type, const KeptDocument& kept) {
    if (!kept.unread.empty()) throw pg::Error(std::make_shared<pg::ErrorReport>(*kept.unread[0].error));
    return {pg::put_together(kept.row, type.relation()), false};
}

pg::Value find_deleted_document(const DocumentType& type, const std::string& name) {
    static auto& select = *new InternalStatement(
        "SELECT id, deleted_at, data FROM {}.sync_job_deleted_document"
        " WHERE document_type = $1 AND document_name = $2 AND is_deletion ORDER BY id DESC LIMIT 1",
        {pg::type::regclass, pg::type::text});
    static auto& select_in_0_1_0 = *new InternalStatement(
        "SELECT id, deleted_at, data FROM {}.sync_job_deleted_document"
        " WHERE document_type = $1 AND document_name = $2 ORDER BY id DESC LIMIT 1",
        {pg::type::regclass, pg::type::text});
    if (!may_find(type)) return {};
    auto rows = (keeps_changed_documents() ? select : select_in_0_1_0)
                    .run({{pg::oid_datum(type.relation().oid), false}, {pg::text_datum(name), false}});
    if (rows.empty()) return {};
    KeptRow row;
    row.id = pg::datum_int64(rows[0][0].datum);
    row.kept_at = pg::datum_int64(rows[0][1].datum);
    row.data = rows[0][2].datum;
    KeptDocument kept = read_kept(type, name, row);
    std::erase_if(kept.unread, [](const KeptDocument::Unread& unread) { return unread.on_purpose; });
    return whole_document(type, kept);
}

}  // namespace sync_job
