// The Python module torchext._C: the short way from Python to the operators, and the state that Python may read or set.
#include "../ops/torch_headers.h"

#include <torch/csrc/utils/pybind.h>

#include "../kernels/dispatch.h"
#include "../ops/counters.h"
#include "../ops/product_choice.h"
#include "calls.h"
#include "limits.h"
#include "memory.h"
#include "patch.h"

namespace py = pybind11;

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  rusttorch::register_calls(module);
  rusttorch::register_reduction_calls(module);
  rusttorch::register_normalization_calls(module);
  rusttorch::register_fast_calls(module);
  rusttorch::register_limits(module);
  rusttorch::register_memory(module);
  rusttorch::register_patch(module);

  module.def("counters", &rusttorch::read_counters, "Operator -> decision -> count, since the last reset.");
  module.def("reset_counters", &rusttorch::reset_counters, "Sets every counter to zero.");

  // The products that are torch's: classes of ops/product_choice.h as tuples of dtype, layout, rows, k, columns.
  module.def("product_choices", [] {
    std::vector<std::array<int, 5>> rows;
    for (const auto& c : rusttorch::product_choices()) rows.push_back({c.dtype, c.layout, c.rows, c.k, c.columns});
    return rows;
  });
  module.def("use_product_choices", [](const std::vector<std::array<int, 5>>& rows) {
    std::vector<rusttorch::ProductClass> classes;
    for (const auto& row : rows) classes.push_back({row[0], row[1], row[2], row[3], row[4]});
    if (!std::all_of(classes.begin(), classes.end(), rusttorch::is_valid))
      throw py::value_error("no such class of products");
    rusttorch::use_product_choices(classes);
  });
  module.def("use_default_product_choices", &rusttorch::use_default_product_choices);

  module.def("available_isas", &rusttorch::available_isas, "Kernel tables this CPU can run, best first.");
  module.def("current_isa", [] { return std::string(rusttorch::kernels().name); }, "Name of the active kernel table.");
  module.def("float_lanes", [] { return rusttorch::kernels().float_lanes; }, "float32 lanes of the active table.");
  module.def("isa_environment_error", &rusttorch::isa_environment_error, "What is wrong with TORCHEXT_ISA, or ''.");
  module.def(
      "use_isa",
      [](const std::string& name) {
        const std::string problem = rusttorch::use_isa(name);
        if (!problem.empty()) throw py::value_error(problem);
      },
      py::arg("name"), "Makes `name` the active table; ValueError where the CPU or the library lacks it.");
}
