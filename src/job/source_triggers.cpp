#include "job/source_triggers.hpp"

#include "job/internal_sql.hpp"

namespace sync_job {

std::vector<SourceTrigger> source_triggers(const std::string& type, Oid relation) {
    static auto& select = *new InternalStatement(
        "SELECT tgname::text, tgrelid, tgdeferrable, tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgfoid = '{}.sync_job_trigger()'::regprocedure"
        " AND NOT tgisinternal AND tgparentid = 0 AND (tgrelid = $2 OR $2 = 0)"
        " AND substring(tgargs FROM 1 FOR position(E'\\\\x00'::bytea IN tgargs) - 1)"
        " = convert_to($1, getdatabaseencoding()) ORDER BY tgrelid::regclass::text COLLATE \"C\", tgname",
        {pg::type::text, pg::type::oid});
    std::vector<SourceTrigger> triggers;
    for (const auto& row : select.run({{pg::text_datum(type), false}, {pg::oid_datum(relation), false}})) {
        auto text = [&](int column) { return std::string(pg::datum_text(row[column].datum)); };
        triggers.push_back({text(0), pg::datum_oid(row[1].datum), pg::datum_bool(row[2].datum), text(3), text(4)});
    }
    return triggers;
}

}  // namespace sync_job
