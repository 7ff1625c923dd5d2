// Reductions across the lanes of a Vec, for AVX-512. Included by vec_avx512.h.
#pragma once
#include "vec_avx512_types.h"

namespace rusttorch::RUSTTORCH_ISA {

// Lane i + lane i + 8 (doubles: + 4), then half as far, until one is left.
RUSTTORCH_INLINE Vec<float> swap_lanes_8(Vec<float> v) { return Vec<float>(_mm512_shuffle_f32x4(v.raw, v.raw, 0x4e)); }
RUSTTORCH_INLINE Vec<float> swap_lanes_4(Vec<float> v) { return Vec<float>(_mm512_shuffle_f32x4(v.raw, v.raw, 0xb1)); }
RUSTTORCH_INLINE Vec<float> swap_lanes_2(Vec<float> v) { return Vec<float>(_mm512_permute_ps(v.raw, 0x4e)); }
RUSTTORCH_INLINE Vec<float> swap_lanes_1(Vec<float> v) { return Vec<float>(_mm512_permute_ps(v.raw, 0xb1)); }
RUSTTORCH_INLINE Vec<double> swap_lanes_4(Vec<double> v) {
  return Vec<double>(_mm512_shuffle_f64x2(v.raw, v.raw, 0x4e));
}
RUSTTORCH_INLINE Vec<double> swap_lanes_2(Vec<double> v) {
  return Vec<double>(_mm512_shuffle_f64x2(v.raw, v.raw, 0xb1));
}
RUSTTORCH_INLINE Vec<double> swap_lanes_1(Vec<double> v) { return Vec<double>(_mm512_permute_pd(v.raw, 0x55)); }
RUSTTORCH_INLINE Vec<int32_t> swap_lanes_8(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_shuffle_i64x2(v.raw, v.raw, 0x4e));
}
RUSTTORCH_INLINE Vec<int32_t> swap_lanes_4(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_shuffle_i64x2(v.raw, v.raw, 0xb1));
}
RUSTTORCH_INLINE Vec<int32_t> swap_lanes_2(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_shuffle_epi32(v.raw, _MM_PERM_ENUM(0x4e)));
}
RUSTTORCH_INLINE Vec<int32_t> swap_lanes_1(Vec<int32_t> v) {
  return Vec<int32_t>(_mm512_shuffle_epi32(v.raw, _MM_PERM_ENUM(0xb1)));
}
RUSTTORCH_INLINE Vec<int64_t> swap_lanes_4(Vec<int64_t> v) {
  return Vec<int64_t>(swap_lanes_8(Vec<int32_t>(v.raw)).raw);
}
RUSTTORCH_INLINE Vec<int64_t> swap_lanes_2(Vec<int64_t> v) {
  return Vec<int64_t>(swap_lanes_4(Vec<int32_t>(v.raw)).raw);
}
RUSTTORCH_INLINE Vec<int64_t> swap_lanes_1(Vec<int64_t> v) {
  return Vec<int64_t>(swap_lanes_2(Vec<int32_t>(v.raw)).raw);
}
template <class T>
RUSTTORCH_INLINE void read_now(Vec<T>& v) {
  if constexpr (!requires { v.raw.memory; }) asm volatile("" : "+v"(v.raw));  // else emulated
}
template <int n>
RUSTTORCH_INLINE Vec<float> add_halves(Vec<float> v) {
  if constexpr (n == 16) return v + swap_lanes_8(v);
  if constexpr (n == 8) return v + swap_lanes_4(v);
  if constexpr (n == 4) return v + swap_lanes_2(v);
  if constexpr (n == 2) return v + swap_lanes_1(v);
}
// Moves, not a masked store and a load: the load would wait for the store to leave the queue, 20 cycles.
RUSTTORCH_INLINE float first_lane(Vec<float> v) { return _mm512_cvtss_f32(v.raw); }
RUSTTORCH_INLINE double first_lane(Vec<double> v) { return _mm512_cvtsd_f64(v.raw); }
RUSTTORCH_INLINE int32_t first_lane(Vec<int32_t> v) { return _mm_cvtsi128_si32(_mm512_castsi512_si128(v.raw)); }
RUSTTORCH_INLINE int64_t first_lane(Vec<int64_t> v) { return _mm_cvtsi128_si64(_mm512_castsi512_si128(v.raw)); }
template <class T>
RUSTTORCH_INLINE T reduce_add(Vec<T> v) {
  if constexpr (sizeof(T) == 4) v = v + swap_lanes_8(v);
  v = v + swap_lanes_4(v);
  v = v + swap_lanes_2(v);
  return first_lane(v + swap_lanes_1(v));
}
template <class T>
RUSTTORCH_INLINE T reduce_max(Vec<T> v) {
  if constexpr (sizeof(T) == 4) v = maximum(v, swap_lanes_8(v));
  v = maximum(v, swap_lanes_4(v));
  v = maximum(v, swap_lanes_2(v));
  return first_lane(maximum(v, swap_lanes_1(v)));
}
template <class T>
RUSTTORCH_INLINE T reduce_max_number(Vec<T> v) {
  if constexpr (sizeof(T) == 4) v = max_number(v, swap_lanes_8(v));
  v = max_number(v, swap_lanes_4(v));
  v = max_number(v, swap_lanes_2(v));
  return first_lane(max_number(v, swap_lanes_1(v)));
}

// All 16 rows at once: 45 instructions instead of 16 times 9 that wait for each other. Every step combines the lanes that
// reduce_add combines, of two vectors; the lanes are put in order last.
struct AddLanes {
  static RUSTTORCH_INLINE __m512 of(__m512 a, __m512 b) { return _mm512_add_ps(a, b); }
};
struct MaxLanes {
  static RUSTTORCH_INLINE __m512 of(__m512 a, __m512 b) { return _mm512_max_ps(a, b); }
};
template <class Combine>
RUSTTORCH_INLINE Vec<float> reduce_rows(const Vec<float> (&rows)[16]) {
  __m512 quarters[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 a = rows[4 * j].raw, b = rows[4 * j + 1].raw, c = rows[4 * j + 2].raw, d = rows[4 * j + 3].raw;
    const __m512 ab = Combine::of(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd = Combine::of(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    quarters[j] = Combine::of(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  }
  __m512 pairs[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    const __m512 a = quarters[2 * j], b = quarters[2 * j + 1];
    pairs[j] = Combine::of(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
  }
  // Lane 4 k + j holds row 4 j + k.
  const __m512 mixed =
      Combine::of(_mm512_shuffle_ps(pairs[0], pairs[1], 0x88), _mm512_shuffle_ps(pairs[0], pairs[1], 0xdd));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return Vec<float>(_mm512_permutexvar_ps(order, mixed));
}
RUSTTORCH_INLINE Vec<float> reduce_add_rows(const Vec<float> (&rows)[16]) { return reduce_rows<AddLanes>(rows); }
RUSTTORCH_INLINE Vec<float> reduce_max_number_rows(const Vec<float> (&rows)[16]) { return reduce_rows<MaxLanes>(rows); }
// All 8 rows at once: 22 instructions instead of 8 times 7 and a load that waits for their stores.
RUSTTORCH_INLINE Vec<double> reduce_add_rows(const Vec<double> (&rows)[8]) {
  __m512d quarters[2];
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) {
    const __m512d a = rows[4 * j].raw, b = rows[4 * j + 1].raw, c = rows[4 * j + 2].raw, d = rows[4 * j + 3].raw;
    const __m512d ab = _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xee));
    const __m512d cd = _mm512_add_pd(_mm512_shuffle_f64x2(c, d, 0x44), _mm512_shuffle_f64x2(c, d, 0xee));
    quarters[j] = _mm512_add_pd(_mm512_shuffle_f64x2(ab, cd, 0x88), _mm512_shuffle_f64x2(ab, cd, 0xdd));
  }
  // Lane 2 k + j holds row 4 j + k.
  const __m512d mixed =
      _mm512_add_pd(_mm512_unpacklo_pd(quarters[0], quarters[1]), _mm512_unpackhi_pd(quarters[0], quarters[1]));
  const __m512i order = _mm512_setr_epi32(0, 0, 2, 0, 4, 0, 6, 0, 1, 0, 3, 0, 5, 0, 7, 0);
  return Vec<double>(_mm512_permutexvar_pd(order, mixed));
}

}  // namespace rusttorch::RUSTTORCH_ISA
