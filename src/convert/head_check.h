// Whether an MTP head fits a model: everything that can be told from two files without running
// them, all of it in one go, each finding with what to do about it.
// Source: docs/graft.md, "The fit check".
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "convert/graft_input.h"

namespace foretoken::convert {

enum class Severity {
  Note,     ///< worth knowing; nothing is wrong
  Doubt,    ///< probably a mistake; done all the same when its topic is forced
  Refusal,  ///< the result could not work
};

/// One thing that was found. Texts are safe to print.
struct Finding {
  Severity severity = Severity::Note;
  std::string topic;   ///< one word, "rope"; what --force takes
  std::string what;    ///< what was expected and found, and where
  std::string advice;  ///< what to do; may be empty for a note
};

/// Topics of doubts, for the help text.
std::span<const char* const> doubt_topics();

/// Whether the head itself is whole: 15 tensors in the shapes and readable types that the base's
/// own config asks for, none all zero, every number finite, norms stored in the way of their
/// format. Reads every number of the head once.
std::vector<Finding> check_head(const GraftInput& base);

/// Whether the head fits: width, heads, feed-forward, vocabulary, rotary embedding, eps, depth,
/// output matrix; norms stored in the same way in both; the same tokenizer. Reads the tokenizers.
std::vector<Finding> check_fit(const GraftInput& base, const GraftInput& finetune);

/// Whether the findings forbid the work, given the topics that are forced.
bool forbids(const std::vector<Finding>& findings, const std::set<std::string>& forced);

}  // namespace foretoken::convert
