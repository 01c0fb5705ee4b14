// What every operation of a rendering carries: the place being evaluated, for error texts, and the
// budget that keeps a hostile template or message from hanging the program or filling its memory.
//
// Two meters only ever go up: steps (time) and bytes built (memory; nothing is credited back when
// a value dies, so the sum also bounds the peak). Operations that walk n items charge n steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "chat/jinja/error.h"

namespace foretoken::chat::jinja {

struct Limits {
  std::size_t max_source_bytes = std::size_t{1} << 20;
  std::int64_t max_steps = 20'000'000;
  std::size_t max_bytes = std::size_t{256} << 20;
  int max_depth = 400;        ///< nested expressions, statements and calls, together
  int max_value_depth = 128;  ///< lists and mappings inside each other
};

class Context {
 public:
  explicit Context(const Limits& limits) : limits_(limits) {}

  void charge_steps(std::size_t n = 1) {
    steps_ += static_cast<std::int64_t>(n);
    if (steps_ > limits_.max_steps) {
      fail_limit("the rendering takes more than " + std::to_string(limits_.max_steps) + " steps");
    }
  }
  /// For scanning text: 64 bytes count as one step.
  void charge_scan(std::size_t n_bytes) { charge_steps(1 + n_bytes / 64); }
  /// Call before allocating.
  void charge_bytes(std::size_t n) {
    if (n > limits_.max_bytes - bytes_) {
      fail_limit("the rendering builds more than " + std::to_string(limits_.max_bytes) + " bytes");
    }
    bytes_ += n;
  }

  [[noreturn]] void fail(const std::string& message) const {
    throw TemplateError(TemplateError::Cause::Evaluation, at, message);
  }
  [[noreturn]] void fail_limit(const std::string& message) const {
    throw TemplateError(TemplateError::Cause::Limit, at, message);
  }

  const Limits& limits() const { return limits_; }

  Position at;

 private:
  Limits limits_;
  std::int64_t steps_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace foretoken::chat::jinja
