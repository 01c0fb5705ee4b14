# Files of kernels/cpu that are compiled for one instruction set each. Only these files may see
# those instructions; dispatch.cpp picks a table at run time.
set(cpu ${PROJECT_SOURCE_DIR}/src/kernels/cpu)
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
endforeach()

# Sanitized builds. Unrolled kernels with a check inlined at every load take GCC four minutes a file.
# The templates are the same for all instruction sets, so isa_scalar.cpp gets every check, the AVX-512
# VNNI file those for addresses, made by calls, and the other two files none.
if(FORETOKEN_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  foreach(isa avx2 avx512)
    set_property(SOURCE ${cpu}/isa_${isa}.cpp TARGET_DIRECTORY foretoken_kernels APPEND PROPERTY
      COMPILE_OPTIONS -fno-sanitize=all -g0)
  endforeach()
  set_property(SOURCE ${cpu}/isa_avx512_vnni.cpp TARGET_DIRECTORY foretoken_kernels APPEND PROPERTY
    COMPILE_OPTIONS -fno-sanitize=undefined -g0 --param=asan-instrumentation-with-call-threshold=0)
endif()
