// Element-wise loops: the only main loop, unrolling and masked tail of the project. Included inside a target region.
//
// A functor is a class template over the vector type:
//   template <class V> struct F { explicit F(const Parameters&); V forward(V x) const; V backward(V grad, V saved) const; };
//   template <class V> struct F { explicit F(const Parameters&); V apply(V a, V b) const; };
// and may have
//   static constexpr int unroll            vectors in flight; 2 unless told, which covers polynomials
//   template <class T> V apply_as(V, V)    (unroll = 1 only) for bfloat16/float16 where ATen rounds in the middle
#pragma once
#include "reading.h"
#include "vec.h"

namespace rusttorch::RUSTTORCH_ISA {

// The type that arithmetic on T is done in.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<bfloat16> {
  using type = float;
};
template <>
struct ComputeType<float16> {
  using type = float;
};
template <class T>
using Compute = typename ComputeType<T>::type;

// The lane type of a vector type: Lane<Vec<float>> is float.
template <class V>
struct LaneType;
template <class T>
struct LaneType<Vec<T>> {
  using type = T;
};
template <class V>
using Lane = typename LaneType<V>::type;

template <class F>
constexpr int unroll_of() {
  if constexpr (requires { F::unroll; }) return F::unroll;
  else return 2;
}

// A block of whole vectors. bfloat16 goes in pairs, whose lanes are in an order of the ISA's own (vec.h): the same for
// every operand and undone by the store. Unpacking and packing cost half of what they cost one vector at a time: an
// addition of 16 elements is 23 instructions instead of 30 on AVX2, and 5 instead of 16 need the shift and shuffle units.
template <class T, int count>
constexpr bool in_pairs = std::is_same_v<T, bfloat16> && count % 2 == 0;

template <class T, class V, int count>
RUSTTORCH_INLINE void load_block(const T* p, V (&x)[count]) {
  if constexpr (in_pairs<T, count>) {
    for (int k = 0; k < count; k += 2) V::load_pair(p + k * V::lanes, x[k], x[k + 1]);
  } else {
    for (int k = 0; k < count; ++k) x[k] = V::load(p + k * V::lanes);
  }
}
// The only whole-vector stores of the maps: the place for another kind of store.
template <class T, class V, int count>
RUSTTORCH_INLINE void store_block(T* p, const V (&x)[count]) {
  if constexpr (in_pairs<T, count>) {
    for (int k = 0; k < count; k += 2) V::store_pair(p + k * V::lanes, x[k], x[k + 1]);
  } else {
    for (int k = 0; k < count; ++k) x[k].store(p + k * V::lanes);
  }
}

// Runs body over [0, n): blocks of `unroll` whole vectors, then single vectors, then what is left as a partial vector.
// body.block<count>(i) handles `count` whole vectors from element i, body.tail(i, n) a partial one of n elements.
template <int unroll, int lanes, class Body>
RUSTTORCH_INLINE void for_each_vector(int64_t n, Body& body) {
  int64_t i = 0;
  for (; i + unroll * lanes <= n; i += unroll * lanes) body.template block<unroll>(i);
  if constexpr (unroll > 1) {
    for (; i + lanes <= n; i += lanes) body.template block<1>(i);
  }
  if constexpr (lanes > 1) {
    if (i < n) body.tail(i, n - i);
  }
}

// One input of a map: an array; an array (step 1) or a block of repetitions (step 0); or one value in a register.
// block(i, x) reads the block that starts at element i, part(i, n) the n elements from i.
template <class T>
struct WholeArray {
  using V = Vec<Compute<T>>;
  const T* data;
  RUSTTORCH_INLINE WholeArray(const void* pointer, int64_t) : data(static_cast<const T*>(pointer)) {}
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i, V (&x)[count]) const {
    load_block(data + i, x);
  }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const { return V::load(data + i, n); }
};
template <class T>
struct Stepped {
  using V = Vec<Compute<T>>;
  const T* data;
  int64_t step;  // 0 or 1
  RUSTTORCH_INLINE Stepped(const void* pointer, int64_t step_) : data(static_cast<const T*>(pointer)), step(step_) {}
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i, V (&x)[count]) const {
    load_block(data + i * step, x);
  }
  RUSTTORCH_INLINE V part(int64_t i, int64_t n) const { return V::load(data + i * step, n); }
};
template <class T>
struct Broadcast {
  using V = Vec<Compute<T>>;
  V value;
  RUSTTORCH_INLINE Broadcast(const void* pointer, int64_t step) : value(read(pointer, step)) {}
  template <int count>
  RUSTTORCH_INLINE void block(int64_t, V (&x)[count]) const {
    for (int k = 0; k < count; ++k) x[k] = value;
  }
  RUSTTORCH_INLINE V part(int64_t, int64_t) const { return value; }

 private:
  static RUSTTORCH_INLINE V read(const void* pointer, int64_t step) {
    if (step == kScalarStep || std::is_same_v<T, Compute<T>>) return V(*static_cast<const Compute<T>*>(pointer));
    Compute<T> lanes[V::lanes];
    V::load(static_cast<const T*>(pointer), 1).store(lanes);
    return V(lanes[0]);
  }
};

// A block loads everything, computes, then stores: `out` may be an input, and the results are independent chains for
// the processor to overlap.

template <class T, class F>
struct UnaryBody {
  using V = Vec<Compute<T>>;
  T* out;
  const T* in;
  F functor;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count];
    load_block(in + i, x);
    for (int k = 0; k < count; ++k) x[k] = functor.forward(x[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const { functor.forward(V::load(in + i, n)).store(out + i, n); }
};

template <class T, class F>
struct BackwardBody {
  using V = Vec<Compute<T>>;
  T* grad_input;
  const T* grad_output;
  const T* saved;
  F functor;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V grad[count], x[count];
    load_block(grad_output + i, grad);
    load_block(saved + i, x);
    for (int k = 0; k < count; ++k) x[k] = functor.backward(grad[k], x[k]);
    store_block(grad_input + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    functor.backward(V::load(grad_output + i, n), V::load(saved + i, n)).store(grad_input + i, n);
  }
};

template <class T, class F, class A, class B, bool rounds_between>
struct BinaryBody {
  using V = Vec<Compute<T>>;
  T* out;
  A a;
  B b;
  F functor;
  RUSTTORCH_INLINE V apply(V left, V right) const {
    if constexpr (rounds_between) return functor.template apply_as<T>(left, right);
    else return functor.apply(left, right);
  }
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], y[count];
    a.block(i, x);
    b.block(i, y);
    for (int k = 0; k < count; ++k) x[k] = apply(x[k], y[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const { apply(a.part(i, n), b.part(i, n)).store(out + i, n); }
};

// Three operands would need eight copies of the loop. Instead a broadcast operand is written out once, as long as a
// block, and re-read in place (step 0): one copy of the code, and the extra load hits the first-level cache.
template <class T, class F>
struct TernaryBody {
  using V = Vec<Compute<T>>;
  T* out;
  Stepped<T> a, b, c;
  F functor;
  template <int count>
  RUSTTORCH_INLINE void block(int64_t i) const {
    V x[count], y[count], z[count];
    a.block(i, x);
    b.block(i, y);
    c.block(i, z);
    for (int k = 0; k < count; ++k) x[k] = functor.apply(x[k], y[k], z[k]);
    store_block(out + i, x);
  }
  RUSTTORCH_INLINE void tail(int64_t i, int64_t n) const {
    functor.apply(a.part(i, n), b.part(i, n), c.part(i, n)).store(out + i, n);
  }
};

// out[i] = f(in[i]): UnaryKernel of table.h.
template <class T, template <class> class Functor>
void map1(void* out, const void* in, int64_t n, const Parameters& parameters) {
  using V = Vec<Compute<T>>;
  using F = Functor<V>;
  UnaryBody<T, F> body{static_cast<T*>(out), static_cast<const T*>(in), F(parameters)};
  for_each_vector<unroll_of<F>(), V::lanes>(n, body);
}

// grad_input[i] = f'(grad_output[i], saved[i]): BackwardKernel.
template <class T, template <class> class Functor>
void map1_backward(void* grad_input, const void* grad_output, const void* saved, int64_t n,
                   const Parameters& parameters) {
  using V = Vec<Compute<T>>;
  using F = Functor<V>;
  BackwardBody<T, F> body{static_cast<T*>(grad_input), static_cast<const T*>(grad_output), static_cast<const T*>(saved),
                          F(parameters)};
  for_each_vector<unroll_of<F>(), V::lanes>(n, body);
}

// Memory for one broadcast operand, written out as long as a block.
template <class T, int size>
struct Repeated {
  T values[size];
  // The array itself, or the repetitions. A value in the compute type is rounded to T, as ATen rounds a dividend.
  RUSTTORCH_INLINE Stepped<T> fill(const void* pointer, int64_t step, int64_t n) {
    if (step == 1) return {pointer, 1};
    T value;
    if (step == kScalarStep) Vec<Compute<T>>(*static_cast<const Compute<T>*>(pointer)).store(&value, 1);
    else value = *static_cast<const T*>(pointer);
    for (int64_t i = 0; i < (n < size ? n : size); ++i) values[i] = value;
    return {values, 0};
  }
};

// A slow functor (unroll = 1, division with rounding) has one loop for arrays and broadcast operands alike, by the means
// described at TernaryBody: four copies of it would be most of the object. Only a divisor in the compute type is apart.
template <class T, class F>
void map2_slow(void* out, const void* a, const void* b, int64_t n, int64_t a_step, int64_t b_step,
               const Parameters& parameters) {
  constexpr int lanes = Vec<Compute<T>>::lanes;
  constexpr bool reduced = !std::is_same_v<T, Compute<T>>;
  Repeated<T, lanes> repeated[2];
  if constexpr (reduced) {
    if (b_step == kScalarStep) {
      BinaryBody<T, F, Stepped<T>, Broadcast<T>, false> body{
          static_cast<T*>(out), repeated[0].fill(a, a_step, n), {b, b_step}, F(parameters)};
      return for_each_vector<1, lanes>(n, body);
    }
  }
  BinaryBody<T, F, Stepped<T>, Stepped<T>, reduced> body{static_cast<T*>(out), repeated[0].fill(a, a_step, n),
                                                         repeated[1].fill(b, b_step, n), F(parameters)};
  for_each_vector<1, lanes>(n, body);
}

template <class T, class F, class A, class B>
void map2_loop(void* out, const void* a, const void* b, int64_t n, int64_t a_step, int64_t b_step,
               const Parameters& parameters) {
  BinaryBody<T, F, A, B, false> body{static_cast<T*>(out), {a, a_step}, {b, b_step}, F(parameters)};
  for_each_vector<unroll_of<F>(), Vec<Compute<T>>::lanes>(n, body);
}

// out[i] = f(a[i * a_step], b[i * b_step]): BinaryKernel.
template <class T, template <class> class Functor>
void map2(void* out, const void* a, const void* b, int64_t n, int64_t a_step, int64_t b_step,
          const Parameters& parameters) {
  using F = Functor<Vec<Compute<T>>>;
  if (n <= 0) return;  // a broadcast operand is read before the loop
  if constexpr (unroll_of<F>() == 1) {
    map2_slow<T, F>(out, a, b, n, a_step, b_step, parameters);
  } else {
    using Array = WholeArray<T>;
    if (a_step == 1 && b_step == 1) return map2_loop<T, F, Array, Array>(out, a, b, n, 1, 1, parameters);
    if (a_step == 1) return map2_loop<T, F, Array, Broadcast<T>>(out, a, b, n, 1, b_step, parameters);
    if (b_step == 1) return map2_loop<T, F, Broadcast<T>, Array>(out, a, b, n, a_step, 1, parameters);
    map2_loop<T, F, Broadcast<T>, Broadcast<T>>(out, a, b, n, a_step, b_step, parameters);
  }
}

// out[i] = f(a[i * a_step], b[i * b_step], c[i * c_step]): TernaryKernel; steps are 0 or 1.
template <class T, template <class> class Functor>
void map3(void* out, const void* a, const void* b, const void* c, int64_t n, int64_t a_step, int64_t b_step,
          int64_t c_step) {
  using V = Vec<Compute<T>>;
  using F = Functor<V>;
  if (n <= 0) return;
  constexpr int unroll = unroll_of<F>();
  Repeated<T, unroll * V::lanes> repeated[3];
  TernaryBody<T, F> body{static_cast<T*>(out), repeated[0].fill(a, a_step, n), repeated[1].fill(b, b_step, n),
                         repeated[2].fill(c, c_step, n), F(Parameters())};
  for_each_vector<unroll, V::lanes>(n, body);
}

}  // namespace rusttorch::RUSTTORCH_ISA
