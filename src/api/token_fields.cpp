// See token_fields.h.
#include "api/token_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"

namespace foretoken::api {
namespace {

constexpr float kBan = -std::numeric_limits<float>::infinity();

/// One entry per token, in the order in which tokens are first named. Every entry is worked off for
/// every token of the reply, so that naming one a million times must not cost a million times.
class BiasList {
 public:
  /// Biases of one token add up; a ban stays one.
  void add(TokenId token, float bias) {
    const auto [found, is_new] = places_.try_emplace(token, list_.size());
    if (is_new) return list_.push_back({token, bias});
    float& sum = list_[found->second].bias;
    sum = sum == kBan || bias == kBan ? kBan : clamped(static_cast<double>(sum) + bias);
  }
  std::vector<sampling::LogitBias> take() { return std::move(list_); }

  static float clamped(double bias) {
    const double limit = static_cast<double>(std::numeric_limits<float>::max());
    return static_cast<float>(std::clamp(bias, -limit, limit));
  }

 private:
  std::vector<sampling::LogitBias> list_;
  std::unordered_map<TokenId, std::size_t> places_;
};

std::optional<float> read_bias(const Json& value) {
  if (value.is_boolean() && !value.get<bool>()) return kBan;
  if (!value.is_number()) return std::nullopt;
  return BiasList::clamped(value.get<double>());
}

/// A text that is a whole number names a token, any other one the tokens it is made of.
void add_text(const tokenizer::Tokenizer& tokenizer, std::string_view text, float bias,
              BiasList& out) {
  long long id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (id >= 0 && id < tokenizer.n_vocab()) out.add(static_cast<TokenId>(id), bias);
    return;
  }
  for (const TokenId token : tokenizer.encode(text, {.parse_special = false})) {
    out.add(token, bias);
  }
}

constexpr std::size_t kMaxBreakers = 64;
constexpr std::size_t kMaxBreakerBytes = 256;

/// Sequences in which `breaker` begins inside `piece` and does not fit into it.
void add_overlaps(const tokenizer::Tokenizer& tokenizer, TokenId id, std::string_view piece,
                  std::string_view breaker, std::set<std::vector<TokenId>>& out) {
  for (std::size_t start = 0; start < piece.size(); ++start) {
    const std::string_view tail = piece.substr(start);
    if (!breaker.starts_with(tail)) continue;
    std::vector<TokenId> sequence =
        tokenizer.encode(breaker.substr(tail.size()), {.parse_special = false});
    sequence.insert(sequence.begin(), id);
    if (sequence.size() > static_cast<std::size_t>(sampling::kMaxBreakerTokens)) {
      sequence.resize(static_cast<std::size_t>(sampling::kMaxBreakerTokens));
    }
    out.insert(std::move(sequence));
  }
}

}  // namespace

std::vector<sampling::LogitBias> read_logit_bias(const tokenizer::Tokenizer& tokenizer,
                                                 const Json& value) {
  BiasList out;
  if (value.is_object()) {
    for (const auto& [key, entry] : value.items()) {
      if (const auto bias = read_bias(entry)) add_text(tokenizer, key, *bias, out);
    }
  } else if (value.is_array()) {
    for (const Json& pair : value) {
      if (!pair.is_array() || pair.size() != 2) continue;
      const auto bias = read_bias(pair[1]);
      if (!bias) continue;
      if (pair[0].is_number_integer()) {
        const auto id = pair[0].get<std::int64_t>();
        if (id >= 0 && id < tokenizer.n_vocab()) out.add(static_cast<TokenId>(id), *bias);
      } else if (pair[0].is_string()) {
        add_text(tokenizer, pair[0].get_ref<const std::string&>(), *bias, out);
      }
    }
  }
  return out.take();
}

void ban_ends(const tokenizer::Tokenizer& tokenizer, std::vector<sampling::LogitBias>& bias) {
  for (TokenId id = 0; id < tokenizer.n_vocab(); ++id) {
    if (tokenizer.is_end_of_generation(id)) bias.push_back({id, kBan});
  }
}

std::vector<std::vector<TokenId>> expand_dry_breakers(const tokenizer::Tokenizer& tokenizer,
                                                      const std::vector<std::string>& breakers) {
  if (breakers.size() > kMaxBreakers) {
    throw RequestError(
        fmt::format("Field 'dry_sequence_breakers': at most {} are allowed", kMaxBreakers));
  }
  std::set<std::vector<TokenId>> sequences;
  for (const std::string& breaker : breakers) {
    if (breaker.empty()) continue;
    if (breaker.size() > kMaxBreakerBytes) {
      throw RequestError(fmt::format("Field 'dry_sequence_breakers': one is longer than {} bytes",
                                     kMaxBreakerBytes));
    }
    for (TokenId id = 0; id < tokenizer.n_real_vocab(); ++id) {
      const std::string_view piece = tokenizer.piece(id);
      if (piece.find(breaker) != std::string_view::npos) {
        sequences.insert({id});
      } else {
        add_overlaps(tokenizer, id, piece, breaker, sequences);
      }
    }
  }
  return {sequences.begin(), sequences.end()};
}

}  // namespace foretoken::api
