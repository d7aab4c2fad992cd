// How many times a thread takes memory and counts references, for `weir bench` and its tests: calls of
// malloc and its kin, and what passes the Swift runtime's own hooks. Linux with glibc only.
#ifndef WEIR_ALLOCATION_COUNT_H
#define WEIR_ALLOCATION_COUNT_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  /// Calls of malloc, calloc and realloc.
  uint64_t allocations;
  /// Calls of swift_retain and swift_release, those for several references counted once.
  uint64_t retains;
  uint64_t releases;
} weir_counts;

/// Whether this platform can count.
bool weir_can_count(void);
/// Counts what this thread does from here on.
void weir_count_begin(void);
/// Ends counting, and gives what was counted since it began.
weir_counts weir_count_end(void);

#endif
