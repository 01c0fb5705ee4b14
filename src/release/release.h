// The whole way in one command: a fine-tune that lost its MTP head, its base model, and out comes
// the finished set of GGUF files with a model card.
//
// Nothing is grafted or converted on disk on the way: the fine-tune's tensors and the base's head
// are one list of sources, and every output file takes each of them in its own type from one
// reading. What a stopped run has done is kept and gone on with. Source: docs/release.md.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "convert/importance.h"
#include "convert/model_source.h"
#include "quant/type.h"
#include "release/measure.h"
#include "release/model_card.h"
#include "release/sha256.h"
#include "release/write_release.h"

namespace foretoken::release {

struct ReleaseOptions {
  std::string base;      ///< folder of the checkpoint whose head is taken
  std::string finetune;  ///< folder of the checkpoint that lost it
  std::string out;       ///< folder to make, or to go on with
  std::string name;  ///< in the files' names and general.name; empty: from the fine-tune's folder
  std::vector<std::string> types = {"BF16", "Q8_0", "Q6_K", "Q4_K_M"};
  std::string imatrix;  ///< file, or empty
  bool protect_mtp = false;
  bool vision = true;  ///< the mmproj file too, when fine-tune or base has a vision tower
  quant::Type vision_type = quant::Type::BF16;
  /// Doubts about the head to pass over, by topic (convert/head_check.h).
  std::set<std::string> force = {};
  std::string command;  ///< for the card
  std::string version;  ///< of the program, for the card
};

/// Everything that will be done, with nothing done yet.
struct ReleasePlan {
  std::string out;
  std::string name;
  /// The fine-tune's text model with the base's head, then the vision tower: `files` refer to its
  /// tensors by index.
  std::vector<convert::TensorSource> sources;
  std::vector<ReleaseFile> files;  ///< in the order asked for, the vision file last
  std::vector<std::string> notes;  ///< what a user should know before it starts
  Card card;                       ///< without hashes and measurements
  Sha256 hash{};                   ///< of sources, options and layouts

  /// Throws IoError when a source file is not what it was when the plan was made.
  std::function<void()> check_sources;
  std::shared_ptr<const void> keep_alive;  ///< what `sources` and `files` borrow from
  std::size_t bytes() const;               ///< of all files
};

/// Opens both checkpoints, checks that the head fits, and lays out all files. Throws FormatError,
/// UnsupportedError, RequestError (unknown types, a head that does not fit: every reason is named)
/// and IoError.
ReleasePlan plan_release(const ReleaseOptions& options);

/// Which step is being done and how far it is; false stops (Cancelled is thrown; a later run goes
/// on).
using StepProgress =
    std::function<bool(const std::string& step, std::size_t done, std::size_t total)>;

struct RunOptions {
  int n_threads = 0;    ///< 0: one per core
  bool measure = true;  ///< perplexity and acceptance of each file
};

/// What was done.
struct ReleaseResult {
  bool was_complete = false;  ///< an earlier run had finished; nothing was written
  std::size_t n_resumed = 0;  ///< tensors that an earlier run had done
  Card card;                  ///< with hashes and measurements
  double write_seconds = 0.0;
};

/// Writes the files, hashes and measures them, and writes README.md and release.json. Throws
/// IoError (sources that changed meanwhile, too), FormatError, Cancelled, and RequestError when the
/// folder holds files of another release under the same names, a README.md or release.json of
/// somebody else, or another release is being written there.
ReleaseResult run_release(const ReleasePlan& plan, const RunOptions& options,
                          const StepProgress& progress = {});

}  // namespace foretoken::release
