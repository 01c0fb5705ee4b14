// Fills all files of a release in one pass over the checkpoint. Each tensor is read once and goes
// into every file in that file's type. The files get their names at the end, all whole; until then
// they lie in a working folder with a journal, and the next run goes on where this one was stopped.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/model_source.h"
#include "gguf/writer.h"
#include "quant/type.h"
#include "release/sha256.h"

namespace foretoken::release {

/// One file to be.
struct ReleaseFile {
  std::string path;
  std::string type;  ///< "Q4_K_M"
  bool is_vision = false;
  gguf::Writer keys;  ///< with its tensors declared, in file order
  /// For each tensor of the pass (the index is that of `sources` below) its place among the
  /// declared tensors, or npos when the file does not hold it.
  std::vector<std::size_t> place;
  std::vector<quant::Type> types;                     ///< by source; meaningless without a place
  std::vector<const std::vector<float>*> importance;  ///< by source; null for none

  std::size_t n_tensors = 0;  ///< declared so far

  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
};

/// Called with the bytes written so far and in all; false stops the work, which can be gone on
/// with.
using ReleaseProgress = std::function<bool(std::size_t done, std::size_t total)>;

/// The folder inside `out` in which unfinished files live.
std::string work_folder(const std::string& out);

/// Writes `files` from `sources`. Requires the working folder of `out`. `plan` identifies the work:
/// what an earlier run left in the working folder counts only under the same hash. `before_naming`
/// is called when all is written and no file of this run has its name; what it throws keeps it so.
/// Throws IoError, FormatError (naming the tensor) and Cancelled; the working folder stays then,
/// without the files when there was no room for them. Returns how many tensors an earlier run had
/// done.
std::size_t write_release(const std::string& out, std::span<const convert::TensorSource> sources,
                          std::span<const ReleaseFile> files, const Sha256& plan, ThreadPool& pool,
                          const ReleaseProgress& progress = {},
                          const std::function<void()>& before_naming = {});

}  // namespace foretoken::release
