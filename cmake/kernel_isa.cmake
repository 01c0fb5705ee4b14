# Files of kernels/cpu and quant/encode that are compiled for one instruction set each. Only these
# files may see those instructions; a table is picked at run time.
set(cpu ${PROJECT_SOURCE_DIR}/src/kernels/cpu)
set(encode ${PROJECT_SOURCE_DIR}/src/quant/encode)
set(FORETOKEN_AVX2_FLAGS -mavx2 -mfma -mf16c -mbmi2)
set(FORETOKEN_AVX512_FLAGS ${FORETOKEN_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq
    -mprefer-vector-width=512)
set(FORETOKEN_AVX512_VNNI_FLAGS ${FORETOKEN_AVX512_FLAGS} -mavx512vnni -mavx512bf16)
# GCC 12's own intrinsics headers initialise "undefined" registers with themselves and then warn
# about it wherever they are inlined (GCC bug 105593).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND FORETOKEN_AVX512_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
  list(APPEND FORETOKEN_AVX512_VNNI_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
foreach(isa AVX2 AVX512 AVX512_VNNI)
  string(TOLOWER ${isa} file)
  if(EXISTS ${cpu}/isa_${file}.cpp)
    set_source_files_properties(${cpu}/isa_${file}.cpp TARGET_DIRECTORY foretoken_kernels
      PROPERTIES COMPILE_OPTIONS "${FORETOKEN_${isa}_FLAGS}")
  endif()
  if(EXISTS ${encode}/isa_${file}.cpp)
    set_source_files_properties(${encode}/isa_${file}.cpp TARGET_DIRECTORY foretoken_quant
      PROPERTIES COMPILE_OPTIONS "${FORETOKEN_${isa}_FLAGS}")
  endif()
endforeach()

# Sanitized builds. Unrolled kernels with a check written out at every load take GCC minutes a file,
# so checks of addresses are calls here. The templates are the same for all instruction sets: the
# scalar file gets every check, in its own tests. The vector files get none, so that tests of whole
# models, which take the best level, are not slow; with FORETOKEN_SANITIZE_VECTORS the AVX2 file has
# its addresses checked (100 s more to compile), for after a change to its loads and stores.
option(FORETOKEN_SANITIZE_VECTORS "Check the addresses of the AVX2 kernels in sanitized builds" OFF)
if(FORETOKEN_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(by_calls -g0 --param=asan-instrumentation-with-call-threshold=0)
  set_property(SOURCE ${cpu}/isa_scalar.cpp TARGET_DIRECTORY foretoken_kernels APPEND PROPERTY
    COMPILE_OPTIONS ${by_calls})
  set(unchecked avx2 avx512 avx512_vnni)
  if(FORETOKEN_SANITIZE_VECTORS)
    list(REMOVE_ITEM unchecked avx2)
    set_property(SOURCE ${cpu}/isa_avx2.cpp TARGET_DIRECTORY foretoken_kernels APPEND PROPERTY
      COMPILE_OPTIONS -fno-sanitize=undefined ${by_calls})
  endif()
  foreach(isa IN LISTS unchecked)
    set_property(SOURCE ${cpu}/isa_${isa}.cpp TARGET_DIRECTORY foretoken_kernels APPEND PROPERTY
      COMPILE_OPTIONS -fno-sanitize=all -g0)
  endforeach()
endif()
