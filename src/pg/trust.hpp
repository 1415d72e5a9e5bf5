// Whose code may run although nobody called it explicitly: what a type's input function calls, and what can be planted on a search_path.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pg/role.hpp"
#include "pg/types.hpp"

namespace sync_job::pg {

// Whether `owner` gains nothing when `user` runs its code: it is that role, a superuser, or may become that role.
bool trusted_by(Oid owner, Oid user);

// The users' code that the type's input function runs, however deeply nested in the type: CHECKs of domains, canonical functions of ranges.
// Base types and enums run none: only superusers can create base types.
struct InputCode {
    bool domains = false;       // there are domains outside of ranges: see read_unchecked()
    std::vector<Oid> of_ranges;  // owners of the code that ranges run, including that of domains in them
};
InputCode input_code(Oid type);

// To be used while a type's input function runs: code of an owner whom the current user has no reason to trust runs as that owner, in a
// restricted operation. Raises 42501 if there are several such owners.
class TypeInputScope {
public:
    explicit TypeInputScope(const std::vector<Oid>& owners);
    ~TypeInputScope() = default;
    TypeInputScope(const TypeInputScope&) = delete;
    TypeInputScope& operator=(const TypeInputScope&) = delete;

private:
    std::unique_ptr<OwnerScope> owner_;
};

// A role that `user` does not trust and that may create objects in the schema (no_oid: PUBLIC). Nothing: nobody can plant anything there.
// For a superuser, every role counts. For other users, the owner of the database does not count, because nobody is safe from it; and a role
// that cannot log in counts only through its members.
std::optional<Oid> untrusted_creator(Oid schema, Oid user);

}  // namespace sync_job::pg
