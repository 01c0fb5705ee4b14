# Everyday commands. `make` alone explains them; each is safe to repeat.
# FUZZ_SECONDS=60 sets how long each fuzz target runs; BENCH_ARGS goes to the benchmark programs.
# full-size wants a SHAPE (0.8b, 2b, 4b, 9b, 27b) and a DIR with room for three times the checkpoint.
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SHAPE ?= 0.8b
DIR ?= /tmp/full-size
CTEST := ctest --output-on-failure --timeout 600 -j $(JOBS)
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help setup build test demo asan tsan fuzz bench bench-server full-size web web-test format format-check tidy headers clean

help: ## this list
	@echo "Foretoken: an engine for the Qwen3.5 family. Start with: make demo"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## install missing Debian packages (sudo only if needed)
	@scripts/setup.sh

build: setup ## the optimised program, at build/release/foretoken
	@scripts/configure.sh release
	@cmake --build build/release -j $(JOBS) --target foretoken
	@echo "build: build/release/foretoken"

test: setup ## every test, on the release build
	@scripts/configure.sh release
	@cmake --build build/release -j $(JOBS)
	@cd build/release && $(CTEST)

demo: build ## a short conversation with the tiny model, with its MTP statistics
	@scripts/demo.sh

asan: setup ## every test under the address and undefined-behaviour sanitizers
	@scripts/configure.sh asan
	@cmake --build build/asan -j $(JOBS)
	@cd build/asan && $(CTEST)

tsan: setup ## every test under the thread sanitizer
	@scripts/configure.sh tsan
	@cmake --build build/tsan -j $(JOBS)
	@cd build/tsan && $(CTEST)

fuzz: setup ## each parser's fuzz target for FUZZ_SECONDS
	@scripts/configure.sh fuzz
	@cmake --build build/fuzz -j $(JOBS) --target fuzzers
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

bench: setup ## the micro-benchmarks
	@scripts/configure.sh bench
	@cmake --build build/bench -j $(JOBS)
	@for program in build/bench/bench/*_bench; do $$program $(BENCH_ARGS) || exit 1; done

bench-server: build ## load, disconnects and overhead of the running server, DURATION seconds each
	@scripts/configure.sh bench
	@cmake --build build/bench -j $(JOBS) --target engine_alone
	@scripts/bench-server.sh

full-size: setup ## the toolchain on random weights of a published size: SHAPE=0.8b DIR=/tmp/full-size
	@scripts/configure.sh release
	@cmake --build build/release -j $(JOBS) --target foretoken make_checkpoint
	@scripts/full-size.sh $(SHAPE) $(DIR)

web: setup ## the chat page, web/dist, from web/src; commit what it makes
	@scripts/web.sh build

web-test: build ## the chat page in a real browser, against a mock and against the server
	@scripts/web-tests.sh

format: ## clang-format every C++ file
	@scripts/format.sh

format-check: ## fail when a file is not formatted
	@scripts/format.sh --check

tidy: build ## clang-tidy over src and tools
	@scripts/tidy.sh

headers: setup ## compile each header of src alone
	@scripts/configure.sh release
	@cmake --build build/release -j $(JOBS) --target all_verify_interface_header_sets
	@echo "headers: each compiles alone"

clean: ## remove everything that was built
	@rm -rf build
	@echo "clean: build/ removed"
