// A tensor is cut into pieces of about a megabyte that the pool takes one by one: stretches copied
// inside the kernel where bytes stay as they are, otherwise slabs of rows that are read once,
// decoded once and encoded for every output. Between batches of pieces the caller gets to report
// progress, and the pages read so far are given back.
#include "convert/write_model.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>

#include "base/descriptor.h"
#include "base/error.h"
#include "quant/quantize.h"
#include "quant/validate.h"

namespace foretoken::convert {
namespace {

/// Numbers per slab: 1 MB as floats, which with its encoded forms stays in a core's cache.
constexpr std::size_t kSlabElements = std::size_t{256} * 1024;
/// Bytes read at a time where copies are looked at: they stay in a core's cache.
constexpr std::size_t kCheckedBytes = std::size_t{256} << 10;
/// Bytes per stretch copied by the kernel.
constexpr std::size_t kCopyBytes = std::size_t{4} << 20;
/// Pieces per thread between two reports: some tens of milliseconds of work.
constexpr int kPiecesPerThread = 16;
/// The largest number that rounds to a finite binary16 is just below this one.
constexpr float kF16Overflow = 65520.0F;

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

class SourceFile {
 public:
  explicit SourceFile(const std::string& path)
      : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_.get() >= 0) return;
    throw IoError(fmt::format("{}: cannot open: {}", path, std::generic_category().message(errno)));
  }

  int fd() const { return file_.get(); }
  const std::string& path() const { return path_; }

  void read_at(std::size_t offset, std::span<std::byte> out) const {
    while (!out.empty()) {
      const ::ssize_t n = ::pread(fd(), out.data(), out.size(), static_cast<::off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        throw IoError(
            fmt::format("{}: cannot read at offset {}: {}", path_, offset,
                        n == 0 ? "the file ends here" : std::generic_category().message(errno)));
      }
      offset += static_cast<std::size_t>(n);
      out = out.subspan(static_cast<std::size_t>(n));
    }
  }

 private:
  std::string path_;
  Descriptor file_;
};

/// Runs a body on the pool and throws, on the calling thread, what it threw first.
template <class Body>
void parallel_for_throwing(ThreadPool& pool, int n_items, const Body& body) {
  std::atomic<bool> failed{false};
  std::mutex mutex;
  std::exception_ptr error;
  pool.parallel_for(n_items, 1, [&](int begin, int end, int thread) {
    for (int item = begin; item < end && !failed.load(std::memory_order_relaxed); ++item) {
      try {
        body(item, thread);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  });
  if (error) std::rethrow_exception(error);
}

/// Work in progress on one tensor.
class TensorWriter {
 public:
  TensorWriter(const TensorSource& source, std::span<const TensorOutput> outputs, ThreadPool& pool)
      : source_(source),
        pool_(pool),
        slab_rows_(std::max<std::size_t>(1, kSlabElements / source.n_cols())) {
    for (const TensorOutput& output : outputs) {
      const bool same = output.type == source.type;
      if (same && source.range) {
        copied_.push_back(&output);
      } else if (same && source.copy_rows) {
        raw_.push_back(&output);
      } else {
        check_encodable(output.type);
        encoded_.push_back(&output);
      }
    }
    if (!copied_.empty()) file_.emplace(source.range->path);
  }

  void run(const WriteProgress& progress) {
    const std::size_t n_slabs =
        raw_.empty() && encoded_.empty() ? 0 : ceil_div(source_.n_rows(), slab_rows_);
    const std::size_t pieces_per_copy = ceil_div(source_.source_bytes(), kCopyBytes);
    const std::size_t n_items = n_slabs + copied_.size() * pieces_per_copy;
    std::vector<Buffers> buffers(static_cast<std::size_t>(pool_.size()));
    const auto batch = static_cast<std::size_t>(pool_.size() * kPiecesPerThread);
    for (std::size_t first = 0; first < n_items; first += batch) {
      const std::size_t n = std::min(batch, n_items - first);
      parallel_for_throwing(pool_, static_cast<int>(n), [&](int i, int thread) {
        const std::size_t item = first + static_cast<std::size_t>(i);
        if (item < n_slabs) {
          write_slab(item, buffers[static_cast<std::size_t>(thread)]);
        } else {
          copy_piece((item - n_slabs) / pieces_per_copy, (item - n_slabs) % pieces_per_copy,
                     buffers[static_cast<std::size_t>(thread)]);
        }
      });
      if (n_slabs > 0 && source_.done) source_.done();
      if (progress && !progress(written_.load(), total_bytes())) {
        throw Cancelled("interrupted; nothing was written");
      }
    }
  }

  std::size_t total_bytes() const {
    std::size_t total = 0;
    for (const auto* list : {&copied_, &raw_, &encoded_}) {
      for (const TensorOutput* output : *list) total += source_.n_rows() * row_bytes(output->type);
    }
    return total;
  }

 private:
  struct Buffers {
    std::vector<float> numbers;
    std::vector<std::byte> bytes;
  };

  std::size_t row_bytes(quant::Type type) const { return quant::row_bytes(type, source_.n_cols()); }

  void check_encodable(quant::Type type) const {
    if (quant::can_quantize(type)) return;
    throw UnsupportedError(
        fmt::format("tensor {} cannot be written as {}; there is no encoder for "
                    "this type",
                    source_.name, quant::type_info(type).name));
  }

  void put(const TensorOutput& output, std::size_t first_row, std::span<const std::byte> bytes) {
    output.file->write_at(output.offset + first_row * row_bytes(output.type), bytes);
    written_.fetch_add(bytes.size(), std::memory_order_relaxed);
  }

  void copy_piece(std::size_t output_index, std::size_t piece, Buffers& buffers) {
    const TensorOutput& output = *copied_[output_index];
    const std::size_t begin = piece * kCopyBytes;
    const std::size_t size = std::min(kCopyBytes, source_.source_bytes() - begin);
    if (source_.check_copies) {
      copy_checked(output, begin, size, buffers);
      return;
    }
    output.file->copy_at(output.offset + begin, file_->fd(), source_.range->offset + begin, size,
                         file_->path());
    written_.fetch_add(size, std::memory_order_relaxed);
  }

  // By way of a buffer: a mapping costs a page fault for every 4 kB, twice as much as the rest.
  void copy_checked(const TensorOutput& output, std::size_t begin, std::size_t size,
                    Buffers& buffers) {
    for (const std::size_t end = begin + size; begin < end; begin += kCheckedBytes) {
      buffers.bytes.resize(std::min(kCheckedBytes, end - begin));
      file_->read_at(source_.range->offset + begin, buffers.bytes);
      check_bytes(begin / quant::row_bytes(source_.type, 1), buffers.bytes);
      output.file->write_at(output.offset + begin, buffers.bytes);
      written_.fetch_add(buffers.bytes.size(), std::memory_order_relaxed);
    }
  }

  void write_slab(std::size_t slab, Buffers& buffers) {
    const std::size_t first = slab * slab_rows_;
    const std::size_t n = std::min(slab_rows_, source_.n_rows() - first);
    if (!raw_.empty()) {
      buffers.bytes.resize(n * row_bytes(source_.type));
      source_.copy_rows(first, n, buffers.bytes.data());
      if (source_.check_copies) check_bytes(first * source_.n_cols(), buffers.bytes);
      for (const TensorOutput* output : raw_) put(*output, first, buffers.bytes);
    }
    if (encoded_.empty()) return;
    const std::size_t n_cols = source_.n_cols();
    buffers.numbers.resize(n * n_cols);
    source_.read_rows(first, n, buffers.numbers.data());
    check_numbers(first, buffers.numbers);
    for (const TensorOutput* output : encoded_) {
      buffers.bytes.resize(n * row_bytes(output->type));
      const float* importance = output->importance.empty() ? nullptr : output->importance.data();
      quant::quantize_rows(output->type, buffers.numbers.data(), n, n_cols, importance,
                           buffers.bytes.data());
      check_scales(*output, first, buffers.bytes);
      put(*output, first, buffers.bytes);
    }
  }

  std::string place(std::size_t element) const {
    const std::string from = source_.origin.empty() ? "" : source_.origin + ": ";
    return fmt::format("{}tensor {}, row {}, column {}", from, source_.name,
                       element / source_.n_cols(), element % source_.n_cols());
  }

  [[noreturn]] void throw_not_finite(std::size_t element, float number) const {
    throw FormatError(
        fmt::format("{}: the number is {}; the checkpoint is damaged or its training diverged",
                    place(element), std::isnan(number) ? "NaN" : "infinite"));
  }

  // Numbers of a float type that are copied, from element `first` of the tensor on.
  void check_bytes(std::size_t first, std::span<const std::byte> bytes) const {
    const auto bad = quant::find_invalid_block(source_.type, bytes);
    if (!bad) return;
    float number = 0.0F;
    const std::size_t size = quant::row_bytes(source_.type, 1);
    quant::dequantize_row(source_.type, bytes.data() + *bad * size, &number, 1);
    throw_not_finite(first + *bad, number);
  }

  // Finite numbers only, and for binary16 only those that fit.
  void check_numbers(std::size_t first_row, std::span<const float> numbers) const {
    const bool to_f16 = std::ranges::any_of(
        encoded_, [](const TensorOutput* output) { return output->type == quant::Type::F16; });
    const float limit = to_f16 ? kF16Overflow : HUGE_VALF;
    // NaN fails every comparison, so one test per number finds all three kinds; the sum of the
    // results is what a compiler turns into vector instructions.
    std::size_t n_bad = 0;
    for (const float x : numbers) n_bad += std::fabs(x) < limit ? 0 : 1;
    if (n_bad == 0) return;
    const auto bad =
        std::ranges::find_if(numbers, [limit](float x) { return !(std::fabs(x) < limit); });
    const auto element =
        first_row * source_.n_cols() + static_cast<std::size_t>(bad - numbers.begin());
    if (!std::isfinite(*bad)) throw_not_finite(element, *bad);
    throw FormatError(
        fmt::format("{}: {} is too large for F16, which ends at 65504; write BF16 or F32",
                    place(element), *bad));
  }

  // A block's scale is a small float of its own and can overflow where the numbers do not.
  void check_scales(const TensorOutput& output, std::size_t first_row,
                    std::span<const std::byte> bytes) const {
    if (quant::type_info(output.type).block_elements == 1) return;
    const auto found = quant::find_invalid_block(output.type, bytes);
    if (!found) return;
    throw FormatError(fmt::format(
        "tensor {}, rows {} and following: numbers too large for the scales of {}; write BF16 or "
        "F32",
        source_.name, first_row, quant::type_info(output.type).name));
  }

  const TensorSource& source_;
  ThreadPool& pool_;
  std::size_t slab_rows_;
  std::vector<const TensorOutput*> copied_;   // stretches of a file, by the kernel
  std::vector<const TensorOutput*> raw_;      // rows of bytes in another order
  std::vector<const TensorOutput*> encoded_;  // numbers in another type
  std::optional<SourceFile> file_;
  std::atomic<std::size_t> written_{0};
};

gguf::Writer declared(const FileTarget& target) {
  gguf::Writer writer = target.keys;
  for (const TensorTarget& tensor : target.tensors) {
    writer.declare_tensor(tensor.source->name, tensor.type, tensor.source->shape);
  }
  return writer;
}

}  // namespace

void write_tensor(const TensorSource& source, std::span<const TensorOutput> outputs,
                  ThreadPool& pool, const WriteProgress& progress) {
  TensorWriter(source, outputs, pool).run(progress);
  if (source.done) source.done();
}

void write_file(const FileTarget& target, ThreadPool& pool, const WriteProgress& progress) {
  const gguf::Writer::Layout layout = declared(target).layout();
  OutputFile file(target.path);
  file.reserve(layout.file_bytes);
  file.write_at(0, layout.header);
  const auto report = [&](std::size_t done) {
    if (progress && !progress(done, layout.file_bytes)) {
      throw Cancelled(fmt::format("{}: interrupted; nothing was written", target.path));
    }
  };
  for (std::size_t i = 0; i < target.tensors.size(); ++i) {
    const TensorTarget& tensor = target.tensors[i];
    const TensorOutput output{tensor.type, tensor.importance, &file, layout.offsets[i]};
    write_tensor(*tensor.source, std::span(&output, 1), pool, [&](std::size_t done, std::size_t) {
      report(layout.offsets[i] + done);
      return true;
    });
  }
  report(layout.file_bytes);
  file.commit();
}

std::size_t file_size(const FileTarget& target) { return declared(target).layout().file_bytes; }

}  // namespace foretoken::convert
