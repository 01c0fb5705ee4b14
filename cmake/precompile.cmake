# Headers that many files of a target include and that are slow to read (CLI11, JSON, GoogleTest), read
# once: 4.9 s instead of 6.6 for a typical file of the program. Off by default, because ccache must be
# told about it (scripts/configure.sh does). Every header still compiles alone (make headers).
function(foretoken_precompile target)
  if(FORETOKEN_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
  endif()
endfunction()

# Test programs share one set, compiled with the flags that they have; the few that are optimised go
# without.
function(foretoken_precompile_test target)
  get_target_property(options ${target} COMPILE_OPTIONS)
  if(NOT FORETOKEN_PRECOMPILE OR NOT -O0 IN_LIST options)
    return()
  endif()
  if(NOT TARGET foretoken_test_headers)
    file(WRITE ${PROJECT_BINARY_DIR}/generated/test_headers.cpp "")
    add_library(foretoken_test_headers OBJECT ${PROJECT_BINARY_DIR}/generated/test_headers.cpp)
    target_link_libraries(foretoken_test_headers PRIVATE foretoken_options fmt::fmt
      nlohmann_json::nlohmann_json GTest::gtest GTest::gmock)
    foretoken_test_options(foretoken_test_headers)
    foretoken_precompile(foretoken_test_headers <gmock/gmock.h> <gtest/gtest.h> <fmt/format.h>
      <nlohmann/json.hpp> <filesystem> <fstream> <map> <string> <vector>)
  endif()
  target_precompile_headers(${target} REUSE_FROM foretoken_test_headers)
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endfunction()
