// The tiny model and its reference numbers, as tests find them.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/token.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "sanitized.h"

namespace foretoken::testing {

using foretoken::kSanitized;
/// Every how manieth prompt a test over many prompts takes.
inline constexpr std::size_t kPromptStep = kSanitized ? 6 : 1;

inline std::string source_path(const std::string& relative) {
  return std::string(FORETOKEN_SOURCE_DIR) + "/" + relative;
}

inline std::string tiny_model(const std::string& name) {
  return source_path("models/tiny/" + name);
}

/// Every file of the tiny model that llama.cpp made, or "" where this checkout does not have it.
inline std::string llama_made_file(const std::string& name) {
  const std::string path = source_path("../shared/tiny-model/gguf/" + name);
  return std::filesystem::exists(path) ? path : "";
}

inline nlohmann::json read_goldens(const std::string& name) {
  std::ifstream file(source_path("tests/data/goldens/" + name));
  return nlohmann::json::parse(file);
}

/// |a - b| / |b| by L2 norm.
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

inline TokenId argmax(std::span<const float> values) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (values[i] > values[best]) best = i;
  }
  return static_cast<TokenId>(best);
}

}  // namespace foretoken::testing
