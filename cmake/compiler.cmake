# Warnings, floating point rules and sanitizers, for every target of the project.
add_library(foretoken_options INTERFACE)
# Floating point: no fast-math, and the compiler may not fuse a*b+c by itself. Where a fused
# multiply-add is wanted it is written, so that results do not depend on the optimiser's mood.
target_compile_options(foretoken_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -ffp-contract=off)
# GCC 12 sees an impossible overlap in `"literal" + std::string` (GCC bug 105651, mended in 13).
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(foretoken_options INTERFACE -Wno-restrict)
endif()
# GCC 12 takes `"text" + std::string(...)` for an overlapping copy (its bug 105651, fixed in 13).
target_compile_options(foretoken_options INTERFACE
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(FORETOKEN_SANITIZE)
  target_compile_options(foretoken_options INTERFACE
    -fsanitize=${FORETOKEN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(foretoken_options INTERFACE -fsanitize=${FORETOKEN_SANITIZE})
  # Clang before 17 cannot assemble a coroutine that is checked for calls through wrong pointers ("a
  # difference across sections").
  if(FORETOKEN_SANITIZE MATCHES "undefined" AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_compile_options(foretoken_options INTERFACE -fno-sanitize=function)
  endif()
  # Asio's fences, which the thread sanitizer does not see; what they order is ordered by locks too.
  if(FORETOKEN_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(foretoken_options INTERFACE -Wno-tsan)
  endif()
endif()
if(FORETOKEN_FUZZ)
  target_compile_options(foretoken_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
