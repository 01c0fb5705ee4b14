#include "write_checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "random_weights.h"
#include "safetensors/writer.h"
#include "synthetic_tokenizer.h"

namespace foretoken::testing {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kPieceWeights = 2 * kWeightsPerStream;

[[noreturn]] void throw_errno(const std::string& path, const char* action) {
  throw IoError(fmt::format("{}: cannot {}: {}", path, action, std::strerror(errno)));
}

// An open file of known size whose bytes come in any order.
class ShardFile {
 public:
  ShardFile(const std::string& path, std::size_t size)
      : path_(path), fd_(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644)) {
    if (fd_ < 0) throw_errno(path_, "create");
    if (::ftruncate(fd_, static_cast<::off_t>(size)) != 0) throw_errno(path_, "set the size");
  }
  ShardFile(const ShardFile&) = delete;
  ShardFile& operator=(const ShardFile&) = delete;
  ~ShardFile() { ::close(fd_); }

  void write_at(std::size_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ::ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<::off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw_errno(path_, "write");
      offset += static_cast<std::size_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

 private:
  std::string path_;
  int fd_;
};

struct Shard {
  std::string name;
  std::vector<CheckpointTensor> tensors;
};

std::size_t tensor_bytes(const CheckpointTensor& tensor) {
  std::size_t n = safetensors::dtype_bytes(tensor.type);
  for (const std::size_t d : tensor.shape) n *= d;
  return n;
}

// Fills files in order, a new one where the next tensor would not fit.
std::vector<Shard> cut_into_shards(std::vector<CheckpointTensor> tensors, std::size_t max_bytes) {
  std::vector<Shard> shards(1);
  std::size_t filled = 0;
  for (CheckpointTensor& tensor : tensors) {
    const std::size_t bytes = tensor_bytes(tensor);
    if (filled > 0 && filled + bytes > max_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().tensors.push_back(std::move(tensor));
  }
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].name = shards.size() == 1
                         ? "model.safetensors"
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  }
  return shards;
}

// A stretch of one tensor for one thread.
struct Piece {
  const CheckpointTensor* tensor;
  std::size_t first;   // element
  std::size_t offset;  // in the file
  std::size_t bytes;
};

bool is_hole(const CheckpointTensor& tensor, const CheckpointOptions& options) {
  return options.hollow && tensor.shape.size() > 1 && !tensor.name.starts_with("mtp.");
}

std::vector<Piece> cut_into_pieces(const Shard& shard, const safetensors::Writer::Layout& layout,
                                   const CheckpointOptions& options) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < shard.tensors.size(); ++i) {
    if (is_hole(shard.tensors[i], options)) continue;
    const std::size_t element = safetensors::dtype_bytes(shard.tensors[i].type);
    const std::size_t step = kPieceWeights * element;
    for (std::size_t at = 0; at < layout.sizes[i]; at += step) {
      pieces.push_back({&shard.tensors[i], at / element, layout.offsets[i] + at,
                        std::min(step, layout.sizes[i] - at)});
    }
  }
  return pieces;
}

void write_shard(const Shard& shard, const CheckpointOptions& options) {
  safetensors::Writer writer;
  writer.set_metadata("format", "pt");
  for (const CheckpointTensor& tensor : shard.tensors) {
    writer.declare_tensor(tensor.name, tensor.type, tensor.shape);
  }
  const safetensors::Writer::Layout layout = writer.layout();
  const ShardFile file(options.folder + "/" + shard.name, layout.file_bytes);
  file.write_at(0, layout.header);

  const std::vector<Piece> pieces = cut_into_pieces(shard, layout, options);
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    std::vector<std::byte> buffer(kPieceWeights * sizeof(float));
    try {
      for (std::size_t i = next++; i < pieces.size(); i = next++) {
        const auto bytes = std::span(buffer).first(pieces[i].bytes);
        fill_weights(*pieces[i].tensor, options.seed, pieces[i].first, bytes);
        file.write_at(pieces[i].offset, bytes);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
      next = pieces.size();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t < options.n_threads; ++t) threads.emplace_back(work);
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

void write_json(const std::string& path, const ordered_json& value) {
  std::ofstream file(path, std::ios::binary);
  file << value.dump(2) << '\n';
  file.close();
  if (!file) throw_errno(path, "write");
}

void write_index(const std::vector<Shard>& shards, std::size_t weight_bytes,
                 const std::string& folder) {
  ordered_json map = ordered_json::object();
  for (const Shard& shard : shards) {
    for (const CheckpointTensor& tensor : shard.tensors) map[tensor.name] = shard.name;
  }
  write_json(folder + "/model.safetensors.index.json",
             {{"metadata", {{"total_size", weight_bytes}}}, {"weight_map", map}});
}

}  // namespace

CheckpointReport write_checkpoint(const CheckpointOptions& options) {
  const CheckpointShape& shape = checkpoint_shape(options.shape);
  std::filesystem::create_directories(options.folder);
  const std::vector<Shard> shards =
      cut_into_shards(checkpoint_tensors(shape, options.parts), options.max_shard_bytes);
  CheckpointReport report{.n_files = shards.size()};
  for (const Shard& shard : shards) {
    report.n_tensors += shard.tensors.size();
    for (const CheckpointTensor& tensor : shard.tensors) {
      report.weight_bytes += tensor_bytes(tensor);
    }
    write_shard(shard, options);
  }
  if (shards.size() > 1) write_index(shards, report.weight_bytes, options.folder);
  write_json(options.folder + "/config.json", checkpoint_config(shape, options.parts));
  if (options.parts.vision) {
    write_json(options.folder + "/preprocessor_config.json", image_config());
  }
  write_synthetic_tokenizer(shape, options.folder);
  std::filesystem::copy_file(FORETOKEN_SOURCE_DIR "/models/tiny/chat_template.jinja",
                             options.folder + "/chat_template.jinja",
                             std::filesystem::copy_options::overwrite_existing);
  return report;
}

}  // namespace foretoken::testing
