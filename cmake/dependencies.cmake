# Every outside package the project uses, in one place. All of them are Debian 12 packages;
# the Makefile's `setup` target installs them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(CLI11 REQUIRED)            # command line
find_package(nlohmann_json REQUIRED)    # JSON
find_package(fmt REQUIRED)              # formatting
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)    # the pre-tokenizer's expressions
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)  # NFC
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256 of released files
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)        # line editing in `run`
if(FORETOKEN_TESTS)
  find_package(GTest REQUIRED)
endif()
if(FORETOKEN_BENCH)
  find_package(benchmark REQUIRED)
endif()
