// The measures of `foretoken eval`, one file each: eval_perplexity.cpp, eval_acceptance.cpp,
// eval_kld.cpp. Each adds a subcommand to `eval`; the one that was chosen puts what it does into
// `chosen`.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/token.h"
#include "command.h"
#include "engine/engine.h"

namespace foretoken::tools {

void add_eval_perplexity(CLI::App& eval, const std::shared_ptr<Run>& chosen);
void add_eval_acceptance(CLI::App& eval, const std::shared_ptr<Run>& chosen);
void add_eval_kld(CLI::App& eval, const std::shared_ptr<Run>& chosen);

/// Context of the text measures where -c is not given: that of published figures.
inline constexpr int kTextWindow = 512;

/// Token ids of the text to score: a file's ("-": standard input), or the bundled one's when `path`
/// is empty. Throws IoError, RequestError.
std::vector<TokenId> read_score_text(const std::string& path,
                                     const tokenizer::Tokenizer& tokenizer);

}  // namespace foretoken::tools
