// torchext._C.patch: the overrides of ATen's kernels and their switches, for torchext/_patch.py.
#include "../ops/torch_headers.h"

#include "patch.h"

#include <torch/csrc/utils/pybind.h>

#include "../ops/counters.h"
#include "../patch/override.h"

namespace py = pybind11;

namespace rusttorch {
namespace {

py::dict describe(const patch::Override& entry) {
  py::dict result;
  result["row"] = entry.row;
  result["name"] = entry.name;
  result["on"] = entry.on.load();
  result["installed"] = entry.installed.load();
  result["shadowed"] = patch::is_shadowed(entry);
  result["calls"] = entry.calls.load();
  py::dict decisions;
  for (size_t i = 0; i < entry.counts.size(); ++i) decisions[kDecisionNames[i]] = entry.counts[i].load();
  result["decisions"] = decisions;
  return result;
}

}  // namespace

void register_patch(py::module_& module) {
  py::module_ m = module.def_submodule("patch", "Overrides of ATen's CPU kernels.");
  m.def("install", &patch::install_all, "Registers all overrides, switched off; only the first call does anything.");
  m.def(
      "switch",
      [](const py::set& rows) {
        for (patch::Override* entry : patch::all()) entry->on = entry->installed && rows.contains(entry->row);
      },
      py::arg("rows"), "Switches on the overrides of these rows of the registry, and off all others.");
  m.def("overrides", [] {
    py::list result;
    for (const patch::Override* entry : patch::all()) result.append(describe(*entry));
    return result;
  });
  m.def("reset_counts", [] {
    for (patch::Override* entry : patch::all()) {
      entry->calls = 0;
      for (auto& count : entry->counts) count = 0;
    }
  });
}

}  // namespace rusttorch
