// Large zeroed allocations, straight from the system.
#define _DEFAULT_SOURCE
#include "intrinsics.h"

#include <sys/mman.h>

static const size_t large_page = (size_t)2 << 20;

void *weir_reserve(size_t bytes) {
  // Room to begin at a large page's boundary, which is given back at both ends at once.
  const size_t whole = bytes + large_page;
  char *base = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) return NULL;
  const size_t before = (large_page - (uintptr_t)base % large_page) % large_page;
  if (before) munmap(base, before);
  const size_t page = 4096;
  const size_t used = before + (bytes + page - 1) / page * page;
  if (whole > used) munmap(base + used, whole - used);
#ifdef MADV_HUGEPAGE
  if (bytes >= large_page) madvise(base + before, bytes, MADV_HUGEPAGE);
#endif
  return base + before;
}

void weir_populate(void *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(memory, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  // Systems without it: a write that changes nothing, to every page.
  for (size_t at = 0; at < bytes; at += 4096) {
    volatile char *byte = (char *)memory + at;
    *byte = *byte;
  }
}

void weir_release(void *memory, size_t bytes) {
  const size_t page = 4096;
  munmap(memory, (bytes + page - 1) / page * page);
}
