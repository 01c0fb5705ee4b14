#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "engine/fingerprint.h"

namespace foretoken::engine {
namespace {

constexpr int kMaxThreads = 512;

int choose_threads(int requested) {
  if (requested < 0 || requested > kMaxThreads) {
    throw RequestError(
        fmt::format("thread count {} is out of range; use 1 to {}, or 0 for all cores", requested,
                    kMaxThreads));
  }
  return requested == 0 ? available_cores() : requested;
}

std::unique_ptr<kernels::Ops> make_ops(ThreadPool& pool, const BackendChoice& choice) {
  if (choice.reference) return kernels::make_reference_ops();
  return kernels::make_cpu_ops(pool, choice.level.value_or(kernels::available_cpu_levels().back()));
}

std::unique_ptr<kernels::Ops> make_ops(ThreadPool& pool, const EngineOptions& options) {
  auto ops = make_ops(pool, options.backend);
  return options.wrap_ops ? options.wrap_ops(std::move(ops)) : std::move(ops);
}

}  // namespace

int available_cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

Engine::Engine(const EngineOptions& options)
    : pool_(choose_threads(options.n_threads)), ops_(make_ops(pool_, options)) {
  gguf::File file = gguf::File::open(options.model_path);
  std::optional<gguf::File> head;
  if (!options.head_path.empty()) head = gguf::File::open(options.head_path);
  weights_.emplace(std::move(file), *ops_, pool_, options.progress, std::move(head));
  tokenizer_.emplace(tokenizer::Tokenizer::from_gguf(weights_->file()));
  if (tokenizer_->n_vocab() > config().n_vocab) {
    throw FormatError(
        fmt::format("{}: the tokenizer has {} tokens but 'token_embd.weight' only {} rows",
                    options.model_path, tokenizer_->n_vocab(), config().n_vocab));
  }
  text_model_.emplace(*weights_, *ops_);
  if (weights_->mtp() != nullptr) mtp_head_.emplace(*weights_, *ops_);
  fingerprint_ = model_fingerprint(*weights_, *tokenizer_);
}

}  // namespace foretoken::engine
