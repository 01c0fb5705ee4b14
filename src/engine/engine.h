// A loaded model with everything needed to run it: weights, tokenizer, kernels, threads. Const
// after loading except for the kernels' scratch memory: one thread at a time may run sessions on
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "model/qwen35/mtp_head.h"
#include "model/qwen35/text_model.h"
#include "model/qwen35/weights.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::engine {

/// Which kernels to use. Without a level the best one the processor has.
struct BackendChoice {
  bool reference = false;  ///< the readable, slow kernels: for checking
  std::optional<kernels::CpuLevel> level;
};

/// Puts another set of operations in front of the chosen one, which it owns and calls: for watching
/// what passes through the model (eval/input_recorder.h). Returns what the engine shall use.
using WrapOps = std::function<std::unique_ptr<kernels::Ops>(std::unique_ptr<kernels::Ops>)>;

struct EngineOptions {
  std::string model_path;
  std::string head_path = {};  ///< a file of its own with the MTP head; empty: the model's, if any
  int n_threads = 0;           ///< 0: one per processor core available to this process
  BackendChoice backend;
  model::qwen35::LoadProgress progress;
  WrapOps wrap_ops = {};  ///< empty: the operations themselves
};

class Engine {
 public:
  /// Loads a model. Throws FormatError, UnsupportedError or IoError with the reason.
  explicit Engine(const EngineOptions& options);

  const model::qwen35::Config& config() const { return weights_->config(); }
  const model::qwen35::Weights& weights() const { return *weights_; }
  const model::qwen35::TextModel& text_model() const { return *text_model_; }
  /// Null when the file carries no MTP head.
  const model::qwen35::MtpHead* mtp_head() const { return mtp_head_ ? &*mtp_head_ : nullptr; }
  const tokenizer::Tokenizer& tokenizer() const { return *tokenizer_; }
  kernels::Ops& ops() const { return *ops_; }
  int n_threads() const { return pool_.size(); }
  /// Tells models apart, for states kept on disk; see engine/fingerprint.h.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<kernels::Ops> ops_;
  std::optional<model::qwen35::Weights> weights_;
  std::optional<tokenizer::Tokenizer> tokenizer_;
  std::optional<model::qwen35::TextModel> text_model_;
  std::optional<model::qwen35::MtpHead> mtp_head_;
  std::uint64_t fingerprint_ = 0;
};

/// Cores this process may use (its affinity mask), at least 1.
int available_cores();

}  // namespace foretoken::engine
