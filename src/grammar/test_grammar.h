// What the grammar tests share: a vocabulary of bytes, some words and the family's tags; texts
// through a grammar; random replies that a constraint allows.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "grammar/constraints.h"
#include "grammar/gbnf.h"
#include "grammar/matcher.h"
#include "grammar/token_trie.h"
#include "tokenizer/test_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::grammar {

/// Bytes, words that cut JSON and tags in unusual places, tags as added tokens.
inline tokenizer::Vocabulary test_vocabulary() {
  using tokenizer::TokenKind;
  tokenizer::Vocabulary vocabulary = tokenizer::bytes_vocabulary();
  for (const char* word : {"\":",      "\", \"",     "\":\"", "\"}",    "{\"",       "},",
                           " \"",      "true",       "fal",   "null",   "12",        "ab",
                           "\n\n",     ">\n",        "\n</",  "</",     "parameter", "function",
                           "=",        "<function=", "tool",  "_call>", ">\n<",      "a\"",
                           "\\u",      "\\\"",       "\xC3",  "\xA9\"", "\xC3\xA9",  "\xE4\xB8\xAD",
                           "\xE4\xB8", "    ",       "name",  "},{\"",  "think",     "ok"}) {
    const std::string spelling = tokenizer::spell(word);
    if (std::ranges::find(vocabulary.spellings, spelling) == vocabulary.spellings.end()) {
      tokenizer::add_token(vocabulary, spelling, TokenKind::Normal);
    }
  }
  for (const char* tag : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
    tokenizer::add_token(vocabulary, tag, TokenKind::UserDefined);
  }
  for (const char* name : {"<|im_start|>", "<|im_end|>", "<|endoftext|>"}) {
    tokenizer::add_token(vocabulary, name, TokenKind::Control);
  }
  for (int i = 0; i < 3; ++i) {
    const std::string padding = "[PAD" + std::to_string(vocabulary.spellings.size()) + "]";
    tokenizer::add_token(vocabulary, padding, TokenKind::Unused);
  }
  return vocabulary;
}

inline const tokenizer::Tokenizer& test_tokenizer() {
  static const tokenizer::Tokenizer kTokenizer(test_vocabulary());
  return kTokenizer;
}

inline const std::shared_ptr<const TokenTrie>& test_trie() {
  static const std::shared_ptr<const TokenTrie> kTrie = make_token_trie(test_tokenizer());
  return kTrie;
}

inline TokenId special(std::string_view name) { return *test_tokenizer().find_special(name); }

inline Program compile_gbnf(std::string_view gbnf) {
  Rules rules;
  parse_gbnf(rules, gbnf);
  return compile(rules, {rules.rule(require_root(rules))});
}

/// Whether the grammar takes all of `text` and may end there.
inline bool accepts(std::string_view gbnf, std::string_view text) {
  Matcher matcher(compile_gbnf(gbnf));
  return matcher.complete(matcher.advance(matcher.start(0), text));
}

/// Whether something may follow `text`, or the end.
inline bool begins(std::string_view gbnf, std::string_view text) {
  Matcher matcher(compile_gbnf(gbnf));
  return matcher.advance(matcher.start(0), text) != Matcher::kDead;
}

/// The message of the RequestError that `f` throws; "" when it throws none.
template <class F>
std::string request_error(F&& f) {
  try {
    f();
  } catch (const RequestError& error) {
    return error.what();
  }
  return {};
}

/// All tokens that mask() leaves.
inline std::vector<TokenId> masked_in(sampling::TokenConstraint& constraint, int n_vocab) {
  std::vector<float> logits(static_cast<std::size_t>(n_vocab), 0.0F);
  constraint.mask(logits);
  std::vector<TokenId> left;
  for (TokenId id = 0; id < n_vocab; ++id) {
    if (!std::isinf(logits[static_cast<std::size_t>(id)])) left.push_back(id);
  }
  return left;
}

inline std::vector<TokenId> allowed_one_by_one(sampling::TokenConstraint& constraint, int n_vocab) {
  std::vector<TokenId> allowed;
  for (TokenId id = 0; id < n_vocab; ++id) {
    if (constraint.allows(id)) allowed.push_back(id);
  }
  return allowed;
}

/// Accepts `text` in the tokenizer's usual tokens; false at the first that is not allowed.
inline bool accept_text(sampling::TokenConstraint& constraint, std::string_view text) {
  for (const TokenId id : test_tokenizer().encode(text)) {
    if (!constraint.allows(id)) return false;
    constraint.accept(id);
  }
  return true;
}

inline bool may_end(sampling::TokenConstraint& constraint) {
  return constraint.allows(special("<|im_end|>"));
}

}  // namespace foretoken::grammar
