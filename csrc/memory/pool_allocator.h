// c10 allocators over the one pool of the process. The only code of this folder that knows torch.
#pragma once
#include <c10/core/Allocator.h>

#include <string>

#include "pool.h"

namespace rusttorch::memory {

// Results of our operators: from the pool from kSmallest bytes on, below from the process's allocator.
c10::Allocator& result_allocator();

// Makes the pool the allocator of every CPU tensor of the process (c10::SetCPUAllocator). Registered once, at the first
// call, which should come before other threads start; from then on a flag decides. Storage that lives keeps working
// whatever is called. Returns what stood in the way, or "".
std::string install();
void uninstall();
bool is_installed();
// Whether the process's allocator is another one than torch's default or ours.
bool is_foreign_allocator();

Pool& process_pool();
// False in an AddressSanitizer build, where a pool would hide overruns: then everything goes to the system.
bool is_pooling();

}  // namespace rusttorch::memory
