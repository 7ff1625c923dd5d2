// Streaming stores: every offset of both ends, and nothing outside.
#include <gtest/gtest.h>

#include <vector>

#include "stream.h"

namespace rusttorch {
namespace {

TEST(Stream, CopiesEveryLengthFromEveryOffset) {
  std::vector<char> in(256), out(256);
  for (size_t i = 0; i < in.size(); ++i) in[i] = char(i * 7 + 1);
  for (int64_t to = 0; to < 32; ++to) {
    for (int64_t from = 0; from < 32; from += 5) {
      for (int64_t bytes = 0; bytes <= 140; ++bytes) {
        std::fill(out.begin(), out.end(), char(-1));
        stream(out.data() + to, in.data() + from, bytes);
        stream_end();
        for (int64_t i = 0; i < int64_t(out.size()); ++i) {
          const bool inside = i >= to && i < to + bytes;
          ASSERT_EQ(out[size_t(i)], inside ? in[size_t(i - to + from)] : char(-1)) << to << " " << from << " " << bytes;
        }
      }
    }
  }
}

}  // namespace
}  // namespace rusttorch
