#include "eval/npy.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace foretoken::eval {

NpyWriter::NpyWriter(const std::string& path, std::size_t n_rows, std::size_t n_cols)
    : path_(path), temporary_(fmt::format("{}.tmp{}", path, getpid())) {
  file_.reset(std::fopen(temporary_.c_str(), "wb"));
  if (!file_) fail("create");
  const std::string shape =
      n_rows == 0 ? fmt::format("({},)", n_cols) : fmt::format("({}, {})", n_rows, n_cols);
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}", shape);
  // Magic, version and length are 10 bytes; the whole header is a multiple of 64 and ends in \n.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header.push_back('\n');
  const auto size = static_cast<unsigned>(header.size());
  const unsigned char start[10] = {0x93,
                                   'N',
                                   'U',
                                   'M',
                                   'P',
                                   'Y',
                                   1,
                                   0,
                                   static_cast<unsigned char>(size & 0xFF),
                                   static_cast<unsigned char>(size >> 8)};
  if (std::fwrite(start, 1, sizeof(start), file_.get()) != sizeof(start) ||
      std::fwrite(header.data(), 1, header.size(), file_.get()) != header.size()) {
    fail("write");
  }
}

NpyWriter::~NpyWriter() {
  if (file_) std::remove(temporary_.c_str());
}

void NpyWriter::write(std::span<const float> values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_.get()) != values.size()) {
    fail("write");
  }
}

void NpyWriter::finish() {
  if (std::fflush(file_.get()) != 0) fail("write");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename");
  file_.reset();
}

void NpyWriter::fail(const char* action) const {
  throw IoError(fmt::format("{}: cannot {} the file: {}", path_, action, std::strerror(errno)));
}

}  // namespace foretoken::eval
