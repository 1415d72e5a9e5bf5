#include "pg/server.hpp"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

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

// See mallopt(3), malloc_trim(3). Setting one threshold ends the dynamic adjustment of both, so both have to be set.
void keep_freed_memory() {
#if defined(__GLIBC__)
    constexpr int most = 16 * 1024 * 1024;
    mallopt(M_MMAP_THRESHOLD, most);
    mallopt(M_TRIM_THRESHOLD, most);
#endif
}

void return_freed_memory() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

MemoryContextData* current_memory() { return CurrentMemoryContext; }

void* allocate(std::size_t bytes) {
    return guarded([&] { return palloc0(bytes); });
}

}  // namespace sync_job::pg
