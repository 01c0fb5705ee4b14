// Gives a fine-tune the MTP head of its base model back. First a plan: what fits and what does not,
// which tensor goes where, every byte of the output accounted for. Then, if nothing forbids it, the
// plan is written. Tensors are never held whole; bytes that stay as they are get copied by the
// kernel.
// Source: docs/graft.md.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/head_check.h"
#include "convert/write_model.h"
#include "quant/type.h"

namespace foretoken::convert {

struct GraftOptions {
  std::string base;      ///< folder or file that has the head
  std::string finetune;  ///< folder or file that lacks it; empty to extract the head alone
  std::string out;       ///< folder for a checkpoint, file for GGUF or an extracted head
  bool replace = false;  ///< the fine-tune's own head, if it has one, gives way
  std::set<std::string> force = {};  ///< topics of doubts that do not hold the work up
  /// Type of the head's matrices when they go from a checkpoint into a GGUF file. By default that
  /// of the fine-tune's matrices, or Q8_0 when those are quantized.
  std::optional<quant::Type> head_type = std::nullopt;
};

/// One tensor of the head on its way.
struct HeadMove {
  std::string from;  ///< name in the base
  std::string to;    ///< name in the output
  std::string from_type;
  std::string to_type;
  std::size_t size_bytes = 0;  ///< in the output
};

/// One file of the output.
struct FileMove {
  std::string name;    ///< in the output folder; of a single file its path
  std::string source;  ///< path it is copied from; empty for what is made new
  std::string note;    ///< "carried along", "the head"
  std::size_t size_bytes = 0;
};

struct GraftPlan {
  std::string title;  ///< "head of a checkpoint into a GGUF file"
  std::vector<Finding> findings;
  bool allowed = false;  ///< whether the findings let it be written
  std::vector<HeadMove> head;
  std::vector<FileMove> files;
  std::vector<std::string> left_out;  ///< files beside the fine-tune that are not part of a model
  std::size_t size_bytes = 0;         ///< of the whole output

  /// Writes the output; set when `allowed`. Throws IoError, Cancelled, FormatError.
  std::function<void(ThreadPool& pool, const WriteProgress& progress)> write;
};

/// Opens both sides, checks the fit and plans the output; writes nothing. What does not fit is in
/// the plan's findings, all of it. Throws IoError, FormatError or UnsupportedError for inputs that
/// cannot be opened, RequestError for options that contradict each other or an output that is in
/// the way.
GraftPlan plan_graft(const GraftOptions& options);

}  // namespace foretoken::convert
