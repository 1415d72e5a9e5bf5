// Whose code would run where nobody has called it: what a type's input function calls, and what can be planted on a
// search_path.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "pg/role.hpp"
#include "pg/types.hpp"

namespace sync_job::pg {

// `owner` gains nothing from its code being run by `user`: it is that role, a superuser, or may become it.
bool trusted_by(Oid owner, Oid user);

// What the type's input function runs of users' code, however deep it lies in the type: CHECKs of domains, canonical
// functions of ranges. Base types and enums run none: only superusers make base types.
struct InputCode {
    bool domains = false;       // there are domains outside of ranges: see read_unchecked()
    std::vector<Oid> of_ranges;  // owners of the code that ranges run, that of domains in them, too
};
InputCode input_code(Oid type);

// While the type's input function runs: code of an owner whom the current user has no reason to trust runs as that owner,
// in a restricted operation. Raises 42501 where there are several such owners.
class TypeInputScope {
public:
    explicit TypeInputScope(const std::vector<Oid>& owners);
    ~TypeInputScope() = default;
    TypeInputScope(const TypeInputScope&) = delete;
    TypeInputScope& operator=(const TypeInputScope&) = delete;

private:
    std::unique_ptr<OwnerScope> owner_;
};

// A role that may create objects in the schema without being trusted by `user`; no_oid in it: PUBLIC. None: nobody can
// plant anything there. Against a superuser every role counts. Against others the owner of the database does not, from
// whom nobody is safe, and of a role that may not log in only its members.
std::optional<Oid> untrusted_creator(Oid schema, Oid user);

}  // namespace sync_job::pg
