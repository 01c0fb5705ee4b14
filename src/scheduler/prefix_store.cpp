#include "scheduler/prefix_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <utility>

#include "base/error.h"
#include "cache/checkpoint_plan.h"

namespace foretoken::scheduler {
namespace {

using Clock = std::chrono::steady_clock;

// Runs a slot action and says what went wrong in it.
SlotActionResult attempt(const std::function<void(SlotActionResult&)>& action) {
  const auto start = Clock::now();
  SlotActionResult result;
  try {
    action(result);
  } catch (const RequestError& error) {
    result.error = error.what();
    result.bad_request = true;
  } catch (const FormatError& error) {
    result.error = error.what();
    result.bad_request = true;
  } catch (const UnsupportedError& error) {
    result.error = error.what();
    result.bad_request = true;
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  result.ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  return result;
}

}  // namespace

PrefixStore::PrefixStore(const SchedulerOptions& options, const engine::Engine& engine)
    : options_(options) {
  const auto opens_turn = engine.tokenizer().find_special("<|im_start|>");
  turn_start_ = options.turn_start.value_or(opens_turn.value_or(-1));
  clear();
}

void PrefixStore::clear() {
  // Whatever the bound, each slot's newest state stays, so that conversations go on.
  cache_ = std::make_unique<cache::PrefixCache>(cache::PrefixCacheOptions{
      .max_bytes = options_.cache_bytes, .min_checkpoints = options_.n_slots});
}

PrefixMatch PrefixStore::match(const Request& request) {
  PrefixMatch out;
  const std::span<const TokenId> prompt = request.prompt;
  if (!request.cache_prompt) {
    out.miss = "disabled";
    return out;
  }
  out.n_common = cache_->common_prefix(prompt);
  out.checkpoint = cache_->find(prompt, prompt.size() - 1);
  const std::size_t n_cached = out.checkpoint ? out.checkpoint->tokens.size() : 0;
  if (n_cached == 0) out.miss = out.n_common == 0 ? "cold" : "no_checkpoint";
  out.plan = cache::plan_checkpoints(prompt, turn_start_, static_cast<int>(n_cached),
                                     options_.checkpoint_step);
  return out;
}

void PrefixStore::add(cache::CheckpointPtr checkpoint) {
  if (checkpoint != nullptr && !checkpoint->tokens.empty()) cache_->insert(std::move(checkpoint));
}

// ---- Slot files. ----

SlotActionResult PrefixStore::save(const std::string& path, LoadedModel& model,
                                   engine::Session& session) {
  return attempt([&](SlotActionResult& result) {
    if (session.n_past() == 0) {
      throw RequestError("the slot holds no text to save: let it process a prompt first");
    }
    std::vector<cache::CheckpointPtr> kept = cache_->path(session.tokens());
    const auto n_past = static_cast<std::size_t>(session.n_past());
    if (kept.empty() || kept.back()->tokens.size() < n_past) {
      kept.push_back(session.take_checkpoint());
    }
    const auto written = cache::write_checkpoints(path, model.identity(), kept);
    result.n_tokens = written.n_tokens;
    result.n_bytes = written.n_bytes;
  });
}

SlotActionResult PrefixStore::restore(const std::string& path, LoadedModel& model,
                                      engine::Session& session) {
  return attempt([&](SlotActionResult& result) {
    if (!std::filesystem::exists(path)) {
      throw RequestError(fmt::format("{}: there is no such file; save the slot first", path));
    }
    const auto loaded =
        cache::read_checkpoints(path, model.identity(), model.pools().kv, model.pools().mtp_kv);
    if (loaded.checkpoints.empty()) {
      throw FormatError(fmt::format("{}: the file holds no state to go on from", path));
    }
    cache::CheckpointPtr deepest = loaded.checkpoints.front();
    for (const cache::CheckpointPtr& checkpoint : loaded.checkpoints) {
      if (checkpoint->tokens.size() > deepest->tokens.size()) deepest = checkpoint;
    }
    session.restore(deepest);
    for (const cache::CheckpointPtr& checkpoint : loaded.checkpoints) add(checkpoint);
    const auto reusable = cache_->path(deepest->tokens);
    result.n_tokens = deepest->tokens.size();
    result.n_bytes = loaded.result.n_bytes;
    result.n_reusable = reusable.empty() ? 0 : reusable.back()->tokens.size();
  });
}

SlotActionResult PrefixStore::erase(engine::Session& session) {
  return attempt([&](SlotActionResult& result) {
    result.n_tokens = static_cast<std::size_t>(session.n_past());
    cache_->erase(session.tokens());
    session.rewind(0);
  });
}

// ---- The state directory. ----

std::string PrefixStore::file() const {
  return (std::filesystem::path(options_.state_directory) / "prefix-cache.state").string();
}

void PrefixStore::log(LogLevel level, const std::string& text) const {
  if (options_.log) options_.log(level, text);
}

void PrefixStore::load(const LoadedModel& model) {
  if (options_.state_directory.empty()) return;
  try {
    if (!std::filesystem::exists(file())) return;
    auto loaded =
        cache::read_checkpoints(file(), model.identity(), model.pools().kv, model.pools().mtp_kv);
    // The most valuable were written first; they go in last, as the newest.
    std::reverse(loaded.checkpoints.begin(), loaded.checkpoints.end());
    for (cache::CheckpointPtr& checkpoint : loaded.checkpoints) add(std::move(checkpoint));
    log(LogLevel::Info, fmt::format("prefix cache: {} checkpoints read from {}",
                                    loaded.checkpoints.size(), file()));
  } catch (const std::exception& error) {
    clear();
    log(LogLevel::Warning, fmt::format("prefix cache: starting empty: {}", error.what()));
  }
}

void PrefixStore::persist(const LoadedModel& model) const {
  if (options_.state_directory.empty()) return;
  try {
    const auto kept = cache_->all();
    if (kept.empty()) return;
    if (std::filesystem::create_directories(options_.state_directory)) {
      std::filesystem::permissions(options_.state_directory, std::filesystem::perms::owner_all);
    }
    const auto written = cache::write_checkpoints(file(), model.identity(), kept);
    log(LogLevel::Info, fmt::format("prefix cache: {} checkpoints, {} bytes written to {}",
                                    kept.size(), written.n_bytes, file()));
  } catch (const std::exception& error) {
    log(LogLevel::Warning, fmt::format("prefix cache: not written: {}", error.what()));
  }
}

}  // namespace foretoken::scheduler
