// Tokens through grammars: every token against the plain matcher, runs of free text, forced text,
// memory.
#include "grammar/token_matcher.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "grammar/test_grammar.h"

namespace foretoken::grammar {
namespace {

/// For every token: mask, accept and the bytes themselves agree.
void expect_agreement(TokenMatcher& tokens, Matcher& bytes, StateId token_state,
                      StateId byte_state) {
  const TokenSet allowed = tokens.allowed(token_state);
  for (TokenId id = 0; id < test_tokenizer().n_vocab(); ++id) {
    const std::string_view text = test_trie()->text(id);
    const bool expected = !text.empty() && bytes.advance(byte_state, text) != Matcher::kDead;
    ASSERT_EQ(allowed.test(id), expected) << id << " " << text;
    ASSERT_EQ(tokens.allows(token_state, id), expected) << id << " " << text;
  }
}

constexpr const char* kGrammars[] = {
    R"(root ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\nu])* "\"")",
    R"(root ::= [^\n]{3,5} "\n" [a-z]* "\n\n")",
    R"(root ::= .{0,300} "ab" [^a]* ("=" [^\n"]* "\"")*)",
    R"(root ::= "{" ("\"name\":" ("true" | "false" | "null" | [0-9]+) ","?)* "}")",
    R"(root ::= ([^"\\]{2,4} [^"a]* "\"")+)",
    R"(root ::= ("\"" ([^"\\\x00-\x1F] | "\\" ["\\nu]){1,3} "\"" ","?)+)",
    "root ::= [\xC3\x80-\xC3\xBF\xE4\xB8\x80-\xE4\xBB\xBF\"]+ | \"</think>\" [^<]+",
};

TEST(TokenMatcher, MasksAgreeWithBytesInEveryState) {
  std::mt19937 rng(7);
  for (const char* gbnf : kGrammars) {
    Matcher bytes(compile_gbnf(gbnf));
    for (int round = 0; round < 10; ++round) {
      TokenMatcher tokens(test_trie(), compile_gbnf(gbnf));
      StateId token_state = tokens.start(0);
      StateId byte_state = bytes.start(0);
      for (int step = 0; step < 12 && token_state != Matcher::kDead; ++step) {
        expect_agreement(tokens, bytes, token_state, byte_state);
        std::vector<TokenId> allowed;
        for (TokenId id = 0; id < test_tokenizer().n_vocab(); ++id) {
          if (tokens.allows(token_state, id)) allowed.push_back(id);
        }
        ASSERT_EQ(tokens.is_stuck(token_state), allowed.empty());
        if (allowed.empty()) break;
        const TokenId id = allowed[rng() % allowed.size()];
        token_state = tokens.accept(token_state, id);
        byte_state = bytes.advance(byte_state, test_trie()->text(id));
        ASSERT_EQ(tokens.complete(token_state), bytes.complete(byte_state));
      }
    }
  }
}

TEST(TokenMatcher, UntilTakesAnythingUpToTheDelimiter) {
  Rules rules;
  const ExprId value = rules.sequence({rules.until("\n</parameter>", 1), rules.literal("!")});
  Matcher matcher(compile(rules, {value}));
  const auto complete = [&](std::string_view text) {
    return matcher.complete(matcher.advance(matcher.start(0), text));
  };
  EXPECT_TRUE(complete("</parameter>!"));  // the line break in front counts as seen
  EXPECT_TRUE(complete("\n</parameter>!"));
  EXPECT_TRUE(complete("a </parameter> b\n\n</parameter>!"));
  EXPECT_TRUE(complete("\xFF\n</par\n</parameter>!"));
  EXPECT_FALSE(complete("a</parameter>!"));
  EXPECT_FALSE(complete("a\n</parameter>"));
  EXPECT_FALSE(complete("a\n</parameter>x"));
  Matcher bytes(compile(rules, {value}));
  TokenMatcher tokens(test_trie(), compile(rules, {value}));
  for (const char* text : {"", "a", "a\n", "a\n<", "a\n</para", "a\n</parameter>", "\xE4"}) {
    expect_agreement(tokens, bytes, tokens.advance(tokens.start(0), text),
                     bytes.advance(bytes.start(0), text));
  }
}

TEST(TokenMatcher, AnyOrderTakesEachItemOnceAndAllRequiredOnes) {
  Rules rules;
  std::vector<ExprId> items;
  for (const char* text : {"a", "b", "cc", "cd"}) items.push_back(rules.literal(text));
  const ExprId all =
      rules.sequence({rules.any_order(items, {true, false, true, false}), rules.literal(".")});
  Matcher matcher(compile(rules, {all}));
  const auto complete = [&](std::string_view text) {
    return matcher.complete(matcher.advance(matcher.start(0), text));
  };
  for (const char* yes : {"acc.", "cca.", "bacccd.", "cdccba."}) EXPECT_TRUE(complete(yes)) << yes;
  for (const char* no : {".", "a.", "cc.", "aacc.", "accb", "acccc.", "acdb."}) {
    EXPECT_FALSE(complete(no)) << no;
  }
}

TEST(TokenMatcher, ControlTokensAreNoText) {
  TokenMatcher tokens(test_trie(), compile_gbnf("root ::= .*"));
  const StateId state = tokens.start(0);
  for (const char* name : {"<|im_start|>", "<|im_end|>", "<|endoftext|>"}) {
    EXPECT_FALSE(tokens.allows(state, special(name))) << name;
  }
  EXPECT_TRUE(tokens.allows(state, special("<tool_call>")));
  EXPECT_FALSE(tokens.allows(state, test_tokenizer().n_vocab() - 1));  // padding
}

TEST(TokenMatcher, NamedTokensAreAllowedBesideText) {
  Rules rules;
  GbnfOptions options;
  options.n_tokens = test_tokenizer().n_real_vocab();
  const std::string id = std::to_string(special("<|im_start|>"));
  parse_gbnf(rules, "root ::= <[" + id + "]> !<[" + id + "]> | \"a\"", options);
  TokenMatcher tokens(test_trie(), compile(rules, {rules.rule(require_root(rules))}));
  const StateId start = tokens.start(0);
  EXPECT_TRUE(tokens.allows(start, special("<|im_start|>")));
  EXPECT_TRUE(tokens.allows(start, 'a'));
  EXPECT_FALSE(tokens.allows(start, 'b'));
  const StateId second = tokens.accept(start, special("<|im_start|>"));
  for (TokenId token = 0; token < test_tokenizer().n_vocab(); ++token) {
    const bool usable = test_trie()->usable().test(token) && token != special("<|im_start|>");
    ASSERT_EQ(tokens.allowed(second).test(token), usable) << token;
    ASSERT_EQ(tokens.allows(second, token), usable) << token;
  }
}

TEST(TokenMatcher, ForcedTextEndsAtAChoice) {
  TokenMatcher tokens(test_trie(), compile_gbnf(R"(root ::= "abc" ("de" | "df") "gh")"));
  const StateId start = tokens.start(0);
  EXPECT_EQ(tokens.forced_text(start, 100).text, "abcd");
  EXPECT_TRUE(tokens.forced_text(start, 100).open);
  EXPECT_EQ(tokens.forced_text(start, 2).text, "ab");
  const StateId later = tokens.advance(start, "abcde");
  EXPECT_EQ(tokens.forced_text(later, 100).text, "gh");
  EXPECT_FALSE(tokens.forced_text(later, 100).open);
}

TEST(TokenMatcher, MemoryStaysBoundedOverALongReply) {
  // Every position of a counted repetition is a state of its own.
  const Program program = compile_gbnf("root ::= (\"(\" root \")\" | [ab]{0,60000} \";\")*");
  TokenMatcher tokens(test_trie(), program);
  Matcher bytes(program);
  std::mt19937 rng(3);
  StateId before = tokens.start(0);
  StateId state = before;
  StateId expected = bytes.start(0);
  for (int i = 0; i < 300'000; ++i) {
    const TokenId id = "(()ab;aabb;)"[rng() % 12];
    const StateId next = tokens.accept(state, id);
    if (next == Matcher::kDead) continue;
    before = state;
    state = next;
    expected = bytes.advance(expected, static_cast<unsigned char>(id));
    StateId* const live[] = {&before, &state};
    tokens.tidy(live);
    StateId* const same[] = {&expected};
    if (bytes.is_large()) bytes.compact(same);
    ASSERT_EQ(tokens.complete(state), bytes.complete(expected));
  }
}

TEST(TokenMatcher, BoundsTheWorkOfOneMask) {
  // Every letter doubles the ways, and every text of letters leads to a state of its own: not too
  // many ways for one word, but for a vocabulary of them.
  std::string gbnf = "root ::= \"\"";
  for (char c = 'a'; c <= 'd'; ++c) {
    gbnf += fmt::format(" | \"{0}\" root \"1{0}\" | \"{0}\" root \"2{0}\"", c);
  }
  tokenizer::Vocabulary vocabulary = test_vocabulary();
  std::mt19937 rng(5);
  std::set<std::string> words;
  while (words.size() < 3000) {
    std::string word;
    for (int k = 0; k < 8; ++k) word += static_cast<char>('a' + rng() % 4);
    words.insert(word);
  }
  for (const std::string& word : words) {
    tokenizer::add_token(vocabulary, word, tokenizer::TokenKind::Normal);
  }
  const tokenizer::Tokenizer tokenizer(vocabulary);
  TokenMatcher tokens(std::make_shared<const TokenTrie>(tokenizer), compile_gbnf(gbnf));
  const StateId start = tokens.start(0);
  EXPECT_TRUE(tokens.allows(start, tokenizer.n_vocab() - 1));
  EXPECT_NE(request_error([&] { (void)tokens.allowed(start); }).find("too ambiguous"),
            std::string::npos);
}

TEST(TokenTrie, NamesTextsEndsAndPadding) {
  const TokenTrie& trie = *test_trie();
  EXPECT_TRUE(trie.ends(special("<|im_end|>")));
  EXPECT_TRUE(trie.ends(special("<|endoftext|>")));
  EXPECT_FALSE(trie.ends(special("<|im_start|>")));
  EXPECT_EQ(trie.text(special("<think>")), "<think>");
  EXPECT_EQ(trie.text(special("<|im_start|>")), "");
  EXPECT_EQ(trie.text(test_tokenizer().n_vocab() - 1), "");
  EXPECT_TRUE(trie.has_byte_token('\xFF'));
}

}  // namespace
}  // namespace foretoken::grammar
