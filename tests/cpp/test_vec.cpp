// Every function of the Vec contract against plain C++, on every ISA of this CPU.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

#include "isa_test.h"
#include "vec_checks.h"

namespace rusttorch::test {

void Failures::append(const char* what, int lane, const std::string& values) {
  if (++count_ <= 10) text_ += std::string(what) + ", lane " + std::to_string(lane) + ": " + values + "\n";
}

void Failures::add(const char* what, int lane, double got, double expected, double a, double b, double c) {
  char text[256];
  std::snprintf(text, sizeof text, "got %a (%.9g), expected %a (%.9g); operands %a %a %a", got, got, expected, expected,
                a, b, c);
  append(what, lane, text);
}

void Failures::add(const char* what, int lane, int64_t got, int64_t expected, int64_t a, int64_t b, int64_t c) {
  append(what, lane,
         "got " + std::to_string(got) + ", expected " + std::to_string(expected) + "; operands " + std::to_string(a) +
             " " + std::to_string(b) + " " + std::to_string(c));
}

char* memory_before_a_hole(int64_t size) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t room = (size + page - 1) / page * page;
  void* start = mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* end = static_cast<char*>(start) + room;
  mprotect(end, page, PROT_NONE);
  return end - size;  // never unmapped: a few pages per test run
}

namespace {

class Vec : public IsaTest {};

VecChecks checks_of(const std::string& isa) {
#if defined(__x86_64__)
  if (isa == "avx2") return vec_checks_avx2();
  if (isa == "avx512") return vec_checks_avx512();
#elif defined(__aarch64__)
  if (isa == "neon") return vec_checks_neon();
#endif
  return isa == "scalar" ? vec_checks_scalar() : VecChecks{nullptr, 0};
}

TEST_P(Vec, HoldsItsContract) {
  const VecChecks checks = checks_of(GetParam());
  ASSERT_GT(checks.count, 0);
  for (int k = 0; k < checks.count; ++k) {
    Failures failures;
    checks.first[k].run(failures);
    EXPECT_EQ(failures.count(), 0) << checks.first[k].name << ":\n" << failures.text();
  }
}

RUSTTORCH_FOR_EACH_ISA(Vec);

}  // namespace
}  // namespace rusttorch::test
