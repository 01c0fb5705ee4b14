#include "engine/draft_vocabulary.h"

#include <algorithm>

namespace foretoken::engine {
namespace {

// 256 groups are 4096 rows: 8 % on top of 48K, enough for the rare words of a long text.
constexpr std::size_t kMostTextGroups = 256;

std::size_t group_of(TokenId token) { return static_cast<std::size_t>(token / kernels::kRowGroup); }

}  // namespace

DraftVocabulary::DraftVocabulary(const tokenizer::Tokenizer& tokenizer, int n_vocab, int n_frequent)
    : n_vocab_(n_vocab), full_(n_frequent <= 0 || n_frequent >= n_vocab) {
  const std::size_t n_groups = group_of(n_vocab - 1) + 1;
  fixed_.assign(n_groups, full_);
  seen_.assign(n_groups, false);
  if (full_) return;
  for (TokenId id = 0; id < n_frequent; ++id) fixed_[group_of(id)] = true;
  for (TokenId id = 0; id < std::min(tokenizer.n_vocab(), n_vocab); ++id) {
    const tokenizer::TokenKind kind = tokenizer.kind(id);
    if (kind == tokenizer::TokenKind::Control || kind == tokenizer::TokenKind::UserDefined) {
      fixed_[group_of(id)] = true;
    }
  }
}

void DraftVocabulary::add(TokenId token) {
  if (full_ || contains(token)) return;
  const std::size_t group = group_of(token);
  seen_[group] = true;
  newest_.push_back(static_cast<int>(group));
  if (newest_.size() > kMostTextGroups) {
    seen_[static_cast<std::size_t>(newest_.front())] = false;
    newest_.pop_front();
  }
  stale_ = true;
}

bool DraftVocabulary::contains(TokenId token) const {
  const std::size_t group = group_of(token);
  return fixed_[group] || seen_[group];
}

std::span<const kernels::RowRange> DraftVocabulary::ranges() {
  if (stale_) rebuild();
  return ranges_;
}

std::span<const TokenId> DraftVocabulary::ids() {
  if (stale_) rebuild();
  return ids_;
}

void DraftVocabulary::rebuild() {
  ranges_.clear();
  ids_.clear();
  for (std::size_t group = 0; group < fixed_.size(); ++group) {
    if (!fixed_[group] && !seen_[group]) continue;
    const int begin = static_cast<int>(group) * kernels::kRowGroup;
    const int count = std::min(kernels::kRowGroup, n_vocab_ - begin);
    if (!ranges_.empty() && ranges_.back().begin + ranges_.back().count == begin) {
      ranges_.back().count += count;
    } else {
      ranges_.push_back({begin, count});
    }
    for (int i = 0; i < count; ++i) ids_.push_back(begin + i);
  }
  stale_ = false;
}

}  // namespace foretoken::engine
