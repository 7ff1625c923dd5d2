#include "../ops/torch_headers.h"

#include "override.h"

#include <c10/util/Exception.h>

#include <mutex>

namespace rusttorch::patch {

constinit thread_local Counts* current_counts = nullptr;

namespace {

// Never destroyed: operators may be called while the process exits.
std::vector<Override*>& overrides() {
  static auto* instance = new std::vector<Override*>;
  return *instance;
}

// The line of the dispatcher's own table that tells which kernel runs on the CPU: "CPU: registered at <file>:<line> ...".
std::string running_kernel(const std::string& name) {
  const size_t dot = name.find('.');
  const std::string qualified = "aten::" + name.substr(0, dot),
                    overload = dot < name.size() ? name.substr(dot + 1) : "";
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(qualified.c_str(), overload.c_str());
  const std::string table = "\n" + op.dumpComputedTable();
  const size_t begin = table.find("\nCPU: ");
  if (begin == std::string::npos) return "";
  return table.substr(begin + 1, table.find('\n', begin + 1) - begin - 1);
}

bool is_stock(const std::string& kernel) {
  return kernel.find("/RegisterCPU_") != std::string::npos ||
         kernel.find("/RegisterCompositeExplicitAutograd_") != std::string::npos;
}

// Replacing a kernel is what we want: the dispatcher's warning about it would only frighten.
struct Quiet : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

}  // namespace

bool list(std::initializer_list<Override*> more) {
  overrides().insert(overrides().end(), more);
  return true;
}

const std::vector<Override*>& all() { return overrides(); }

void install_all() {
  static std::once_flag once;
  std::call_once(once, [] {
    Quiet quiet;
    c10::WarningUtils::WarningHandlerGuard guard(&quiet);
    auto* library = new torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
    for (Override* entry : overrides()) entry->installed = is_stock(running_kernel(entry->name));
    for (Override* entry : overrides()) {
      if (entry->installed) entry->install(*library, entry->name);
    }
  });
}

bool is_shadowed(const Override& entry) {
  return entry.installed && running_kernel(entry.name).find(__FILE__) == std::string::npos;
}

}  // namespace rusttorch::patch
