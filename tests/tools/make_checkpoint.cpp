// make_checkpoint: writes a Hugging Face style checkpoint folder of any Qwen3.5 size with random
// weights, for trying the toolchain at full size. Built with the tests, not installed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>

#include "base/error.h"
#include "write_checkpoint.h"

int main(int argc, char** argv) {
  using namespace foretoken;
  testing::CheckpointOptions options;
  bool no_mtp = false;
  bool no_vision = false;
  CLI::App app{"Writes a checkpoint folder with random weights in the shape of a Qwen3.5 model."};
  app.add_option("shape", options.shape, "tiny, 0.8b, 2b, 4b, 9b or 27b")->required();
  app.add_option("folder", options.folder, "made when missing")->required();
  app.add_option("--seed", options.seed, "other weights")->capture_default_str();
  app.add_flag("--no-mtp", no_mtp,
               "a fine-tune that lost its head; config.json still announces it");
  app.add_flag("--no-vision", no_vision, "no vision tower");
  app.add_flag("--hollow", options.hollow,
               "all matrices but the head's are holes, which cost no room");
  app.add_option("--shard-bytes", options.max_shard_bytes, "most bytes of a file")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("-t,--threads", options.n_threads, "threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.parts = {.mtp = !no_mtp, .vision = !no_vision};
  try {
    const auto start = std::chrono::steady_clock::now();
    const testing::CheckpointReport report = testing::write_checkpoint(options);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const auto bytes = static_cast<double>(report.weight_bytes);
    fmt::print("{}: {} tensors, {} bytes in {} files, {:.1f} s, {:.2f} GB/s\n", options.folder,
               report.n_tensors, report.weight_bytes, report.n_files, seconds.count(),
               bytes / seconds.count() / 1e9);
  } catch (const std::exception& error) {
    fmt::print(stderr, "make_checkpoint: {}\n", error.what());
    return 1;
  }
  return 0;
}
