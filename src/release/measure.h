// The two figures of a model card, measured on what the program brings along: perplexity of the
// bundled text, acceptance of drafts on the bundled prompts.
#pragma once

#include <functional>
#include <string>

#include "release/model_card.h"

namespace foretoken::release {

struct MeasureOptions {
  int n_threads = 0;    ///< 0: one per core
  int max_depth = 3;    ///< drafts a round, 1 .. this
  int n_predict = 64;   ///< tokens of each answer
  int n_context = 512;  ///< window of the perplexity
};

/// Called with a word for what is being done and its progress; false stops (Cancelled is thrown).
using MeasureProgress = std::function<bool(const char* what, std::size_t done, std::size_t total)>;

/// Loads the file and measures. Throws what loading and running throw.
CardMeasurement measure(const std::string& path, const MeasureOptions& options,
                        const MeasureProgress& progress = {});

/// Why this machine cannot hold the file in memory, or empty when it can.
std::string lacks_memory(std::size_t file_bytes);

/// What the figures were measured on, for the card.
std::string perplexity_text();
std::string acceptance_prompts();

}  // namespace foretoken::release
