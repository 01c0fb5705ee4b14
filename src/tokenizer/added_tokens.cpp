#include "tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/token_table.h"

namespace foretoken::tokenizer {
namespace {

// Bounds the work per character of text that a hostile vocabulary can ask for.
constexpr std::size_t kMaxNameBytes = 1024;

}  // namespace

AddedTokens::AddedTokens(const TokenTable& tokens, std::string_view file) : nodes_(1) {
  for (TokenId id = 0; id < tokens.size(); ++id) {
    if (!is_added(tokens.kind(id))) continue;
    const std::string_view name = tokens.piece(id);
    if (name.empty() || name.size() > kMaxNameBytes) {
      throw FormatError(fmt::format("{}: added token {} has {} bytes of text; expected 1 to {}",
                                    file, id, name.size(), kMaxNameBytes));
    }
    int node = 0;
    for (const char c : name) {
      const auto byte = static_cast<unsigned char>(c);
      int next = child(node, byte);
      if (next < 0) {
        next = static_cast<int>(nodes_.size());
        nodes_.emplace_back();
        auto& edges = nodes_[static_cast<std::size_t>(node)].next;
        edges.insert(std::ranges::upper_bound(edges, std::pair(byte, next)), {byte, next});
      }
      node = next;
    }
    Node& last = nodes_[static_cast<std::size_t>(node)];
    if (last.id >= 0) {
      throw FormatError(fmt::format("{}: added tokens {} and {} are both {}", file, last.id, id,
                                    foretoken::quoted(name)));
    }
    last.id = id;
    last.control = tokens.kind(id) == TokenKind::Control;
    starts_[static_cast<unsigned char>(name.front())] = true;
    only_start_ = static_cast<unsigned char>(name.front());
  }
  n_starts_ = static_cast<std::size_t>(std::ranges::count(starts_, true));
}

int AddedTokens::child(int node, unsigned char byte) const {
  const auto& edges = nodes_[static_cast<std::size_t>(node)].next;
  const auto edge =
      std::ranges::lower_bound(edges, byte, {}, [](const auto& e) { return e.first; });
  return edge != edges.end() && edge->first == byte ? edge->second : -1;
}

std::optional<AddedMatch> AddedTokens::match_at(std::string_view text, std::size_t begin,
                                                std::size_t control_end) const {
  std::optional<AddedMatch> longest;
  int node = 0;
  for (std::size_t end = begin; end < text.size();) {
    node = child(node, static_cast<unsigned char>(text[end]));
    if (node < 0) break;
    ++end;
    const Node& reached = nodes_[static_cast<std::size_t>(node)];
    if (reached.id >= 0 && (!reached.control || end <= control_end)) {
      longest = AddedMatch{{begin, end}, reached.id};
    }
  }
  return longest;
}

std::optional<AddedMatch> AddedTokens::find(std::string_view text, std::size_t from,
                                            std::span<const TextRange> trusted) const {
  if (n_starts_ == 0) return std::nullopt;
  auto range = std::ranges::upper_bound(trusted, from, {}, &TextRange::end);
  for (std::size_t pos = from; pos < text.size(); ++pos) {
    if (n_starts_ == 1) {
      const void* hit = std::memchr(text.data() + pos, only_start_, text.size() - pos);
      if (hit == nullptr) return std::nullopt;
      pos = static_cast<std::size_t>(static_cast<const char*>(hit) - text.data());
    } else {
      while (pos < text.size() && !starts_[static_cast<unsigned char>(text[pos])]) ++pos;
      if (pos == text.size()) return std::nullopt;
    }
    while (range != trusted.end() && range->end <= pos) ++range;
    const bool is_trusted = range != trusted.end() && range->begin <= pos;
    if (const auto match = match_at(text, pos, is_trusted ? range->end : pos)) return match;
  }
  return std::nullopt;
}

std::optional<TokenId> AddedTokens::find_exact(std::string_view text) const {
  int node = 0;
  for (const char c : text) {
    node = child(node, static_cast<unsigned char>(c));
    if (node < 0) return std::nullopt;
  }
  const TokenId id = nodes_[static_cast<std::size_t>(node)].id;
  return id >= 0 ? std::optional(id) : std::nullopt;
}

}  // namespace foretoken::tokenizer
