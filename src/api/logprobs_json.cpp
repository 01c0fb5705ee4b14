// See logprobs_json.h.
#include "api/logprobs_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "base/text.h"

namespace foretoken::api {
namespace {

/// The whole characters in front; a token may hold half of one.
std::string whole_characters(std::string_view bytes) {
  std::size_t end = 0;
  while (end < bytes.size()) {
    const std::size_t length = utf8_length(bytes.substr(end));
    if (length == 0) break;
    end += length;
  }
  return std::string(bytes.substr(0, end));
}

Json bytes_json(std::string_view bytes) {
  Json array = Json::array();
  for (const char c : bytes) array.push_back(static_cast<unsigned char>(c));
  return array;
}

float finite_logarithm(float logprob) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  return std::isfinite(logprob) ? std::max(logprob, kLowest) : kLowest;
}

void add_value(Json& json, float logprob, bool post_sampling) {
  const float value = finite_logarithm(logprob);
  if (post_sampling) {
    json["prob"] = std::exp(value);
  } else {
    json["logprob"] = value;
  }
}

template <typename Item>
Json head(const Item& item, bool post_sampling) {
  Json json = {{"id", item.id}, {"token", item.token}, {"bytes", bytes_json(item.bytes)}};
  add_value(json, item.logprob, post_sampling);
  return json;
}

}  // namespace

TokenLogprob make_logprob(const tokenizer::Tokenizer& tokenizer, const scheduler::TokenEvent& event,
                          int n_top) {
  TokenLogprob item;
  item.id = event.token;
  item.bytes = std::string(tokenizer.piece(event.token));
  item.token = whole_characters(item.bytes);
  item.logprob = event.logprob;
  const std::size_t n = std::min(event.top.size(), static_cast<std::size_t>(n_top));
  for (const scheduler::TokenProbability& other : event.top.first(n)) {
    TokenLogprob::Alternative alternative;
    alternative.id = other.token;
    alternative.bytes = std::string(tokenizer.piece(other.token));
    alternative.token = whole_characters(alternative.bytes);
    alternative.logprob = other.logprob;
    item.top.push_back(std::move(alternative));
  }
  return item;
}

Json logprob_json(const TokenLogprob& item, bool post_sampling) {
  Json json = head(item, post_sampling);
  Json top = Json::array();
  for (const TokenLogprob::Alternative& other : item.top) {
    // What the chain left out is no alternative any more.
    if (post_sampling && std::exp(finite_logarithm(other.logprob)) <= 0.0F) continue;
    top.push_back(head(other, post_sampling));
  }
  json[post_sampling ? "top_probs" : "top_logprobs"] = std::move(top);
  return json;
}

Json logprobs_json(std::span<const TokenLogprob> items, bool post_sampling) {
  Json array = Json::array();
  for (const TokenLogprob& item : items) array.push_back(logprob_json(item, post_sampling));
  return array;
}

}  // namespace foretoken::api
