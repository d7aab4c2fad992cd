// What Swift has no word for: a prefetch, sixteen tags compared at once, memory in large pages. For
// the connection table and the benchmark's floor.
#ifndef WEIR_INTRINSICS_H
#define WEIR_INTRINSICS_H

#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/// Asks for the cache line at `address`, to be written. Any address will do; none is read.
static inline __attribute__((always_inline)) void weir_prefetch(const void *address) {
  __builtin_prefetch(address, 1, 3);
}

/// A bit for each of the sixteen bytes at `tags` that equals `tag`, lowest first.
static inline __attribute__((always_inline)) uint32_t weir_matches(const void *tags, uint8_t tag) {
#if defined(__SSE2__)
  const __m128i all = _mm_loadu_si128((const __m128i *)tags);
  return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8((char)tag)));
#elif defined(__aarch64__)
  static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t equal = vceqq_u8(vld1q_u8((const uint8_t *)tags), vdupq_n_u8(tag));
  const uint8x16_t bits = vandq_u8(equal, vld1q_u8(weights));
  return (uint32_t)vaddv_u8(vget_low_u8(bits)) | (uint32_t)vaddv_u8(vget_high_u8(bits)) << 8;
#else
  uint32_t bits = 0;
  for (int slot = 0; slot < 16; slot++)
    bits |= (uint32_t)(((const uint8_t *)tags)[slot] == tag) << slot;
  return bits;
#endif
}

/// `bytes` of zeroed memory, in large pages where the system has them; NULL when there is none. Pages
/// cost memory when they are first touched. Give it back with `weir_release`.
void *weir_reserve(size_t bytes);
/// Has the system give all of it now, with what it holds kept: nobody waits for a page later.
void weir_populate(void *memory, size_t bytes);
void weir_release(void *memory, size_t bytes);

#endif
