# What is compiled without optimisation when sanitized: it runs little, and GCC takes twice as long to
# optimise code full of checks.
set(FORETOKEN_COLD_LIBRARIES gguf chat grammar http api eval safetensors convert release hub)
function(foretoken_cold target)
  if(FORETOKEN_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# How test programs are compiled: fast. Their own speed matters little, except where they compute
# what they compare with, and their own undefined behaviour less than the libraries'.
set(FORETOKEN_COMPUTING_TESTS base quant kernels sampling engine)
function(foretoken_test_options target)
  list(TRANSFORM FORETOKEN_COMPUTING_TESTS APPEND _test OUTPUT_VARIABLE computing)
  if(target IN_LIST computing AND NOT FORETOKEN_SANITIZE)
    target_compile_options(${target} PRIVATE -O1)
  else()
    target_compile_options(${target} PRIVATE -O0)
  endif()
  if(FORETOKEN_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fno-sanitize=undefined)
  endif()
endfunction()

# foretoken_library(NAME [USES library...] [LINK target...])
#
# One folder src/NAME = one static library foretoken_NAME = one namespace. Every *.cpp below the
# folder belongs to it, except *_test.cpp, which foretoken_tests() gathers into NAME_test.
# Its headers are a file set, so that the target all_verify_interface_header_sets compiles each one
# alone; those of kernels/cpu and quant/encode are not, being meant for files with instruction-set
# flags.
function(foretoken_library name)
  cmake_parse_arguments(arg "" "" "USES;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  if(sources)
    add_library(foretoken_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(foretoken_${name} PRIVATE foretoken_options)
    if(name IN_LIST FORETOKEN_COLD_LIBRARIES)
      foretoken_cold(foretoken_${name})
    endif()
  else()
    add_library(foretoken_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(foretoken_${name} ${scope} ${PROJECT_SOURCE_DIR}/src)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.h)
  list(FILTER headers EXCLUDE REGEX "/src/(kernels/cpu|quant/encode)/")
  if(headers)
    target_sources(foretoken_${name} ${scope} FILE_SET HEADERS
      BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${headers})
    set_target_properties(foretoken_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  endif()
  foreach(used IN LISTS arg_USES)
    target_link_libraries(foretoken_${name} ${scope} foretoken_${used})
  endforeach()
  target_link_libraries(foretoken_${name} ${scope} fmt::fmt ${arg_LINK})
  set_property(GLOBAL APPEND PROPERTY FORETOKEN_LIBRARIES ${name})
endfunction()

# One test program per library, from the *_test.cpp beside its sources.
function(foretoken_tests)
  include(GoogleTest)
  get_property(libraries GLOBAL PROPERTY FORETOKEN_LIBRARIES)
  foreach(name IN LISTS libraries)
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*_test.cpp)
    if(tests)
      add_executable(${name}_test ${tests})
      target_link_libraries(${name}_test PRIVATE foretoken_${name} foretoken_options
        GTest::gtest GTest::gmock GTest::gtest_main)
      foretoken_test_options(${name}_test)
      foretoken_precompile_test(${name}_test)
      target_compile_definitions(${name}_test PRIVATE
        FORETOKEN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
      add_test(NAME ${name} COMMAND ${name}_test)
    endif()
  endforeach()
endfunction()
