// How many times a thread takes memory, for `weir bench` and its tests: calls of malloc and its kin, by
// which Swift's objects and buffers are made. Linux with glibc only.
#ifndef WEIR_ALLOCATION_COUNT_H
#define WEIR_ALLOCATION_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/// Whether this platform can count.
bool weir_can_count(void);
/// Counts what this thread does from here on.
void weir_count_begin(void);
/// Ends counting, and gives how many calls of malloc, calloc and realloc there were since it began.
uint64_t weir_count_end(void);

#endif
