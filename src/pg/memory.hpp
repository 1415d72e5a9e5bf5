// Memory contexts as scopes. What the server allocates in a scope (palloc) lives as long as the scope.
#pragma once

#include <cstddef>

#include "pg/types.hpp"

namespace sync_job::pg {

// A memory context that this object owns: a child of TopMemoryContext (which lives as long as the backend) or of the current context.
class Memory {
public:
    enum class Parent { backend, current };
    explicit Memory(const char* static_name, Parent parent = Parent::current);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    void reset();
    MemoryContextData* context() const { return context_; }

private:
    MemoryContextData* context_;
};

// Makes a context the current one until the end of the C++ scope.
class MemorySwitch {
public:
    explicit MemorySwitch(const Memory& memory) : MemorySwitch(memory.context()) {}
    explicit MemorySwitch(MemoryContextData* context) noexcept;
    ~MemorySwitch();
    MemorySwitch(const MemorySwitch&) = delete;
    MemorySwitch& operator=(const MemorySwitch&) = delete;

private:
    MemoryContextData* previous_;
};

// Makes freed memory, up to a few MB, stay with the process for reuse until return_freed_memory(). Otherwise each batch would get its
// memory from the kernel again, page by page.
void keep_freed_memory();
void return_freed_memory();

MemoryContextData* current_memory();

// Zeroed memory in the current context.
void* allocate(std::size_t bytes);

template <class T>
T* allocate_array(std::size_t count) {
    return static_cast<T*>(allocate(count * sizeof(T)));
}

}  // namespace sync_job::pg
