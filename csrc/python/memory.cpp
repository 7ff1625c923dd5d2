// torchext._C.memory: the pool's switches and figures, for torchext/memory.py.
#include "../ops/torch_headers.h"

#include "memory.h"

#include <torch/csrc/utils/pybind.h>

#include "../memory/pool_allocator.h"
#include "../ops/results.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace py = pybind11;

namespace rusttorch {
namespace {

py::dict as_dict(const memory::Counter& counter) {
  py::dict result;
  result["current"] = counter.current;
  result["peak"] = counter.peak;
  result["allocated"] = counter.allocated;
  result["freed"] = counter.freed;
  return result;
}

py::dict statistics() {
  const memory::Statistics found = memory::process_pool().statistics();
  py::dict result;
  result["requested_bytes"] = as_dict(found.requested_bytes);
  result["allocated_bytes"] = as_dict(found.allocated_bytes);
  result["reserved_bytes"] = as_dict(found.reserved_bytes);
  result["allocation"] = as_dict(found.allocations);
  result["segment"] = as_dict(found.segments);
  result["num_alloc_retries"] = found.retries;
  result["num_ooms"] = found.failures;
  return result;
}

py::dict settings() {
  const memory::Settings found = memory::process_pool().settings();
  py::dict result;
  result["limit_bytes"] = found.limit_bytes;
  result["decay_ms"] = found.decay_ms;
  result["huge_pages"] = found.huge_pages;
  return result;
}

void empty_cache() {
  memory::process_pool().release_idle();
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace

void register_memory(py::module_& module) {
  py::module_ m = module.def_submodule("memory", "The pool of CPU memory.");
  m.def("install", &memory::install, "Pools every CPU tensor; returns what stood in the way, or ''.");
  m.def("uninstall", &memory::uninstall);
  m.def("is_installed", &memory::is_installed);
  m.def("is_foreign_allocator", &memory::is_foreign_allocator, "Whether another library's allocator was found.");
  m.def("is_pooling", &memory::is_pooling, "False in an AddressSanitizer build.");
  m.def("statistics", &statistics);
  m.def("reset_peaks", [] { memory::process_pool().reset_peaks(); });
  m.def("empty_cache", &empty_cache, py::call_guard<py::gil_scoped_release>());
  m.def("settings", &settings);
  m.def(
      "configure",
      [](size_t limit_bytes, int64_t decay_ms, bool huge_pages) {
        memory::process_pool().configure({limit_bytes, decay_ms, huge_pages});
      },
      py::arg("limit_bytes"), py::arg("decay_ms"), py::arg("huge_pages"));
  m.def("info", [] {
    const memory::MemoryInfo info = memory::memory_info();
    return std::pair(info.free_bytes, info.total_bytes);
  });
  m.def("smallest_pooled", [] { return memory::kSmallest; }, "Bytes from which on requests are pooled.");
  m.def(
      "streaming_threshold", [] { return streaming_threshold().load(); },
      "Bytes an operation moves from which on its result bypasses the caches.");
  m.def("set_streaming_threshold", [](int64_t bytes) { streaming_threshold().store(bytes); }, py::arg("bytes"));
}

}  // namespace rusttorch
