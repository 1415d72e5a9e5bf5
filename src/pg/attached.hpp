// What others have hung on a table: triggers, rules, constraints, foreign keys; and the word when they do.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Raises 55000 where the table has what would have to act on a row that is written below SQL, and does not: a trigger of
// rows or statements, a foreign key (which is triggers), a rule, a CHECK, a generated column. Cheap.
void require_nothing_attached(RelationData* relation);
// What is in the way, as in `trigger "audit"`; empty: nothing. The same, for a table that is not open.
std::string attached_to(Oid relation);

// What keeps `function`, which a trigger has to call before each row of the table is written, from having the last word: that
// trigger is gone or disabled, or another one that is no superuser's changes rows as well. Empty: nothing.
std::string other_word_on_rows(Oid relation, Oid function);

// A foreign key that refers to the table, as in `foreign key "a_fkey" of table "a"`; empty: none.
std::string foreign_key_to(Oid relation);

// A trigger as it is made.
struct NewTrigger {
    Oid relation = no_oid;
    Oid function = no_oid;
    std::string name;           // "trigger "audit"", or the foreign key that it serves
    bool of_constraint = false;
    bool of_truncate = false;   // and of nothing else
};

// `trigger` is called when a trigger has been made, or one of the triggers of a foreign key; `truncate` when a table is about
// to be truncated. Not while an extension's script runs, nor in pg_upgrade. Both may raise.
struct AttachHook {
    void (*trigger)(const NewTrigger&);
    void (*truncate)(Oid relation);
};
void on_attach(AttachHook hook);

}  // namespace sync_job::pg
