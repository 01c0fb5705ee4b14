# Every outside package the project uses, in one place. All of them are Debian 12 packages;
# the Makefile's `setup` target installs them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(CLI11 REQUIRED)            # command line
find_package(nlohmann_json REQUIRED)    # JSON
find_package(fmt REQUIRED)              # formatting
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)    # the pre-tokenizer's expressions
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)  # NFC
find_package(OpenSSL REQUIRED COMPONENTS Crypto SSL)  # SHA-256 of released files, TLS
find_package(Boost 1.81 REQUIRED)       # Beast and Asio, headers only: HTTP
find_package(CURL REQUIRED)             # downloads of models
find_package(prometheus-cpp REQUIRED COMPONENTS core)  # text of /metrics
find_package(spdlog REQUIRED)           # the server's log
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)    # checksums of state files
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)        # line editing in `run`
if(FORETOKEN_TESTS)
  find_package(GTest REQUIRED)
endif()
if(FORETOKEN_BENCH)
  find_package(benchmark REQUIRED)
endif()
