// The AVX-512 intrinsics that vec_avx512.h uses, lane by lane in plain C++, written from Intel's description of each. They
// run the AVX-512 code on any machine: what is tested is which intrinsics it uses and how, not the processor.
// (SIMDe lacks a third of them, and its scalef flushes denormals.)
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulated {

// Registers as bytes, read and written as lanes of any type.
template <int bytes, class Tag>
struct Register {
  alignas(bytes) char memory[bytes];
  template <class T>
  T get(int k) const {
    T value;
    std::memcpy(&value, memory + k * sizeof(T), sizeof(T));
    return value;
  }
  template <class T>
  void set(int k, T value) {
    std::memcpy(memory + k * sizeof(T), &value, sizeof(T));
  }
};

inline float from_half(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  float magnitude = std::ldexp(float(exponent ? 1024 + mantissa : mantissa), (exponent ? exponent : 1) - 25);
  if (exponent == 31) magnitude = mantissa ? NAN : HUGE_VALF;
  return bits & 0x8000 ? -magnitude : magnitude;
}
inline uint16_t to_half(float value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (value != value) return sign | 0x7e00;
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  const int exponent = magnitude < 0x1p-14 ? -14 : std::ilogb(magnitude);
  const auto steps = uint16_t(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));  // 1024 and more: normal
  return uint16_t(sign | (((exponent + 14) << 10) + steps));
}
template <class To, class From>
To to_integer(From value) {  // what does not fit gives the "integer indefinite"
  const From bound = std::ldexp(From(1), int(sizeof(To) * 8) - 1);
  return value >= -bound && value < bound ? To(value) : To(To(1) << (sizeof(To) * 8 - 1));
}
template <class T>
T scalef(T a, T b) {
  if (b != b) return b;
  return std::scalbn(a, int(std::fmax(T(-5000), std::fmin(T(5000), std::floor(b)))));
}
template <class T>
T rounded(T value, int mode) {
  switch (mode & 3) {
    case 0: return std::nearbyint(value);
    case 1: return std::floor(value);
    case 2: return std::ceil(value);
    default: return std::trunc(value);
  }
}
template <class T>
bool compare(T a, T b, int predicate) {
  switch (predicate) {
    case 0: return a == b;
    case 1: return a < b;
    case 2: return a <= b;
    case 3: return a != a || b != b;
    case 4: return !(a == b);
    case 13: return a >= b;
    default: return a > b;
  }
}

}  // namespace emulated

using __m512 = emulated::Register<64, float>;
using __m512d = emulated::Register<64, double>;
using __m512i = emulated::Register<64, int>;
using __m256 = emulated::Register<32, float>;
using __m256i = emulated::Register<32, int>;
using __m128i = emulated::Register<16, int>;
using __mmask16 = uint16_t;
using __mmask8 = uint8_t;
using _MM_PERM_ENUM = int;
enum {
  _CMP_EQ_OQ = 0x00,
  _CMP_LT_OQ = 0x11,
  _CMP_LE_OQ = 0x12,
  _CMP_UNORD_Q = 0x03,
  _CMP_NEQ_UQ = 0x04,
  _CMP_GE_OQ = 0x1d,
  _CMP_GT_OQ = 0x1e,
  _MM_FROUND_TO_NEAREST_INT = 0,
  _MM_FROUND_TO_NEG_INF = 1,
  _MM_FROUND_TO_ZERO = 3,
  _MM_FROUND_NO_EXC = 8,
};

#define EMULATED inline __attribute__((noinline))  // inlined, the kernels would take minutes to compile

// RESULT NAME(ARGUMENTS): `lanes` lanes of type T, each the value of the expression in k.
#define EMULATE(Result, name, T, lanes, expression, ...)          \
  EMULATED Result name(__VA_ARGS__) {                             \
    Result result;                                                \
    for (int k = 0; k < lanes; ++k) result.set<T>(k, expression); \
    return result;                                                \
  }
#define EMULATE_MASK(Mask, name, lanes, expression, ...)                             \
  EMULATED Mask name(__VA_ARGS__) {                                                  \
    Mask result = 0;                                                                 \
    for (int k = 0; k < lanes; ++k) result = Mask(result | (Mask(expression) << k)); \
    return result;                                                                   \
  }
#define A(T) a.get<T>(k)
#define B(T) b.get<T>(k)
#define C(T) c.get<T>(k)

// Per element type: register, suffix, lane type, lane type without sign, lanes, mask.
#define EMULATE_COMMON(R, s, T, U, lanes, Mask)                                                                     \
  EMULATE(R, _mm512_set1_##s, T, lanes, value, T value)                                                             \
  EMULATED R _mm512_maskz_loadu_##s(Mask mask, const void* p) {                                                     \
    R result{};                                                                                                     \
    for (int k = 0; k < lanes; ++k) {                                                                               \
      if ((mask >> k) & 1)                                                                                          \
        std::memcpy(result.memory + k * sizeof(T), static_cast<const char*>(p) + k * sizeof(T), sizeof(T));         \
    }                                                                                                               \
    return result;                                                                                                  \
  }                                                                                                                 \
  EMULATED void _mm512_mask_storeu_##s(void* p, Mask mask, R a) {                                                   \
    for (int k = 0; k < lanes; ++k) {                                                                               \
      if ((mask >> k) & 1) std::memcpy(static_cast<char*>(p) + k * sizeof(T), a.memory + k * sizeof(T), sizeof(T)); \
    }                                                                                                               \
  }                                                                                                                 \
  EMULATE(R, _mm512_mask_blend_##s, T, lanes, (mask >> k) & 1 ? B(T) : A(T), Mask mask, R a, R b)                   \
  EMULATE(R, _mm512_min_##s, T, lanes, A(T) < B(T) ? A(T) : B(T), R a, R b)                                         \
  EMULATE(R, _mm512_max_##s, T, lanes, A(T) > B(T) ? A(T) : B(T), R a, R b)
#define EMULATE_FLOATING(R, s, T, U, lanes, Mask)                                                           \
  EMULATE_COMMON(R, s, T, U, lanes, Mask)                                                                   \
  EMULATE(R, _mm512_loadu_##s, T, lanes, p[k], const T* p)                                                  \
  EMULATED void _mm512_storeu_##s(void* p, R a) { std::memcpy(p, a.memory, 64); }                           \
  EMULATE(R, _mm512_add_##s, T, lanes, A(T) + B(T), R a, R b)                                               \
  EMULATE(R, _mm512_sub_##s, T, lanes, A(T) - B(T), R a, R b)                                               \
  EMULATE(R, _mm512_mul_##s, T, lanes, A(T) * B(T), R a, R b)                                               \
  EMULATE(R, _mm512_div_##s, T, lanes, A(T) / B(T), R a, R b)                                               \
  EMULATE(R, _mm512_and_##s, U, lanes, A(U) & B(U), R a, R b)                                               \
  EMULATE(R, _mm512_or_##s, U, lanes, A(U) | B(U), R a, R b)                                                \
  EMULATE(R, _mm512_xor_##s, U, lanes, A(U) ^ B(U), R a, R b)                                               \
  EMULATE(R, _mm512_andnot_##s, U, lanes, ~A(U) & B(U), R a, R b)                                           \
  EMULATE(R, _mm512_fmadd_##s, T, lanes, std::fma(A(T), B(T), C(T)), R a, R b, R c)                         \
  EMULATE(R, _mm512_fnmadd_##s, T, lanes, std::fma(-A(T), B(T), C(T)), R a, R b, R c)                       \
  EMULATE(R, _mm512_sqrt_##s, T, lanes, std::sqrt(A(T)), R a)                                               \
  EMULATE(R, _mm512_roundscale_##s, T, lanes, emulated::rounded(A(T), mode), R a, int mode)                 \
  EMULATE(R, _mm512_scalef_##s, T, lanes, emulated::scalef(A(T), B(T)), R a, R b)                           \
  EMULATE(R, _mm512_mask_mov_##s, T, lanes, (mask >> k) & 1 ? B(T) : A(T), R a, Mask mask, R b)             \
  EMULATE_MASK(Mask, _mm512_cmp_##s##_mask, lanes, emulated::compare(A(T), B(T), predicate & 15), R a, R b, \
               int predicate)
#define EMULATE_INTEGER(R, s, T, U, lanes, Mask)                              \
  EMULATE_COMMON(R, s, T, U, lanes, Mask)                                     \
  EMULATE(R, _mm512_add_##s, U, lanes, A(U) + B(U), R a, R b)                 \
  EMULATE(R, _mm512_sub_##s, U, lanes, A(U) - B(U), R a, R b)                 \
  EMULATE(R, _mm512_mullo_##s, U, lanes, A(U) * B(U), R a, R b)               \
  EMULATE(R, _mm512_abs_##s, U, lanes, A(T) < 0 ? U(0) - A(U) : A(U), R a)    \
  EMULATE(R, _mm512_slli_##s, U, lanes, A(U) << count, R a, int count)        \
  EMULATE(R, _mm512_srli_##s, U, lanes, A(U) >> count, R a, int count)        \
  EMULATE(R, _mm512_srai_##s, T, lanes, A(T) >> count, R a, int count)        \
  EMULATE_MASK(Mask, _mm512_cmpeq_##s##_mask, lanes, A(T) == B(T), R a, R b)  \
  EMULATE_MASK(Mask, _mm512_cmpneq_##s##_mask, lanes, A(T) != B(T), R a, R b) \
  EMULATE_MASK(Mask, _mm512_cmplt_##s##_mask, lanes, A(T) < B(T), R a, R b)   \
  EMULATE_MASK(Mask, _mm512_cmple_##s##_mask, lanes, A(T) <= B(T), R a, R b)  \
  EMULATE_MASK(Mask, _mm512_cmpgt_##s##_mask, lanes, A(T) > B(T), R a, R b)   \
  EMULATE_MASK(Mask, _mm512_cmpge_##s##_mask, lanes, A(T) >= B(T), R a, R b)
EMULATE_FLOATING(__m512, ps, float, uint32_t, 16, __mmask16)
EMULATE_FLOATING(__m512d, pd, double, uint64_t, 8, __mmask8)
EMULATE_INTEGER(__m512i, epi32, int32_t, uint32_t, 16, __mmask16)
EMULATE_INTEGER(__m512i, epi64, int64_t, uint64_t, 8, __mmask8)

EMULATE(__m512i, _mm512_setzero_si512, int64_t, 8, 0, )
EMULATE(__m512i, _mm512_and_si512, uint64_t, 8, A(uint64_t) & B(uint64_t), __m512i a, __m512i b)
EMULATE(__m512i, _mm512_or_si512, uint64_t, 8, A(uint64_t) | B(uint64_t), __m512i a, __m512i b)
EMULATE(__m512i, _mm512_xor_si512, uint64_t, 8, A(uint64_t) ^ B(uint64_t), __m512i a, __m512i b)
EMULATED __m512i _mm512_mask_blend_epi16(uint32_t mask, __m512i a, __m512i b) {
  for (int k = 0; k < 32; ++k) {
    if ((mask >> k) & 1) a.set<int16_t>(k, b.get<int16_t>(k));
  }
  return a;
}
EMULATED __m512i _mm512_setr_epi32(int e0, int e1, int e2, int e3, int e4, int e5, int e6, int e7, int e8, int e9,
                                   int e10, int e11, int e12, int e13, int e14, int e15) {
  const int lanes[16] = {e0, e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11, e12, e13, e14, e15};
  __m512i result;
  for (int k = 0; k < 16; ++k) result.set(k, lanes[k]);
  return result;
}
EMULATED __m512i _mm512_loadu_si512(const void* p) {
  __m512i result;
  std::memcpy(result.memory, p, 64);
  return result;
}
EMULATED void _mm512_storeu_si512(void* p, __m512i a) { std::memcpy(p, a.memory, 64); }
EMULATED __m256i _mm256_loadu_si256(const __m256i* p) {
  __m256i result;
  std::memcpy(result.memory, p, 32);
  return result;
}
EMULATED void _mm256_storeu_si256(__m256i* p, __m256i a) { std::memcpy(p, a.memory, 32); }
EMULATED __m256i _mm256_maskz_loadu_epi16(__mmask16 mask, const void* p) {
  __m256i result{};
  for (int k = 0; k < 16; ++k) {
    if ((mask >> k) & 1) std::memcpy(result.memory + 2 * k, static_cast<const char*>(p) + 2 * k, 2);
  }
  return result;
}
EMULATED void _mm256_mask_storeu_epi16(void* p, __mmask16 mask, __m256i a) {
  for (int k = 0; k < 16; ++k) {
    if ((mask >> k) & 1) std::memcpy(static_cast<char*>(p) + 2 * k, a.memory + 2 * k, 2);
  }
}

// Reinterpretation and conversion.
EMULATED __m512i _mm512_castps_si512(__m512 a) { return std::bit_cast<__m512i>(a); }
EMULATED __m512i _mm512_castpd_si512(__m512d a) { return std::bit_cast<__m512i>(a); }
EMULATED __m512 _mm512_castsi512_ps(__m512i a) { return std::bit_cast<__m512>(a); }
EMULATED __m512d _mm512_castsi512_pd(__m512i a) { return std::bit_cast<__m512d>(a); }
EMULATE(__m256i, _mm512_castsi512_si256, int64_t, 4, A(int64_t), __m512i a)
EMULATE(__m128i, _mm512_castsi512_si128, int64_t, 2, A(int64_t), __m512i a)
EMULATED float _mm512_cvtss_f32(__m512 a) { return a.get<float>(0); }
EMULATED double _mm512_cvtsd_f64(__m512d a) { return a.get<double>(0); }
EMULATED int32_t _mm_cvtsi128_si32(__m128i a) { return a.get<int32_t>(0); }
EMULATED int64_t _mm_cvtsi128_si64(__m128i a) { return a.get<int64_t>(0); }
EMULATED int _mm512_kortestc(__mmask16 a, __mmask16 b) { return (a | b) == 0xffff; }
EMULATE(__m512i, _mm512_castsi256_si512, int64_t, 8, k < 4 ? A(int64_t) : -1, __m256i a)  // the upper half is undefined
EMULATE(__m256i, _mm512_extracti64x4_epi64, int64_t, 4, a.get<int64_t>(k + 4 * (half & 1)), __m512i a, int half)
EMULATE(__m512i, _mm512_inserti64x4, int64_t, 8, k / 4 == (half & 1) ? b.get<int64_t>(k % 4) : A(int64_t), __m512i a,
        __m256i b, int half)
EMULATE(__m512i, _mm512_cvtepu16_epi32, int32_t, 16, A(uint16_t), __m256i a)
EMULATE(__m256i, _mm512_cvtepi32_epi16, uint16_t, 16, uint16_t(A(uint32_t)), __m512i a)
EMULATE(__m512, _mm512_cvtph_ps, float, 16, emulated::from_half(A(uint16_t)), __m256i a)
EMULATE(__m256i, _mm512_cvtps_ph, uint16_t, 16, mode == 0 ? emulated::to_half(A(float)) : uint16_t(0x7e00), __m512 a,
        int mode)
EMULATE(__m512i, _mm512_cvtps_epi32, int32_t, 16, (emulated::to_integer<int32_t>(std::nearbyint(A(float)))), __m512 a)
EMULATE(__m512i, _mm512_cvtpd_epi64, int64_t, 8, (emulated::to_integer<int64_t>(std::nearbyint(A(double)))), __m512d a)
EMULATE(__m256i, _mm512_cvttpd_epi32, int32_t, 8, (emulated::to_integer<int32_t>(std::trunc(A(double)))), __m512d a)
EMULATE(__m512, _mm512_cvtepi32_ps, float, 16, float(A(int32_t)), __m512i a)
EMULATE(__m256, _mm512_castps512_ps256, float, 8, A(float), __m512 a)
EMULATE(__m256, _mm512_extractf32x8_ps, float, 8, a.get<float>(k + 8 * (half & 1)), __m512 a, int half)
EMULATE(__m512d, _mm512_cvtps_pd, double, 8, double(A(float)), __m256 a)
EMULATE(__m512d, _mm512_cvtepi64_pd, double, 8, double(A(int64_t)), __m512i a)
EMULATE(__m512d, _mm512_cvtepi32_pd, double, 8, double(A(int32_t)), __m256i a)

EMULATE(__m512i, _mm512_mul_epu32, uint64_t, 8, uint64_t(a.get<uint32_t>(2 * k)) * b.get<uint32_t>(2 * k), __m512i a,
        __m512i b)

// Bytes of a mask.
EMULATE(__m128i, _mm_maskz_set1_epi8, char, 16, (mask >> k) & 1 ? value : char(0), __mmask16 mask, char value)
EMULATE_MASK(__mmask16, _mm_test_epi8_mask, 16, (a.get<char>(k) & b.get<char>(k)) != 0, __m128i a, __m128i b)
EMULATED __m128i _mm_loadu_si128(const __m128i* p) {
  __m128i result;
  std::memcpy(result.memory, p, 16);
  return result;
}
EMULATED __m128i _mm_loadl_epi64(const __m128i* p) {
  __m128i result{};
  std::memcpy(result.memory, p, 8);
  return result;
}
EMULATED void _mm_storeu_si128(__m128i* p, __m128i a) { std::memcpy(p, a.memory, 16); }

// Movement. `order` has two bits (permute_pd: one) for each place.
EMULATE(__m512, _mm512_permute_ps, float, 16, a.get<float>(k / 4 * 4 + ((order >> (2 * (k % 4))) & 3)), __m512 a,
        int order)
EMULATE(__m512d, _mm512_permute_pd, double, 8, a.get<double>(k / 2 * 2 + ((order >> k) & 1)), __m512d a, int order)
EMULATE(__m512i, _mm512_shuffle_epi32, int32_t, 16, a.get<int32_t>(k / 4 * 4 + ((order >> (2 * (k % 4))) & 3)),
        __m512i a, int order)
EMULATE(__m512, _mm512_permutexvar_ps, float, 16, a.get<float>(index.get<int32_t>(k) & 15), __m512i index, __m512 a)
EMULATE(__m512d, _mm512_permutexvar_pd, double, 8, a.get<double>(index.get<int64_t>(k) & 7), __m512i index, __m512d a)
// Quarters of 128 bits: the lower two come from a, the upper two from b.
#define QUARTERS ((k < 4 ? a : b).get<int64_t>(((order >> (k / 2 * 2)) & 3) * 2 + k % 2))
EMULATE(__m512, _mm512_shuffle_f32x4, int64_t, 8, QUARTERS, __m512 a, __m512 b, int order)
// Of each quarter: the lower two lanes come from a, the upper two from b.
EMULATE(__m512, _mm512_shuffle_ps, float, 16, (k % 4 < 2 ? a : b).get<float>(k / 4 * 4 + ((order >> (k % 4 * 2)) & 3)),
        __m512 a, __m512 b, int order)
EMULATE(__m512d, _mm512_shuffle_f64x2, int64_t, 8, QUARTERS, __m512d a, __m512d b, int order)
EMULATE(__m512i, _mm512_shuffle_i64x2, int64_t, 8, QUARTERS, __m512i a, __m512i b, int order)
// Within each quarter: pairs of the lower or upper two elements of a and b; two elements of a, then two of b.
#define PAIRS(T, start) \
  ((k % 2 ? b : a).get<T>(k / (16 / int(sizeof(T))) * (16 / int(sizeof(T))) + start + k % (16 / int(sizeof(T))) / 2))
EMULATE(__m512, _mm512_unpacklo_ps, float, 16, PAIRS(float, 0), __m512 a, __m512 b)
EMULATE(__m512, _mm512_unpackhi_ps, float, 16, PAIRS(float, 2), __m512 a, __m512 b)
EMULATE(__m512d, _mm512_unpacklo_pd, double, 8, PAIRS(double, 0), __m512d a, __m512d b)
EMULATE(__m512d, _mm512_unpackhi_pd, double, 8, PAIRS(double, 1), __m512d a, __m512d b)

#undef A
#undef B
#undef C
#undef QUARTERS
#undef PAIRS
