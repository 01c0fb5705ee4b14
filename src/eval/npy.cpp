#include "eval/npy.h"

#include <fmt/format.h>

namespace foretoken::eval {

NpyWriter::NpyWriter(const std::string& path, std::size_t n_rows, std::size_t n_cols)
    : file_(path) {
  const std::string shape =
      n_rows == 0 ? fmt::format("({},)", n_cols) : fmt::format("({}, {})", n_rows, n_cols);
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}", shape);
  // Magic, version and length are 10 bytes; the whole header is a multiple of 64 and ends in \n.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header.push_back('\n');
  std::string start = "\x93NUMPY";
  start.append({'\x01', '\x00'});  // version 1.0
  start.push_back(static_cast<char>(header.size() & 0xFF));
  start.push_back(static_cast<char>(header.size() >> 8));
  file_.write(std::as_bytes(std::span(start)));
  file_.write(std::as_bytes(std::span(header)));
}

void NpyWriter::write(std::span<const float> values) { file_.write(std::as_bytes(values)); }

void NpyWriter::finish() { file_.commit(); }

}  // namespace foretoken::eval
