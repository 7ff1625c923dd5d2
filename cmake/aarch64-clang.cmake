# The same with clang, whose target has the headers and libraries of g++-aarch64-linux-gnu.
include("${CMAKE_CURRENT_LIST_DIR}/aarch64.cmake")
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_TARGET aarch64-linux-gnu)
endforeach()
set(CMAKE_C_COMPILER clang)
set(CMAKE_CXX_COMPILER clang++)
