// Each file's room is reserved before the first byte of data, so that a full disk is noticed early.
#include "convert/write_files.h"

#include <memory>
#include <vector>

#include "base/error.h"

namespace foretoken::convert {
namespace {

struct Unfinished {
  const FileTarget* target = nullptr;
  gguf::Writer::Layout layout;
  std::unique_ptr<OutputFile> file;
};

Unfinished start(const FileTarget& target) {
  gguf::Writer writer = target.keys;
  for (const TensorTarget& tensor : target.tensors) {
    writer.declare_tensor(tensor.source->name, tensor.type, tensor.source->shape);
  }
  Unfinished out{&target, writer.layout(), std::make_unique<OutputFile>(target.path)};
  out.file->reserve(out.layout.file_bytes);
  out.file->write_at(0, out.layout.header);
  return out;
}

}  // namespace

void write_files(std::span<const FileTarget> targets, ThreadPool& pool,
                 const WriteProgress& progress) {
  std::vector<Unfinished> files;
  std::size_t total = 0;
  for (const FileTarget& target : targets) {
    files.push_back(start(target));
    total += files.back().layout.file_bytes;
  }
  std::size_t before = 0;  // bytes of the files already filled
  for (const Unfinished& unfinished : files) {
    for (std::size_t i = 0; i < unfinished.target->tensors.size(); ++i) {
      const TensorTarget& tensor = unfinished.target->tensors[i];
      const std::size_t offset = unfinished.layout.offsets[i];
      const TensorOutput output{tensor.type, tensor.importance, unfinished.file.get(), offset};
      write_tensor(*tensor.source, std::span(&output, 1), pool, [&](std::size_t done, std::size_t) {
        return !progress || progress(before + offset + done, total);
      });
    }
    before += unfinished.layout.file_bytes;
  }
  if (progress && !progress(total, total)) throw Cancelled("interrupted; nothing was written");
  for (const Unfinished& unfinished : files) unfinished.file->commit();
}

}  // namespace foretoken::convert
