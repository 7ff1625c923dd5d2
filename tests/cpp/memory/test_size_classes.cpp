#include <gtest/gtest.h>

#include "size_classes.h"

namespace rusttorch::memory {
namespace {

TEST(SizeClasses, AreTheSmallestThatFit) {
  for (int index = 1; index < kClasses; ++index) {
    const size_t size = class_size(index), smaller = class_size(index - 1);
    ASSERT_GT(size, smaller);
    ASSERT_EQ(class_of(size), index);
    ASSERT_EQ(class_of(smaller + 1), index);
  }
  EXPECT_EQ(class_of(1), 0);
  EXPECT_EQ(class_size(0), kSmallest);
  EXPECT_EQ(class_size(kClasses - 1), kLargest);
}

TEST(SizeClasses, WasteAtMostAnEighth) {
  for (int index = 1; index < kClasses; ++index) {
    const size_t request = class_size(index - 1) + 1;
    EXPECT_LE(double(class_size(index)), 1.125 * double(request)) << index;
  }
}

TEST(SizeClasses, DoubleEveryEightSteps) {
  for (int index = kSteps; index < kClasses; ++index) EXPECT_EQ(class_size(index), 2 * class_size(index - kSteps));
}

TEST(SizeClasses, AreWholePagesOf4KiB) {
  for (int index = 0; index < kClasses; ++index) EXPECT_EQ(class_size(index) % 4096, 0u) << index;
}

}  // namespace
}  // namespace rusttorch::memory
