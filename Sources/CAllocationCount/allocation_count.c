// malloc and its kin stand before the C library's own, and pass everything on to them; the runtime's
// hooks for retain and release do the same. Neither does more than look at a flag until a thread counts.
#include "allocation_count.h"

#include <stddef.h>

static _Thread_local bool counting;
static _Thread_local weir_counts counts;

#if defined(__linux__) && defined(__GLIBC__)

// The C library's own, by the names it exports for this.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size) {
  if (counting) counts.allocations++;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  if (counting) counts.allocations++;
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  if (counting) counts.allocations++;
  return __libc_realloc(memory, size);
}

// The runtime's hooks, and the switch that makes it use them.
extern void *(*_swift_retain)(void *object);
extern void *(*_swift_retain_n)(void *object, uint32_t count);
extern void (*_swift_release)(void *object);
extern void (*_swift_release_n)(void *object, uint32_t count);
extern bool _swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly;

static void *(*retain)(void *object);
static void *(*retain_n)(void *object, uint32_t count);
static void (*release)(void *object);
static void (*release_n)(void *object, uint32_t count);

static void *counted_retain(void *object) {
  if (counting) counts.retains++;
  return retain(object);
}

static void *counted_retain_n(void *object, uint32_t count) {
  if (counting) counts.retains++;
  return retain_n(object, count);
}

static void counted_release(void *object) {
  if (counting) counts.releases++;
  release(object);
}

static void counted_release_n(void *object, uint32_t count) {
  if (counting) counts.releases++;
  release_n(object, count);
}

// Before main, while there is one thread.
__attribute__((constructor)) static void hook(void) {
  retain = _swift_retain;
  retain_n = _swift_retain_n;
  release = _swift_release;
  release_n = _swift_release_n;
  _swift_retain = counted_retain;
  _swift_retain_n = counted_retain_n;
  _swift_release = counted_release;
  _swift_release_n = counted_release_n;
}

bool weir_can_count(void) { return true; }

static void use_hooks(bool use) {
  __atomic_store_n(
      &_swift_enableSwizzlingOfAllocationAndRefCountingFunctions_forInstrumentsOnly, use,
      __ATOMIC_RELAXED);
}

#else

bool weir_can_count(void) { return false; }
static void use_hooks(bool use) {}

#endif

void weir_count_begin(void) {
  counts = (weir_counts){0};
  use_hooks(true);
  counting = true;
}

weir_counts weir_count_end(void) {
  counting = false;
  return counts;
}
