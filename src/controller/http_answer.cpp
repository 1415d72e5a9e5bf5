// The part of http_push.hpp that writes values of an answer into the source or the target.
#include <algorithm>

#include "controller/http_push.hpp"
#include "core/text.hpp"
#include "pg/error.hpp"
#include "pg/xact.hpp"

namespace sync_job {

namespace {

void check_columns(const std::vector<HttpAnswerPart>& parts, const DocumentType* documents, const char* side, bool keys_too) {
    std::string place = std::string("http.answer.") + side;
    if (parts.empty()) return;
    if (documents == nullptr) throw pg::Error("22023", place + " needs " + side + "_document_type").column(place);
    for (const HttpAnswerPart& part : parts) {
        const pg::Column* column = documents->relation().column(part.column);
        std::string at = place + "." + part.column;
        if (column == nullptr) {
            throw pg::Error("42703", at + " names a column that document type " + quoted(documents->label()) + " does not have").column(at);
        }
        if (column->generated) throw pg::Error("428C9", at + " names a column that is generated").column(at);
        if (!keys_too && contains(documents->key(), column->number)) {
            throw pg::Error("0A000", at + " names a column of the key").detail("The key is the name of the document.").column(at);
        }
    }
}

std::string text_of_pointer(const std::vector<std::string>& pointer) {
    std::string text;
    for (const std::string& step : pointer) text += "/" + step;
    return text;
}

void add_part(pg::JsonBuilder& json, const HttpAnswerPart& part, const HttpReply& reply) {
    if (part.from == HttpAnswerPart::From::status) return json.number(reply.status);
    auto found = part.from == HttpAnswerPart::From::body ? at_pointer(reply.body, part.pointer) : at_pointer(reply.headers, {part.header});
    if (found) return json.value(found->value, false, pg::type::jsonb, false);
    if (part.from == HttpAnswerPart::From::header) {
        throw pg::Error("22023", "the answer has no header " + quoted(part.header)).detail("It is for column " + quoted(part.column) + ".");
    }
    throw pg::Error("22023", "the answer has nothing at " + quoted(text_of_pointer(part.pointer)))
        .detail(reply.body.kind == pg::JsonKind::null ? "Its body is no JSON." : "It is for column " + quoted(part.column) + ".");
}

Datum values_of(const std::vector<HttpAnswerPart>& parts, const HttpReply& reply, const std::vector<pg::JsonField>& match = {}) {
    pg::JsonBuilder json;
    json.begin_object();
    for (const pg::JsonField& field : match) {
        json.key(field.key);
        json.value(field.value, false, pg::type::jsonb, false);
    }
    for (const HttpAnswerPart& part : parts) {
        json.key(part.column);
        add_part(json, part, reply);
    }
    json.end_object();
    return json.finish();
}

void write_changes(DocumentType& documents, const std::string& name, pg::Value before, Datum values) {
    pg::RowValues base = pg::take_apart(before.datum, documents.relation());
    ColumnSet named;
    pg::RowValues row = documents.from_json(values, base, &named);
    ColumnSet changed = documents.changed_columns(base, row, named);
    if (!changed.empty()) documents.update(name, row, changed);
}

}  // namespace

void HttpPush::check_answer() const {
    check_columns(http_.answer.source, source_.get(), "source", false);
    check_columns(http_.answer.target, target_.get(), "target", true);
    for (const auto& [column, from] : http_.answer.match) {
        const pg::Column* known = target_ == nullptr ? nullptr : target_->relation().column(column);
        std::string place = "http.answer.match." + column;
        if (known == nullptr) throw pg::Error("42703", place + " names a column that the target does not have").column(place);
        if (known->equality.empty()) throw pg::Error("42883", place + " names a column whose type has no equality operator").column(place);
        if (source_ == nullptr || source_->relation().column(from) == nullptr) {
            throw pg::Error("42703", place + " names source column " + quoted(from) + ", which there is not").column(place);
        }
    }
}

pg::Value HttpPush::find_target(const std::vector<pg::JsonField>& match) {
    const pg::RelationInfo& target = target_->relation();
    std::vector<std::string> conditions;
    std::vector<Oid> types;
    std::vector<pg::Value> values;
    for (const pg::JsonField& field : match) {
        const pg::Column* column = target.column(field.key);
        Oid type = pg::base_type(column->type);
        types.push_back(type);
        values.push_back(pg::json_to_value(field.value, type, -1, false));
        conditions.push_back(target.alias + "." + pg::quoted_identifier(column->name) + column->base_cast + " " + column->equality + " $" +
                             std::to_string(types.size()));
    }
    if (find_target_ == nullptr) {
        find_target_ = std::make_unique<pg::Statement>("SELECT " + target.alias + " FROM " + target.quoted + " AS " + target.alias + " WHERE " +
                                                           join(conditions, " AND ") + " LIMIT 2 FOR NO KEY UPDATE OF " + target.alias, types);
    }
    pg::Rows rows = find_target_->execute(values);
    if (rows.size() > 1) throw pg::Error("21000", "two documents of type " + quoted(target_->label()) + " match the answer");
    return rows.empty() ? pg::Value() : rows.copy(0, 0);
}

void HttpPush::write_target(const std::string& source_name, const HttpReply& reply) {
    pg::Value source = source_->load(source_name, DocumentType::Lock::none);
    if (source.null) return;
    std::vector<pg::JsonField> match, columns = pg::json_fields(source_->to_json(source.datum));
    for (const auto& [column, from] : http_.answer.match) {
        auto found = std::find_if(columns.begin(), columns.end(), [&](const auto& field) { return field.key == from; });
        if (found == columns.end() || found->kind == pg::JsonKind::null) return;  // matches nothing
        pg::JsonField field = *found;
        field.key = column;
        match.push_back(field);
    }
    pg::Value before = find_target(match);
    if (!before.null) return write_changes(*target_, target_->name_of(before.datum), before, values_of(http_.answer.target, reply));
    ColumnSet named;
    pg::RowValues row = target_->from_json(values_of(http_.answer.target, reply, match), pg::empty_row(target_->relation()), &named);
    target_->insert(row, target_->inserted_columns(row, named));
}

void HttpPush::write_answer(const std::string& source_name, const HttpReply& reply) {
    if (!http_.answer.source.empty()) {
        pg::Value before = source_->load(source_name, DocumentType::Lock::for_update);
        if (!before.null) write_changes(*source_, source_name, before, values_of(http_.answer.source, reply));
    }
    if (!http_.answer.target.empty()) write_target(source_name, reply);
}

}  // namespace sync_job
