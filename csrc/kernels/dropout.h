// Dropout: out = in keep scale, where `keep` is 1 with probability 1 - p, drawn from a counter-based generator: what is
// drawn for an element depends on the key and the element's index alone, not on the thread or ISA that draws it.
//
// Philox4x32 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; SC11) with 7 rounds, the number
// from which on it passes all of BigCrush there; 10 rounds are its margin.
// Counter c = (number of the call, 64 bits; 0; 0) gives four words. Element i of block i / 64 takes word i / 16 mod 4
// of the counter 16 (i / 64) + i mod 16, so that 16 counters in lanes give 64 elements in order.
#pragma once
#include <cstdint>

namespace rusttorch {

// Elements that are drawn together; ranges start at multiples of it.
inline constexpr int kDropoutBlock = 64;

// An element is dropped when its word, as a signed number, is below `threshold`: with probability
// (threshold + 2^31) / 2^32, which is p to within 2^-33.
struct DropoutParameters {
  uint64_t key = 0;
  int32_t threshold = 0;
  double scale = 1;
};

}  // namespace rusttorch

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// The four words of V::lanes counters.
struct PhiloxWords {
  Vec<int32_t> a, b, c, d;
};
RUSTTORCH_INLINE PhiloxWords philox(Vec<int32_t> counter_low, Vec<int32_t> counter_high, uint64_t key) {
  using V = Vec<int32_t>;
  PhiloxWords x{counter_low, counter_high, V(0), V(0)};
  uint32_t key_low = uint32_t(key), key_high = uint32_t(key >> 32);
  const V first_factor(int32_t(0xD2511F53)), second_factor(int32_t(0xCD9E8D57));
  for (int round = 0; round < 7; ++round) {
    V low[2], high[2];
    multiply_wide(x.a, first_factor, low[0], high[0]);
    multiply_wide(x.c, second_factor, low[1], high[1]);
    x = {high[1] ^ x.b ^ V(int32_t(key_low)), low[1], high[0] ^ x.d ^ V(int32_t(key_high)), low[0]};
    key_low += 0x9E3779B9;
    key_high += 0xBB67AE85;
  }
  return x;
}

// keep[64]: 1 or 0 for the elements of a block.
RUSTTORCH_INLINE void draw_block(uint8_t* keep, int64_t block, const DropoutParameters& parameters) {
  using V = Vec<int32_t>;
  constexpr int32_t index[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const uint64_t counter = uint64_t(block) * 16;
  const V high(int32_t(counter >> 32)), threshold(parameters.threshold);
  for (int p = 0; p < 16; p += V::lanes) {
    const PhiloxWords words = philox(V(int32_t(counter)) + V::load(index + p), high, parameters.key);
    store_bytes(words.a >= threshold, keep + p);
    store_bytes(words.b >= threshold, keep + p + 16);
    store_bytes(words.c >= threshold, keep + p + 32);
    store_bytes(words.d >= threshold, keep + p + 48);
  }
}

// out = in * (keep ? scale : 0): a dropped infinity or NaN gives NaN, as in PyTorch.
template <class T>
struct DropoutBody {
  using C = Compute<T>;
  using V = Vec<C>;
  T* out;
  const T* in;
  const uint8_t* keep;
  V scale;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count];
    for (int k = 0; k < count; ++k) {
      const int64_t at = i + k * V::lanes;
      x[k] = V::load(in + at) * select(load_bytes<C>(keep + at), scale, V(C(0)));
    }
    for (int k = 0; k < count; ++k) x[k].store(out + i + k * V::lanes);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    uint8_t bytes[V::lanes] = {};
    for (int64_t k = 0; k < n; ++k) bytes[k] = keep[i + k];
    (V::load(in + i, n) * select(load_bytes<C>(bytes), scale, V(C(0)))).store(out + i, n);
  }
};

// out, mask, in: [n], of which `first` (a multiple of kDropoutBlock) elements of the whole lie before. out == in is
// allowed; mask may be null.
template <class T>
void dropout(void* out, uint8_t* mask, const void* in, int64_t first, int64_t n, const DropoutParameters& parameters) {
  using V = Vec<Compute<T>>;
  T* const to = static_cast<T*>(out);
  const T* const from = static_cast<const T*>(in);
  const V scale(Compute<T>(parameters.scale));
  int64_t i = 0;
  uint8_t own[kDropoutBlock];
  for (; i + kDropoutBlock <= n; i += kDropoutBlock) {
    uint8_t* const keep = mask ? mask + i : own;
    draw_block(keep, (first + i) / kDropoutBlock, parameters);
    DropoutBody<T> body{to + i, from + i, keep, scale};
    for_each_vector<4, V::lanes>(kDropoutBlock, body);
  }
  if (i == n) return;
  draw_block(own, (first + i) / kDropoutBlock, parameters);
  for (int64_t k = i; k < (mask ? n : i); ++k) mask[k] = own[k - i];
  DropoutBody<T> body{to + i, from + i, own, scale};
  for_each_vector<4, V::lanes>(n - i, body);
}

// grad_input = grad_output * (mask ? scale : 0), all [n]; grad_input == grad_output is allowed.
template <class T>
void dropout_backward(void* grad_input, const void* grad_output, const uint8_t* mask, int64_t n, double scale) {
  using V = Vec<Compute<T>>;
  DropoutBody<T> body{static_cast<T*>(grad_input), static_cast<const T*>(grad_output), mask, V(Compute<T>(scale))};
  for_each_vector<4, V::lanes>(n, body);
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
