// Every standard header that code inside a target region uses. They come before the region opens: an inline function
// of theirs compiled inside it would carry the ISA's instructions into the shared copy that the linker keeps.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "types.h"
