// Reads the float32 arrays of the reference numbers (NumPy's .npy, version 1).
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace foretoken::testing {

/// Values of a little-endian float32 array in C order; the shape is dropped.
inline std::vector<float> read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.size() < 10 || bytes.compare(1, 5, "NUMPY") != 0 ||
      bytes.find("'<f4'") == std::string::npos) {
    throw std::runtime_error(path + ": not a float32 .npy file");
  }
  std::uint16_t header = 0;
  std::memcpy(&header, bytes.data() + 8, sizeof(header));
  const std::size_t start = std::size_t{10} + header;
  std::vector<float> values((bytes.size() - start) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + start, values.size() * sizeof(float));
  return values;
}

}  // namespace foretoken::testing
