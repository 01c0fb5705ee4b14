// Any bytes as a file of logits: opening and reading every row must give values or a FormatError.
// The bytes themselves, as floats, are then logits that are rounded and read back.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "eval/logits_file.h"

namespace {

using namespace foretoken;

void require(bool good) {
  if (!good) std::abort();
}

void check_decoded(const eval::RoundedRow& row) {
  std::vector<double> log_p;
  row.decode(log_p);
  require(log_p.size() == row.codes.size());
  double sum = 0.0;
  for (const double value : log_p) {
    require(std::isfinite(value) && value <= 0.0);
    sum += std::exp(value);
  }
  require(std::abs(sum - 1.0) < 1e-9);
}

void read(std::span<const std::byte> bytes) {
  try {
    const eval::LogitsFile file = eval::LogitsFile::from_memory(bytes, "fuzz");
    require(file.tokens().size() == file.header().n_tokens());
    eval::RoundedRow row;
    for (std::size_t i = 0; i < file.header().n_rows(); ++i) {
      file.read_row(i, row);
      require(row.codes.size() == file.header().n_vocab);
      check_decoded(row);
    }
  } catch (const FormatError&) {
    // The expected answer to damaged bytes.
  }
}

void round(std::span<const std::byte> bytes) {
  std::vector<float> logits(bytes.size() / sizeof(float));
  if (logits.empty()) return;
  std::memcpy(logits.data(), bytes.data(), logits.size() * sizeof(float));
  try {
    eval::RoundedRow row;
    row.assign(logits);
    require(std::isfinite(row.top) && row.top <= 0.0F && std::isfinite(row.step));
    check_decoded(row);
  } catch (const FormatError&) {
    for (const float value : logits) require(!std::isfinite(value));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  read(bytes);
  round(bytes);
  return 0;
}
