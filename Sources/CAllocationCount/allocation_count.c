// malloc and its kin stand before the C library's own, and pass everything on to them. They do no more
// than look at a flag until a thread counts.
#include "allocation_count.h"

#include <stddef.h>

static _Thread_local bool counting;
static _Thread_local uint64_t allocations;

#if defined(__linux__) && defined(__GLIBC__)

// The C library's own, by the names it exports for this.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size) {
  if (counting) allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  if (counting) allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  if (counting) allocations++;
  return __libc_realloc(memory, size);
}

bool weir_can_count(void) { return true; }

#else

bool weir_can_count(void) { return false; }

#endif

void weir_count_begin(void) {
  allocations = 0;
  counting = true;
}

uint64_t weir_count_end(void) {
  counting = false;
  return allocations;
}
