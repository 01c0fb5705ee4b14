// Any bytes as an importance matrix, in both forms: reading gives entries that a quantizer can use
// or one of the project's errors, and what was read can be merged.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "base/error.h"
#include "gguf/imatrix_file.h"

namespace {

using namespace foretoken;

void require(bool good) {
  if (!good) std::abort();
}

void check_entries(const gguf::ImatrixFile& file) {
  require(!file.entries.empty());
  for (const auto& [name, entry] : file.entries) {
    require(!entry.sums.empty());
    for (const float sum : entry.sums) require(std::isfinite(sum) && sum >= 0.0F);
    require(gguf::weights_of(entry).size() == entry.sums.size());
  }
}

void merge_twice(const gguf::ImatrixFile& file) {
  gguf::ImatrixFile sum;
  sum.chunk_size = 512;
  try {
    gguf::merge_imatrix(sum, file);
    check_entries(sum);
    gguf::merge_imatrix(sum, file);
    require(sum.entries.size() == file.entries.size());
  } catch (const RequestError&) {
    // Sums that overflow.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const gguf::ImatrixFile file = gguf::read_imatrix(std::as_bytes(std::span(data, size)), "fuzz");
    check_entries(file);
    merge_twice(file);
  } catch (const FormatError&) {
    // The expected answer to damaged bytes.
  } catch (const UnsupportedError&) {
    // Entries for experts.
  }
  return 0;
}
