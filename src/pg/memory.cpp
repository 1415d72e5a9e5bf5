#include "pg/server.hpp"

#include "pg/error.hpp"
#include "pg/memory.hpp"

namespace sync_job::pg {

Memory::Memory(const char* static_name, Parent parent)
    : context_(guarded([&] {
          return AllocSetContextCreateInternal(parent == Parent::backend ? TopMemoryContext : CurrentMemoryContext,
                                               static_name, ALLOCSET_DEFAULT_SIZES);
      })) {}

Memory::~Memory() { MemoryContextDelete(context_); }

void Memory::reset() {
    guarded([&] { MemoryContextReset(context_); });
}

MemorySwitch::MemorySwitch(MemoryContextData* context) noexcept : previous_(MemoryContextSwitchTo(context)) {}

MemorySwitch::~MemorySwitch() { MemoryContextSwitchTo(previous_); }

MemoryContextData* current_memory() { return CurrentMemoryContext; }

void* allocate(std::size_t bytes) {
    return guarded([&] { return palloc0(bytes); });
}

}  // namespace sync_job::pg
