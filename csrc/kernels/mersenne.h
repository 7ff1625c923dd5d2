// Bernoulli numbers as PyTorch draws them: 1 where u < p for a uniform u of 53 bits, of two words of a Mersenne twister
// (MT19937: Matsumoto and Nishimura, ACM Transactions on Modeling and Computer Simulation 8, 1998), the first one high.
// The words are a single stream, so one thread draws all; but their making is vectors, and so are the comparisons.
#pragma once
#include <cstdint>

namespace rusttorch {

struct MersenneState {
  static constexpr int kWords = 624;
  uint32_t words[kWords];
  int64_t next;  // the first word that is left; kWords: none
};
// u < p for a p in [0, 1] and u = v / 2^53: v < bernoulli_threshold(p).
inline uint64_t bernoulli_threshold(double p) {
  const double scaled = p * 0x1p53;
  const uint64_t floor = static_cast<uint64_t>(scaled);
  return static_cast<double>(floor) < scaled ? floor + 1 : floor;
}

}  // namespace rusttorch

#ifdef RUSTTORCH_ISA  // the code below is compiled once per ISA, inside its target region
#include "map.h"

namespace rusttorch::RUSTTORCH_ISA {

// Plain loops, of which the compiler makes vectors: on AVX2, with all that follows, 0.95 ns for a number, where PyTorch
// takes 10 to 16.
RUSTTORCH_INLINE uint32_t twist(uint32_t a, uint32_t b) {
  return (((a & 0x80000000u) | (b & 0x7fffffffu)) >> 1) ^ (-(b & 1u) & 0x9908b0dfu);
}
// The next words. Word i is made from i, i + 1 and i + 397, counted around.
RUSTTORCH_INLINE void make_words(MersenneState& state) {
  constexpr int n = MersenneState::kWords, ahead = 397;
  uint32_t* const w = state.words;
  for (int i = 0; i < n - ahead; ++i) w[i] = w[i + ahead] ^ twist(w[i], w[i + 1]);
  for (int i = n - ahead; i < n - 1; ++i) w[i] = w[i + ahead - n] ^ twist(w[i], w[i + 1]);
  w[n - 1] = w[ahead - 1] ^ twist(w[n - 1], w[0]);
  state.next = 0;
}
RUSTTORCH_INLINE void temper(uint32_t* __restrict out, const uint32_t* __restrict words, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint32_t y = words[i];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    out[i] = y ^ (y >> 18);
  }
}
// out[n]: the next words of the stream.
RUSTTORCH_INLINE void draw_words(uint32_t* out, MersenneState& state, int64_t n) {
  while (n > 0) {
    if (state.next == MersenneState::kWords) make_words(state);
    const int64_t left = MersenneState::kWords - state.next, count = left < n ? left : n;
    temper(out, state.words + state.next, count);
    state.next += count;
    out += count;
    n -= count;
  }
}

// out[n]: 1 or 0. In halves of a number, because vectors of 64 bits hold half as many.
template <class T>
void mersenne_bernoulli(void* out_, MersenneState& state, int64_t n, uint64_t threshold) {
  using C = Compute<T>;
  constexpr int64_t most = 512;
  alignas(64) uint32_t words[2 * most];
  alignas(64) C numbers[most];
  const int32_t high_threshold = int32_t(threshold >> 32);
  const int32_t low_threshold = int32_t(uint32_t(threshold) ^ 0x80000000u);  // so that signed comparisons do
  T* out = static_cast<T*>(out_);
  for (int64_t count; n > 0; n -= count, out += count) {
    count = n < most ? n : most;
    draw_words(words, state, 2 * count);
    for (int64_t i = 0; i < count; ++i) {
      const int32_t high = int32_t(words[2 * i] & 0x1fffffu), low = int32_t(words[2 * i + 1] ^ 0x80000000u);
      numbers[i] = C((high < high_threshold) | ((high == high_threshold) & (low < low_threshold)));
    }
    for (int64_t i = 0; i < count; i += Vec<C>::lanes) {
      const int64_t left = count - i < Vec<C>::lanes ? count - i : Vec<C>::lanes;
      if (left == Vec<C>::lanes) Vec<C>::load(numbers + i).store(out + i);
      else Vec<C>::load(numbers + i, left).store(out + i, left);
    }
  }
}

}  // namespace rusttorch::RUSTTORCH_ISA
#endif
