// The loops: every length around the vector sizes, unaligned, in place, with guards, for every dtype and ISA.
#include "isa_test.h"
#include "numbers.h"

namespace rusttorch::test {
namespace {

class Map : public IsaTest {
 protected:
  // All tails of a block of four vectors: float32 lanes hold for the reduced precisions too.
  int64_t longest() const { return 4 * 2 * kernels().float_lanes + 3; }
};

// Small integers of both signs: relu and the arithmetic below are exact on them in every dtype.
double sample(int64_t i) { return double(i * 37 % 23) - 11; }

void fill(Array& array, int64_t n, int64_t shift) {
  for (int64_t i = 0; i < n; ++i) array.set(i, sample(i + shift));
}

TEST_P(Map, UnaryAtEveryLength) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest(); ++n) {
      for (const bool in_place : {false, true}) {
        Array in(dtype, n, 1), out(dtype, n, 3);
        fill(in, n, 0);
        Array& target = in_place ? in : out;
        kernels().relu[dtype](target.data(), in.data(), n, Parameters());
        ASSERT_TRUE(target.guards_intact()) << kDtypeNames[dtype] << " n=" << n << " in_place=" << in_place;
        for (int64_t i = 0; i < n; ++i) {
          ASSERT_EQ(target.get(i), std::max(sample(i), 0.0)) << kDtypeNames[dtype] << " n=" << n << " i=" << i;
        }
      }
    }
  }
}

TEST_P(Map, BackwardAtEveryLength) {
  for (int dtype = 0; dtype < kFloatingDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest(); ++n) {
      Array grad(dtype, n, 1), saved(dtype, n, 2), out(dtype, n, 3);
      fill(grad, n, 5);
      fill(saved, n, 0);
      kernels().relu_backward[dtype](out.data(), grad.data(), saved.data(), n, Parameters());
      ASSERT_TRUE(out.guards_intact() && grad.guards_intact() && saved.guards_intact());
      for (int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(out.get(i), sample(i) > 0 ? sample(i + 5) : 0) << kDtypeNames[dtype] << " n=" << n << " i=" << i;
      }
    }
  }
}

TEST_P(Map, BinaryAtEveryLengthAndStep) {
  for (int dtype = 0; dtype < kDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest(); ++n) {
      for (int steps = 0; steps < 9; ++steps) {
        const int64_t a_step = steps % 3 - 1, b_step = steps / 3 - 1;  // -1 (kScalarStep), 0, 1
        Array a(dtype, a_step == 1 ? n : 1, 1), b(dtype, b_step == 1 ? n : 1, 2), out(dtype, n, 3);
        fill(a, a_step == 1 ? n : 1, 4);
        fill(b, b_step == 1 ? n : 1, 9);
        const float a_value = float(sample(4)), b_value = float(sample(9));
        const void* a_data = a_step == kScalarStep && is_reduced(dtype) ? &a_value : a.data();
        const void* b_data = b_step == kScalarStep && is_reduced(dtype) ? &b_value : b.data();
        kernels().sub[dtype](out.data(), a_data, b_data, n, a_step, b_step, Parameters());
        ASSERT_TRUE(out.guards_intact()) << kDtypeNames[dtype] << " n=" << n;
        for (int64_t i = 0; i < n; ++i) {
          const double expected = sample(a_step == 1 ? i + 4 : 4) - sample(b_step == 1 ? i + 9 : 9);
          ASSERT_EQ(out.get(i), expected) << kDtypeNames[dtype] << " n=" << n << " i=" << i << " steps=" << steps;
        }
      }
    }
  }
}

TEST_P(Map, BinaryInPlaceOfEitherOperand) {
  for (int dtype = 0; dtype < kDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest(); ++n) {
      for (const bool first : {false, true}) {
        Array a(dtype, n), b(dtype, n);
        fill(a, n, 4);
        fill(b, n, 9);
        Array& target = first ? a : b;
        kernels().sub[dtype](target.data(), a.data(), b.data(), n, 1, 1, Parameters());
        ASSERT_TRUE(target.guards_intact());
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(target.get(i), sample(i + 4) - sample(i + 9)) << n << " " << i;
      }
    }
  }
}

// A functor with one loop for arrays and broadcast operands.
TEST_P(Map, SlowBinaryAtEveryLengthAndStep) {
  for (int dtype = 0; dtype < kDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest() / 2; ++n) {
      for (int steps = 0; steps < 9; ++steps) {
        const int64_t a_step = steps % 3 - 1, b_step = steps / 3 - 1;
        Array a(dtype, a_step == 1 ? n : 1, 1), b(dtype, b_step == 1 ? n : 1, 2), out(dtype, n, 3);
        for (int64_t i = 0; i < (a_step == 1 ? n : 1); ++i) a.set(i, sample(i));
        for (int64_t i = 0; i < (b_step == 1 ? n : 1); ++i) b.set(i, i % 2 ? 3 : -4);
        const float a_value = float(sample(0)), b_value = -4;
        const void* a_data = a_step == kScalarStep && is_reduced(dtype) ? &a_value : a.data();
        const void* b_data = b_step == kScalarStep && is_reduced(dtype) ? &b_value : b.data();
        kernels().div_floor[dtype](out.data(), a_data, b_data, n, a_step, b_step, Parameters());
        ASSERT_TRUE(out.guards_intact());
        for (int64_t i = 0; i < n; ++i) {
          const double divisor = b_step == 1 && i % 2 ? 3 : -4;
          ASSERT_EQ(out.get(i), std::floor(sample(a_step == 1 ? i : 0) / divisor))
              << kDtypeNames[dtype] << " n=" << n << " i=" << i << " steps=" << steps;
        }
      }
    }
  }
}

TEST_P(Map, TernaryAtEveryLengthAndStep) {
  for (int dtype = 0; dtype < kDtypes; ++dtype) {
    for (int64_t n = 0; n <= longest(); ++n) {
      for (int steps = 0; steps < 8; ++steps) {
        const int64_t step[3] = {steps & 1, (steps >> 1) & 1, (steps >> 2) & 1};
        Array a(dtype, step[0] ? n : 1), b(dtype, step[1] ? n : 1), c(dtype, step[2] ? n : 1), out(dtype, n, 3);
        fill(a, step[0] ? n : 1, 1);
        fill(b, step[1] ? n : 1, 2);
        fill(c, step[2] ? n : 1, 3);
        kernels().fused_multiply_add[dtype](out.data(), a.data(), b.data(), c.data(), n, step[0], step[1], step[2]);
        ASSERT_TRUE(out.guards_intact());
        for (int64_t i = 0; i < n; ++i) {
          const double expected = sample(i * step[0] + 1) * sample(i * step[1] + 2) + sample(i * step[2] + 3);
          ASSERT_EQ(out.get(i), expected) << kDtypeNames[dtype] << " n=" << n << " i=" << i << " steps=" << steps;
        }
      }
    }
  }
}

RUSTTORCH_FOR_EACH_ISA(Map);

}  // namespace
}  // namespace rusttorch::test
