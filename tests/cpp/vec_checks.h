// Checks of every function of the Vec contract, compiled once per ISA by vec_checks_<isa>.cpp and run by test_vec.cpp.
// The bodies live inside target regions, where GoogleTest's headers must not be: a test registered there would run
// AVX-512 code on any CPU at program start. So the bodies report to Failures, which is compiled outside.
#pragma once
#include <cstdint>
#include <string>

#include "types.h"

namespace rusttorch::test {

class Failures {
 public:
  // Lane `lane` of `what` gave `got` instead of `expected` for the operands a, b, c (hexadecimal in the message).
  void add(const char* what, int lane, double got, double expected, double a, double b, double c);
  void add(const char* what, int lane, int64_t got, int64_t expected, int64_t a, int64_t b, int64_t c);
  int count() const { return count_; }
  const std::string& text() const { return text_; }  // the first ten

 private:
  void append(const char* what, int lane, const std::string& values);
  int count_ = 0;
  std::string text_;
};

struct VecCheck {
  const char* name;
  void (*run)(Failures&);
};
struct VecChecks {
  const VecCheck* first;
  int count;
};

VecChecks vec_checks_scalar();
VecChecks vec_checks_avx2();
VecChecks vec_checks_avx512();
VecChecks vec_checks_neon();

// `size` bytes that end where readable memory ends: an access past the end is a segmentation fault.
char* memory_before_a_hole(int64_t size);

}  // namespace rusttorch::test
