// Which library computes a product: ours unless a measurement found torch's faster for its dtype, layout and sizes. The
// defaults come from the machine named in product_choice.cpp; `python -m torchext calibrate` measures another one.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rusttorch {

// A class of products. Sizes by powers of two: class c holds 2^c to 2^(c+1) - 1, the last one all that is larger.
struct ProductClass {
  static constexpr int kLayouts = 3, kSizes = 13;
  int dtype;   // kFloat32 or kFloat64
  int layout;  // 0: a and b by rows (NN), 1: b by columns (NT), 2: a by columns (TN)
  int rows, k, columns;
};
bool is_valid(const ProductClass& product);

// True where torch's product is faster; "by columns": not contiguous along its rows. Never with
// torch.use_deterministic_algorithms(True): only ours has the same bits for any number of threads.
bool torch_is_faster(int dtype, int64_t rows, int64_t k, int64_t columns, bool a_by_columns, bool b_by_columns);

// Replaces the table, for the whole process; the classes listed are torch's.
void use_product_choices(const std::vector<ProductClass>& torchs);
void use_default_product_choices();
std::vector<ProductClass> product_choices();

}  // namespace rusttorch
