// The rest of the checks: memory, reduced precisions, masks, tables and what goes across lanes. Included by
// vec_checks_body.h.
#pragma once

namespace rusttorch::RUSTTORCH_ISA {

// T in memory, C in lanes. Small integers are exact in every type.
template <class T, class C = Compute<T>>
T stored(int value) {
  T result;
  Vec<C>(C(value)).store(&result, 1);
  return result;
}
template <class T>
bool equal_bytes(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

// Whole and partial loads and stores, at every n, unaligned, with the end of the array at the end of readable memory and
// guards around what is written.
template <class T>
void check_memory(Failures& failures) {
  using V = Vec<Compute<T>>;
  using C = Compute<T>;
  constexpr int lanes = V::lanes;
  T* const end = reinterpret_cast<T*>(test::memory_before_a_hole((lanes + 1) * sizeof(T))) + lanes + 1;
  for (int n = 0; n <= lanes; ++n) {
    T* const p = end - n;
    for (int k = 0; k < n; ++k) p[k] = stored<T>(k + 1);
    C got[lanes];
    V::load(p, n).store(got);
    for (int k = 0; k < lanes; ++k) {
      const C expected = k < n ? C(k + 1) : C(0);
      if (!same(got[k], expected)) report<C>(failures, "load(p, n)", k, got[k], expected, C(n), 0, 0);
    }
    C values[lanes];
    for (int k = 0; k < lanes; ++k) values[k] = C(k + 10);
    const T guard = stored<T>(99);
    p[-1] = guard;
    V::load(values).store(p, n);
    for (int k = 0; k < n; ++k) {
      if (!equal_bytes(p[k], stored<T>(k + 10))) report<C>(failures, "store(p, n)", k, 0, C(k + 10), C(n), 0, 0);
    }
    if (!equal_bytes(p[-1], guard)) report<C>(failures, "store(p, n) before p", -1, 0, 99, C(n), 0, 0);
    T array[lanes + 2];
    for (T& element : array) element = guard;
    V::load(values).store(array + 1, n);
    for (int k = n; k < lanes; ++k) {
      if (!equal_bytes(array[k + 1], guard)) report<C>(failures, "store(p, n) past n", k, 0, 99, C(n), 0, 0);
    }
    if (n == lanes) {
      V::load(values).store(array + 1);
      for (int k = 0; k < lanes; ++k) {
        if (!equal_bytes(array[k + 1], stored<T>(k + 10))) report<C>(failures, "store(p)", k, 0, C(k + 10), 0, 0, 0);
      }
      V::load(p).store(got);
      for (int k = 0; k < lanes; ++k) {
        if (!same(got[k], values[k])) report<C>(failures, "load(p)", k, got[k], values[k], 0, 0, 0);
      }
    }
  }
}
void check_memories(Failures& failures) {
  check_memory<float>(failures);
  check_memory<double>(failures);
  check_memory<int32_t>(failures);
  check_memory<int64_t>(failures);
  check_memory<bfloat16>(failures);
  check_memory<float16>(failures);
}

// References from the definition of the formats, in double.
double value_of(bfloat16 half) { return std::bit_cast<float>(uint32_t(half.bits) << 16); }
double value_of(float16 half) {
  const int exponent = (half.bits >> 10) & 31, mantissa = half.bits & 1023;
  double magnitude;
  if (exponent == 31) magnitude = mantissa ? __builtin_nan("") : HUGE_VAL;
  else magnitude = std::ldexp(exponent ? 1024 + mantissa : mantissa, (exponent ? exponent : 1) - 25);
  return half.bits & 0x8000 ? -magnitude : magnitude;
}
template <class Half>
struct Format;
template <>
struct Format<bfloat16> {
  static constexpr int mantissa = 7, smallest = -126;
  static constexpr double overflow = 0x1.ffp127;
};
template <>
struct Format<float16> {
  static constexpr int mantissa = 10, smallest = -14;
  static constexpr double overflow = 65520;
};
// The nearest value of the format, ties to even.
template <class Half>
double rounded(double value) {
  if (value != value || std::isinf(value) || value == 0) return value;
  if (std::fabs(value) >= Format<Half>::overflow) return std::copysign(HUGE_VAL, value);
  int exponent = std::ilogb(value);
  if (exponent < Format<Half>::smallest) exponent = Format<Half>::smallest;
  const double unit = std::ldexp(1.0, exponent - Format<Half>::mantissa);
  return std::copysign(std::nearbyint(value / unit) * unit, value);
}

// Widening: all 65 536 values. Narrowing: all upper halves of a float with lower halves around the ties of both formats.
template <class Half>
void check_half(Failures& failures) {
  constexpr int lanes = Vec<float>::lanes;
  for (int first = 0; first < 65536; first += lanes) {
    Half in[lanes];
    float got[lanes];
    for (int k = 0; k < lanes; ++k) in[k].bits = uint16_t(first + k);
    Vec<float>::load(in).store(got);
    for (int k = 0; k < lanes; ++k) {
      if (!same(got[k], float(value_of(in[k]))))
        report<float>(failures, "widen", k, got[k], float(value_of(in[k])), 0, 0, 0);
    }
  }
  constexpr uint32_t lower[16] = {0x0000, 0x0001, 0x0fff, 0x1000, 0x1001, 0x2000, 0x2fff, 0x3000,
                                  0x3001, 0x7fff, 0x8000, 0x8001, 0xe000, 0xefff, 0xf000, 0xffff};
  for (uint32_t first = 0; first < 65536 * 16; first += lanes) {
    float in[lanes];
    Half out[lanes];
    for (int k = 0; k < lanes; ++k) in[k] = std::bit_cast<float>(((first + k) / 16 << 16) | lower[(first + k) % 16]);
    Vec<float>::load(in).store(out);
    for (int k = 0; k < lanes; ++k) {
      const double expected = rounded<Half>(in[k]), got = value_of(out[k]);
      if (!same(got, expected)) failures.add("narrow", k, got, expected, in[k], 0, 0);
    }
  }
}
// What load_pair distributes, store_pair collects; in between every value has its lane, narrowed like any other.
void check_pairs(Failures& failures) {
  constexpr int lanes = Vec<float>::lanes;
  for (int first = 0; first < 65536; first += 2 * lanes) {
    bfloat16 in[2 * lanes], out[2 * lanes];
    for (int k = 0; k < 2 * lanes; ++k) in[k].bits = uint16_t(first + k);
    Vec<float> x, y;
    Vec<float>::load_pair(in, x, y);
    const Vec<float> more(1.001953125f);  // 1 + 2^-9: half a unit for the smallest mantissas
    Vec<float>::store_pair(out, x * more, y * more);
    for (int k = 0; k < 2 * lanes; ++k) {
      const double exact = float(value_of(in[k])) * 1.001953125f, expected = rounded<bfloat16>(exact);
      const double got = value_of(out[k]);
      if (!same(got, expected)) failures.add("load_pair and store_pair", k, got, expected, exact, 0, 0);
    }
  }
}
void check_halves(Failures& failures) {
  check_pairs(failures);
  check_half<bfloat16>(failures);
  check_half<float16>(failures);
}

template <class T>
void check_mask(Failures& failures) {
  using V = Vec<T>;
  for (int n = 0; n <= V::lanes; ++n) {
    T got[V::lanes];
    const Mask<T> mask = first_lanes<T>(n);
    indicator<V>(mask).store(got);
    for (int k = 0; k < V::lanes; ++k) {
      if (got[k] != T(k < n)) report<T>(failures, "first_lanes", k, got[k], T(k < n), T(n), 0, 0);
    }
    if (any(mask) != (n > 0)) report<T>(failures, "any", 0, T(any(mask)), T(n > 0), T(n), 0, 0);
    if (all(mask) != (n == V::lanes)) report<T>(failures, "all", 0, T(all(mask)), T(n == V::lanes), T(n), 0, 0);
    for (int k = 0; k < V::lanes; ++k) {  // one lane alone
      T lanes[V::lanes] = {};
      lanes[k] = T(1);
      if (!any(V::load(lanes) == V(T(1)))) report<T>(failures, "any of one lane", k, T(0), T(1), 0, 0, 0);
      if (V::lanes > 1 && all(V::load(lanes) != V(T(1))))
        report<T>(failures, "all but one lane", k, T(1), T(0), 0, 0, 0);
    }
  }
}

// Halves, then halves of halves.
template <class T>
T sum_by_halves(const T* values, int count) {
  T copy[64];
  std::memcpy(copy, values, sizeof(T) * count);
  for (int half = count / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) copy[k] = T(copy[k] + copy[k + half]);
  }
  return copy[0];
}
// Row k is `values`, rotated by k and multiplied by k + 1.
template <class T>
void check_row_reductions(Failures& failures, const T* values) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> rows[lanes];
  T sums[lanes], largest[lanes], found[lanes];
  for (int k = 0; k < lanes; ++k) {
    T row[lanes];
    for (int i = 0; i < lanes; ++i) row[i] = values[(i + k) % lanes] * T(k + 1);
    rows[k] = Vec<T>::load(row);
    sums[k] = reduce_add(rows[k]);
    largest[k] = reduce_max_number(rows[k]);
  }
  reduce_add_rows(rows).store(found);
  for (int k = 0; k < lanes; ++k) {
    if (!same(found[k], sums[k])) report<T>(failures, "reduce_add_rows", k, found[k], sums[k], 0, 0, 0);
  }
  reduce_max_number_rows(rows).store(found);
  for (int k = 0; k < lanes; ++k) {
    if (!same(found[k], largest[k], true))
      report<T>(failures, "reduce_max_number_rows", k, found[k], largest[k], 0, 0, 0);
  }
}
template <class T>
void check_across(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes;
  for (int round = 0; round < 1000; ++round) {
    T values[lanes];
    for (int k = 0; k < lanes; ++k) {
      const int64_t number = int64_t(operand<int32_t>(1000000 + round * lanes + k, 0)) % 100000;
      values[k] = std::is_floating_point_v<T> ? T(number) / T(7) : T(number);
    }
    const T sum = reduce_add(Vec<T>::load(values)), expected = sum_by_halves(values, lanes);
    if (!same(sum, expected)) report<T>(failures, "reduce_add", 0, sum, expected, 0, 0, 0);
    T largest = values[0];
    for (int k = 1; k < lanes; ++k) largest = largest > values[k] ? largest : values[k];
    const T found = reduce_max(Vec<T>::load(values));
    if (!same(found, largest, true)) report<T>(failures, "reduce_max", 0, found, largest, 0, 0, 0);
    if constexpr (std::is_floating_point_v<T>) {
      const T number = reduce_max_number(Vec<T>::load(values));
      if (!same(number, largest, true)) report<T>(failures, "reduce_max_number", 0, number, largest, 0, 0, 0);
      check_row_reductions<T>(failures, values);
    }
  }
  if constexpr (std::is_floating_point_v<T>) {
    for (int k = 0; k < lanes; ++k) {
      T values[lanes] = {};
      values[k] = std::numeric_limits<T>::quiet_NaN();
      const T found = reduce_max(Vec<T>::load(values));
      if (found == found) report<T>(failures, "reduce_max of a NaN", k, found, values[k], 0, 0, 0);
    }
  }
}
template <class T>
void check_first_set(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes;
  for (int bits = 1; bits < 1 << lanes; ++bits) {
    T values[lanes];
    int expected = lanes;
    for (int k = lanes - 1; k >= 0; --k) {
      values[k] = T((bits >> k) & 1);
      if (values[k] == T(1)) expected = k;
    }
    const int found = first_set(Vec<T>::load(values) == Vec<T>(T(1)));
    if (found != expected) report<T>(failures, "first_set", expected, T(found), T(expected), T(bits), 0, 0);
  }
}
template <class T>
void check_to_doubles(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes, each = Vec<double>::lanes;
  for (int round = 0; round < 1000; ++round) {
    T values[lanes];
    for (int k = 0; k < lanes; ++k) values[k] = operand<T>(round * lanes + k, 0);
    Vec<double> parts[lanes / each];
    to_doubles(Vec<T>::load(values), parts);
    double got[lanes];
    for (int p = 0; p < lanes / each; ++p) parts[p].store(got + p * each);
    for (int k = 0; k < lanes; ++k) {
      const double expected = double(values[k]);
      if (!same(got[k], expected)) report<double>(failures, "to_doubles", k, got[k], expected, expected, 0, 0);
    }
  }
}
template <class T>
void check_transpose(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> rows[lanes];
  for (int i = 0; i < lanes; ++i) {
    T values[lanes];
    for (int j = 0; j < lanes; ++j) values[j] = T(100 * i + j);
    rows[i] = Vec<T>::load(values);
  }
  transpose(rows);
  for (int i = 0; i < lanes; ++i) {
    T got[lanes];
    rows[i].store(got);
    for (int j = 0; j < lanes; ++j) {
      if (got[j] != T(100 * j + i)) report<T>(failures, "transpose", j, got[j], T(100 * j + i), T(i), 0, 0);
    }
  }
}
void check_masks_and_reductions(Failures& failures) {
  check_mask<float>(failures);
  check_mask<double>(failures);
  check_mask<int32_t>(failures);
  check_mask<int64_t>(failures);
  check_across<float>(failures);
  check_across<double>(failures);
  check_across<int32_t>(failures);
  check_across<int64_t>(failures);
  check_first_set<float>(failures);
  check_first_set<double>(failures);
  check_to_doubles<float>(failures);
  check_to_doubles<double>(failures);
  check_transpose<float>(failures);
  check_transpose<double>(failures);
}

void check_table(Failures& failures) {
  constexpr int lanes = Vec<int32_t>::lanes;
  float table[16];
  for (int k = 0; k < 16; ++k) table[k] = float(k * k) + 0.5f;
  for (int first = -64; first < 64; ++first) {
    int32_t index[lanes];
    float got[lanes];
    for (int k = 0; k < lanes; ++k) index[k] = (first + k) * 5;
    gather_table16(table, Vec<int32_t>::load(index)).store(got);
    for (int k = 0; k < lanes; ++k) {
      if (got[k] != table[index[k] & 15])
        report<float>(failures, "gather_table16", k, got[k], table[index[k] & 15], float(index[k]), 0, 0);
    }
  }
}

// Products of 32-bit numbers, and masks as bytes.
template <class T>
void check_bytes(Failures& failures) {
  constexpr int lanes = Vec<T>::lanes;
  uint8_t* const end = reinterpret_cast<uint8_t*>(test::memory_before_a_hole(lanes)) + lanes;
  for (int round = 0; round < 256; ++round) {
    T got[lanes];
    for (int k = 0; k < lanes; ++k) end[k - lanes] = uint8_t((k + 1) * round % 5 == 0 ? 0 : round);
    indicator<Vec<T>>(load_bytes<T>(end - lanes)).store(got);
    for (int k = 0; k < lanes; ++k) {
      const T expected = T(end[k - lanes] != 0);
      if (got[k] != expected) report<T>(failures, "load_bytes", k, got[k], expected, T(round), 0, 0);
    }
  }
}
void check_wide(Failures& failures) {
  constexpr int lanes = Vec<int32_t>::lanes;
  for (int round = 0; round < 2000; ++round) {
    int32_t a[lanes], b[lanes], low[lanes], high[lanes];
    uint8_t bytes[lanes + 1];
    for (int k = 0; k < lanes; ++k) a[k] = operand<int32_t>(round * lanes + k, 0), b[k] = operand<int32_t>(round, 1);
    if (round == 0) b[0] = a[0] = -1;
    Vec<int32_t> low_halves, high_halves;
    multiply_wide(Vec<int32_t>::load(a), Vec<int32_t>::load(b), low_halves, high_halves);
    low_halves.store(low);
    high_halves.store(high);
    bytes[lanes] = 77;
    store_bytes(Vec<int32_t>::load(a) < Vec<int32_t>::load(b), bytes);
    for (int k = 0; k < lanes; ++k) {
      const uint64_t product = uint64_t(uint32_t(a[k])) * uint32_t(b[k]);
      if (low[k] != int32_t(product))
        report<int32_t>(failures, "multiply_wide, low", k, low[k], int32_t(product), a[k], b[k], 0);
      if (high[k] != int32_t(product >> 32))
        report<int32_t>(failures, "multiply_wide, high", k, high[k], int32_t(product >> 32), a[k], b[k], 0);
      if (bytes[k] != uint8_t(a[k] < b[k]))
        report<int32_t>(failures, "store_bytes", k, bytes[k], a[k] < b[k], a[k], b[k], 0);
    }
    if (bytes[lanes] != 77) report<int32_t>(failures, "store_bytes past the lanes", lanes, bytes[lanes], 77, 0, 0, 0);
  }
  check_bytes<float>(failures);
  check_bytes<double>(failures);
}

constexpr test::VecCheck kVecChecks[] = {
    {"float", check_floating<float>},
    {"double", check_floating<double>},
    {"int32", check_integer<int32_t>},
    {"int64", check_integer<int64_t>},
    {"division", check_division},
    {"memory", check_memories},
    {"reduced precision", check_halves},
    {"masks and reductions", check_masks_and_reductions},
    {"table", check_table},
    {"wide products and bytes", check_wide},
};
constexpr test::VecChecks vec_check_list() { return {kVecChecks, int(std::size(kVecChecks))}; }

}  // namespace rusttorch::RUSTTORCH_ISA
