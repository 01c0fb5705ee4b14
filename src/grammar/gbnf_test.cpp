// GBNF: what is read, what is refused and where, and that printing keeps the language.
#include "grammar/gbnf.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "grammar/test_grammar.h"

namespace foretoken::grammar {
namespace {

std::string error_of(std::string_view gbnf) {
  return request_error([&] { compile_gbnf(gbnf); });
}

TEST(Gbnf, ReadsLiteralsAndTheirEscapes) {
  EXPECT_TRUE(accepts(R"(root ::= "a\"b\\c\n\r\t\x41\u00e9\U0001F600\[\]\-")",
                      "a\"b\\c\n\r\tA\xC3\xA9\xF0\x9F\x98\x80[]-"));
  EXPECT_FALSE(accepts(R"(root ::= "ab")", "a"));
  EXPECT_FALSE(accepts(R"(root ::= "ab")", "abc"));
  EXPECT_TRUE(accepts(R"(root ::= "")", ""));
  EXPECT_TRUE(accepts("root ::= \"\xE4\xB8\xAD\"", "\xE4\xB8\xAD"));
}

TEST(Gbnf, ReadsClassesRangesAndNegation) {
  const std::string_view some = R"(root ::= [a-c0_\]\-\n])";
  for (const char* yes : {"a", "b", "c", "0", "_", "]", "-", "\n"}) {
    EXPECT_TRUE(accepts(some, yes)) << yes;
  }
  for (const char* no : {"d", "1", "[", "", "ab"}) EXPECT_FALSE(accepts(some, no)) << no;
  const std::string_view others = R"(root ::= [^a-c"])";
  for (const char* yes : {"d", "\xC3\xA9", "\xE4\xB8\xAD", "\xF0\x9F\x98\x80", "\n", "^"}) {
    EXPECT_TRUE(accepts(others, yes)) << yes;
  }
  for (const char* no : {"a", "b", "\"", "\xC3", "\xFF", "\xED\xA0\x80", "\xC0\x80"}) {
    EXPECT_FALSE(accepts(others, no)) << no;
  }
  EXPECT_TRUE(accepts("root ::= [a-]", "-"));
  EXPECT_TRUE(accepts("root ::= .", "\xE4\xB8\xAD"));
  EXPECT_TRUE(accepts("root ::= .", "\n"));
  EXPECT_TRUE(accepts("root ::= [\xE3\x81\x81-\xE3\x82\x9F]+", "\xE3\x81\x82\xE3\x82\x8C"));
}

TEST(Gbnf, RangesCutUtf8Exactly) {
  // Every code point around the places where the encoding changes its length or skips.
  const CharRanges ranges = normalized(
      {{0x7E, 0x81}, {0x7FE, 0x802}, {0xD7FE, 0xE001}, {0xFFFE, 0x10001}, {0x10FFFE, 0x10FFFF}});
  const ByteDfa dfa = make_class_dfa(ranges);
  const auto matches = [&](char32_t code) {
    std::string text;
    tokenizer::append_utf8(text, code);
    std::uint16_t state = 0;
    for (const char byte : text) {
      if (state >= ByteDfa::kDone) return false;
      state = dfa.rows[state][static_cast<unsigned char>(byte)];
    }
    return state == ByteDfa::kDone;
  };
  for (char32_t code = 0; code <= kLastChar; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    const bool inside = std::ranges::any_of(
        ranges, [&](const CharRange& r) { return r.first <= code && code <= r.last; });
    ASSERT_EQ(matches(code), inside) << static_cast<unsigned>(code);
  }
}

TEST(Gbnf, ReadsRepetitions) {
  const auto lengths = [](std::string_view gbnf) {
    std::string out;
    for (std::size_t n = 0; n < 8; ++n) {
      if (accepts(gbnf, std::string(n, 'a'))) out += std::to_string(n);
    }
    return out;
  };
  EXPECT_EQ(lengths(R"(root ::= "a"*)"), "01234567");
  EXPECT_EQ(lengths(R"(root ::= "a"+)"), "1234567");
  EXPECT_EQ(lengths(R"(root ::= "a"?)"), "01");
  EXPECT_EQ(lengths(R"(root ::= "a"{3})"), "3");
  EXPECT_EQ(lengths(R"(root ::= "a"{ 2 , 4 })"), "234");
  EXPECT_EQ(lengths(R"(root ::= "a"{5,})"), "567");
  EXPECT_EQ(lengths(R"(root ::= "a"{0,2})"), "012");
  EXPECT_EQ(lengths(R"(root ::= "a"{0})"), "0");
  EXPECT_EQ(lengths(R"(root ::= "aa"{1,2})"), "24");
  EXPECT_EQ(lengths(R"(root ::= ("a" "a"{1,2}){2})"), "456");
  EXPECT_EQ(lengths(R"(root ::= ("a"?)*)"), "01234567");
  EXPECT_EQ(lengths(R"(root ::= ("a"*)+ "a")"), "1234567");
  EXPECT_EQ(lengths(R"(root ::= ((("a"+)+)+)+)"), "1234567");
  // An upper bound nobody counts to is none.
  EXPECT_EQ(lengths(R"(root ::= "a"{2,4000000000000000000000})"), "234567");
}

TEST(Gbnf, ReadsRulesOverSeveralLinesWithComments) {
  const std::string_view gbnf =
      "# a list\r\n"
      "root ::= ( # comment\n  item\n  # another\n  (\",\" item)*\n)\n\n"
      "item ::= \"x\" |\n  \"y\" # end\n"
      "  | \"never\"\n";
  EXPECT_EQ(error_of(gbnf).substr(0, 16),
            "grammar, line 10");  // a bar needs to end the line before
  const std::string_view good =
      "root ::= (\n  item\n  (\",\" item)*\n)\n\nitem ::=\n  \"x\" |\n  \"y\" # end\n";
  EXPECT_TRUE(accepts(good, "x,y,x"));
  EXPECT_FALSE(accepts(good, "x,"));
}

TEST(Gbnf, RulesMayRecurInTheMiddleAndAtTheEnd) {
  const std::string_view nested = "root ::= \"(\" root \")\" | \"\"";
  EXPECT_TRUE(accepts(nested, "((()))"));
  EXPECT_FALSE(accepts(nested, "(()"));
  EXPECT_TRUE(accepts(R"(root ::= "a" root | "b")", std::string(100'000, 'a') + "b"));
}

TEST(Gbnf, NamesTheLineAndColumnOfAMistake) {
  EXPECT_EQ(error_of("root ::= \"a\"\nb ::= [x"),
            "grammar, line 2, column 7: this character class has no closing bracket");
  EXPECT_EQ(error_of("root ::= missing"),
            "grammar, line 1, column 10: rule 'missing' is used but not defined");
  EXPECT_EQ(error_of("root = \"a\""),
            "grammar, line 1, column 6: expected ::= behind 'root', found '='");
  EXPECT_EQ(error_of("x ::= \"a\""), "grammar: there is no rule named 'root'");
  EXPECT_EQ(error_of("root ::= *"),
            "grammar, line 1, column 10: nothing stands before '*' to be repeated");
  EXPECT_EQ(
      error_of("root ::= \"\\q\""),
      "grammar, line 1, column 11: unknown escape; known are \\x \\u \\U \\t \\r \\n \\\\ \\\" "
      "\\[ \\] \\-");
  EXPECT_EQ(error_of("root ::= (\"a\""),
            "grammar, line 1, column 14: expected ) at the end of a group, found the end");
  for (const char* bad :
       {"root ::= \"a", "root ::= []", "root ::= [^]", "root ::= [b-a]", "root ::= \"a\"{2,1}",
        "root ::= \"a\"{x}", "root ::= \"a\"{1", "root ::= )", "root ::= \"\\xZZ\"",
        "root ::= \"\\uD800\"", "root ::= \"\xFF\"", "root ::= a b ::= c", "::= \"a\"", "root",
        "root ::= \"a\"{70000,}", "root ::= <think>", "root ::= <[5]>", "root ::= !\"a\"",
        "root ::= \"a\"*****"}) {
    EXPECT_NE(error_of(bad), "") << bad;
  }
}

TEST(Gbnf, RefusesLeftRecursion) {
  for (const char* gbnf : {"root ::= root \"a\"", "root ::= a \"x\"\na ::= b\nb ::= \"y\"? a",
                           "root ::= (\"\" | \"x\")* root \"z\"", "root ::= root"}) {
    EXPECT_NE(error_of(gbnf).find("left recursion"), std::string::npos) << gbnf;
  }
}

TEST(Gbnf, BoundsBombs) {
  EXPECT_NE(error_of("root ::= " + std::string(200, '(') + "\"a\"" + std::string(200, ')')), "");
  EXPECT_NE(error_of("root ::= " + std::string(5'000'000, ' ') + "\"a\""), "");
  std::string many;
  for (int i = 0; i < 200'000; ++i) many += "\"a\" ";
  EXPECT_NE(error_of("root ::= " + many), "");
  // Nested counts add up instead of multiplying.
  EXPECT_TRUE(begins(R"(root ::= (((("a"{1000}){1000}){1000}){1000}){1000})", "aaaa"));
  // Long chains of rules are no deep recursion.
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 20'000; ++i) {
    chain += "r" + std::to_string(i) + " ::= \"\"? r" + std::to_string(i + 1) + "\n";
  }
  EXPECT_TRUE(accepts(chain + "r20000 ::= \"a\"", "a"));
}

TEST(Gbnf, AmbiguityBeyondBoundsIsAnErrorNotAHang) {
  // Each "a" doubles the ways in which the rest may go on.
  Matcher matcher(compile_gbnf(R"(root ::= "a" root "b" | "a" root "c" | "")"));
  const std::string error = request_error([&] {
    StateId state = matcher.start(0);
    for (int i = 0; i < 100; ++i) state = matcher.advance(state, 'a');
  });
  EXPECT_NE(error.find("too ambiguous"), std::string::npos) << error;
}

TEST(Gbnf, PrintedRulesMeanTheSame) {
  const std::string_view gbnf =
      "root ::= (\"a\" | b{2,3} [^x\\n-]+)* \"\\\\\\\"\xC3\xA9\\x01\" | [a\\]^]? (b (\"q\" | "
      "\"\"))\n"
      "b ::= [0-9a\\-]{3} | . \"z\"{2,} (\"w\"?)+\n";
  Rules rules;
  parse_gbnf(rules, gbnf);
  const std::string printed = to_gbnf(rules, require_root(rules));
  Rules again;
  parse_gbnf(again, printed);
  EXPECT_EQ(to_gbnf(again, require_root(again)), printed);
  for (const char* text :
       {"aa\\\"\xC3\xA9\x01", "^123q", "123", "]xzzw", "a1231230yyy\\\"\xC3\xA9\x01", "azz", "x",
        "", "^", "123q", "123123x\\\"\xC3\xA9\x01"}) {
    EXPECT_EQ(accepts(gbnf, text), accepts(printed, text)) << text;
  }
}

TEST(Gbnf, TokensAreNamedByIdOrText) {
  Rules rules;
  GbnfOptions options;
  options.n_tokens = 10;
  options.find_token = [](std::string_view text) {
    return text == "<think>" ? std::optional<TokenId>(7) : std::nullopt;
  };
  parse_gbnf(rules, "root ::= <think> !<[3]>* \"x\"", options);
  Matcher matcher(compile(rules, {rules.rule(require_root(rules))}));
  const StateId start = matcher.start(0);
  EXPECT_TRUE(matcher.wants_token(start));
  EXPECT_EQ(matcher.advance_token(start, 6, false), Matcher::kDead);
  const StateId inside = matcher.advance_token(start, 7, false);
  ASSERT_NE(inside, Matcher::kDead);
  EXPECT_EQ(matcher.advance_token(inside, 3, false), Matcher::kDead);
  EXPECT_EQ(matcher.advance_token(inside, 4, true), Matcher::kDead);
  EXPECT_EQ(matcher.advance_token(inside, 4, false), inside);
  EXPECT_TRUE(matcher.complete(matcher.advance(inside, 'x')));
  EXPECT_NE(request_error([&] { parse_gbnf(rules, "root ::= <[10]>", options); }), "");
  EXPECT_NE(request_error([&] { parse_gbnf(rules, "root ::= <other>", options); }), "");
}

}  // namespace
}  // namespace foretoken::grammar
