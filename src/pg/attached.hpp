// What others have attached to a table: triggers, rules, constraints, foreign keys; and a hook that is called when they do.
#pragma once

#include <string>

#include "pg/types.hpp"

namespace sync_job::pg {

// Raises 55000 if the table has something that writing a row below SQL would bypass: a row or statement trigger, a foreign key (implemented
// by triggers), a rule, a CHECK, a generated column. Cheap.
void require_nothing_attached(RelationData* relation);
// The same for a table that is not open. Returns what it has, as in `trigger "audit"`; empty: nothing.
std::string attached_to(Oid relation);

// Why `function`, which a trigger must call before each row of the table is written, does not have the last word: its trigger is missing or
// disabled, or another one that is not owned by a superuser may change rows, too. Empty: it has the last word.
std::string other_word_on_rows(Oid relation, Oid function);

// A foreign key that refers to the table, as in `foreign key "a_fkey" of table "a"`; empty: none.
std::string foreign_key_to(Oid relation);

// A trigger that has just been created.
struct NewTrigger {
    Oid relation = no_oid;
    Oid function = no_oid;
    std::string name;           // as in `trigger "audit"`; or that of the constraint that it implements
    bool of_constraint = false;
    bool of_truncate = false;   // fires on TRUNCATE only
    bool deferrable = false;
    std::string argument;       // its first argument
};

// `trigger` is called when a trigger has been created, including those of a foreign key; `truncate` when a table is about to be truncated.
// Not while an extension's script runs, nor in pg_upgrade. Both may raise.
struct AttachHook {
    void (*trigger)(const NewTrigger&);
    void (*truncate)(Oid relation);
};
void on_attach(AttachHook hook);

}  // namespace sync_job::pg
