// The engine against Jinja2's own output, case by case, and its behaviour where the two differ on
// purpose: marks, limits, places in error texts.
#include "chat/jinja/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace foretoken::chat::jinja {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

Text render(std::string_view source, const Json& variables = Json::object(),
            const Limits& limits = {}) {
  const Program program(source, limits);
  std::vector<Variable> list;
  for (const auto& [name, value] : variables.items()) list.push_back({name, &value, false});
  return program.render(list);
}

std::string error_of(std::string_view source, const Json& variables = Json::object(),
                     const Limits& limits = {}) {
  try {
    return "rendered: " + render(source, variables, limits).bytes();
  } catch (const TemplateError& error) {
    return error.what();
  }
}

TemplateError::Cause cause_of(std::string_view source, const Limits& limits = {}) {
  try {
    render(source, Json::object(), limits);
  } catch (const TemplateError& error) {
    return error.cause();
  }
  ADD_FAILURE() << "no error";
  return TemplateError::Cause::Raised;
}

// The default limits take a second or so to reach; these make the point as well.
constexpr Limits kSmall{.max_steps = 200'000, .max_bytes = std::size_t{8} << 20};

/// Untrusted stretches in brackets.
std::string marked(const Text& text) {
  std::string out;
  std::size_t begin = 0;
  for (const Text::Run& run : text.runs()) {
    const std::string part = text.bytes().substr(begin, run.end - begin);
    out += run.trusted ? part : "[" + part + "]";
    begin = run.end;
  }
  return out;
}

TEST(JinjaProgram, RendersWhatJinja2Renders) {
  std::ifstream file(FORETOKEN_SOURCE_DIR "/tests/data/jinja/cases.json");
  const Json data = Json::parse(file);
  ASSERT_GT(data["cases"].size(), 400u);
  for (const Json& c : data["cases"]) {
    const auto& source = c["template"].get_ref<const std::string&>();
    SCOPED_TRACE(source);
    if (c.contains("error")) {
      EXPECT_THAT(error_of(source, data["variables"]), ::testing::Not(HasSubstr("rendered: ")));
      continue;
    }
    try {
      EXPECT_EQ(render(source, data["variables"]).bytes(), c["rendered"]);
    } catch (const TemplateError& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(JinjaProgram, MarksLiteralsTrustedAndVariablesNot) {
  EXPECT_EQ(marked(render("<a>{{ u }}</a>", {{"u", "<b>"}})), "<a>[<b>]</a>");
}

TEST(JinjaProgram, KeepsMarksThroughStringOperations) {
  const Json u = {{"u", " xay "}, {"l", {"p", "q"}}, {"d", {{"k", "v"}}}};
  EXPECT_EQ(marked(render("{{ ('<' ~ u ~ '>') | trim('<') }}", u)), "[ xay ]>");
  EXPECT_EQ(marked(render("{{ (u | trim)[1:] + '!' }}", u)), "[ay]!");
  EXPECT_EQ(marked(render("{{ u.replace('a', '-') }}", u)), "[ x]-[y ]");
  EXPECT_EQ(marked(render("{{ '-a-'.replace('a', u) }}", u)), "-[ xay ]-");
  EXPECT_EQ(marked(render("{{ u.split('a')[0] ~ '|' }}", u)), "[ x]|");
  EXPECT_EQ(marked(render("{{ ('a' ~ u) | upper }}", u)), "A[ XAY ]");
  EXPECT_EQ(marked(render("{{ l | join(', ') }}", u)), "[p], [q]");
  EXPECT_EQ(marked(render("{{ d | tojson }}", u)), "{\"[k]\": \"[v]\"}");
  EXPECT_EQ(marked(render("{{ ('a' ~ u)[::-1] }}", u)), "[ yax ]a");
  EXPECT_EQ(marked(render("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(u) }}", u)), "<[ xay ]>");
  EXPECT_EQ(marked(render("{% set x %}<{{ u }}>{% endset %}{{ x | trim }}", u)), "<[ xay ]>");
  EXPECT_EQ(marked(render("{% filter upper %}b{{ u }}{% endfilter %}", u)), "B[ XAY ]");
}

TEST(JinjaProgram, EscapesInsideUserTextStayUntrusted) {
  EXPECT_EQ(marked(render("{{ u | tojson }}", {{"u", "a\"b"}})), "\"[a\\\"b]\"");
}

TEST(JinjaProgram, NamesLineAndColumnOfSyntaxErrors) {
  EXPECT_THAT(error_of("a\n  {% if x %}\n{{ 1 + }}"), HasSubstr("line 3, column 8"));
  EXPECT_THAT(error_of("a\n{{ 'x"), HasSubstr("line 2, column 4: this string is never closed"));
  EXPECT_THAT(error_of("{% for x in y %}"), HasSubstr("'endfor'"));
}

TEST(JinjaProgram, NamesLineAndColumnOfEvaluationErrors) {
  EXPECT_THAT(
      error_of("\n\n {{ 1 + nope }}"),
      HasSubstr("line 3, column 7: '+' does not apply to int and 'nope', which is undefined"));
  EXPECT_THAT(error_of("{{ a.b.c }}", {{"a", Json::object()}}), HasSubstr("'b' is undefined"));
  EXPECT_THAT(error_of("{{ 'x' | frobnicate }}"), HasSubstr("'frobnicate' is not supported"));
}

TEST(JinjaProgram, RaisesTheTemplatesOwnTextUnchanged) {
  EXPECT_EQ(error_of("{{ raise_exception('Only ' ~ 2) }}"), "Only 2");
  EXPECT_EQ(cause_of("{{ raise_exception('x') }}"), TemplateError::Cause::Raised);
}

TEST(JinjaProgram, RefusesUnboundedWork) {
  EXPECT_EQ(
      cause_of(
          "{% for a in range(1000000) %}{% for b in range(1000000) %}{% endfor %}{% endfor %}"),
      TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{{ range(10 ** 30) }}", kSmall), TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", kSmall),
            TemplateError::Cause::Limit);
  std::string maps = "{{ 'a' | map('map'";  // each maps over 'a', which holds 'a', without end
  for (int i = 0; i < 1000; ++i) maps += ", 'map'";
  EXPECT_EQ(cause_of(maps + ") }}"), TemplateError::Cause::Limit);
}

TEST(JinjaProgram, RefusesUnboundedMemory) {
  EXPECT_EQ(cause_of("{{ 'a' * 10 ** 18 }}", kSmall), TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{{ [1] * 10 ** 18 }}", kSmall), TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{% set ns = namespace(s='ab') %}{% for i in range(99) %}"
                     "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                     kSmall),
            TemplateError::Cause::Limit);
  EXPECT_EQ(
      cause_of(
          "{% set ns = namespace(s='a' * 9999) %}{{ ns.s.replace('a', ns.s).replace('a', ns.s) }}"),
      TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{% set ns = namespace(x=[]) %}{% for i in range(999) %}"
                     "{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
                     kSmall),
            TemplateError::Cause::Limit);
}

TEST(JinjaProgram, RefusesExponentialSharedValues) {
  // 100 levels of pairs fit the depth limit, but written out they would be 2^100 items.
  const std::string build =
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_EQ(cause_of(build + "{{ ns.x | tojson }}", kSmall), TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of(build + "{{ ns.x }}", kSmall), TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of(build + "{% set a = ns.x %}" + build + "{{ a == ns.x }}", kSmall),
            TemplateError::Cause::Limit);
}

TEST(JinjaProgram, RefusesDeepTemplatesAndValues) {
  EXPECT_EQ(cause_of("{{ " + std::string(100000, '(') + "1" + std::string(100000, ')') + " }}"),
            TemplateError::Cause::Limit);
  EXPECT_EQ(cause_of("{{ " + std::string(100000, '[') + std::string(100000, ']') + " }}"),
            TemplateError::Cause::Limit);
  std::string sum = "{{ 1";
  for (int i = 0; i < 100000; ++i) sum += "+1";
  EXPECT_EQ(cause_of(sum + " }}"), TemplateError::Cause::Limit);
  std::string ifs;
  for (int i = 0; i < 50000; ++i) ifs += "{% if 1 %}";
  EXPECT_EQ(cause_of(ifs), TemplateError::Cause::Limit);
  Json deep = 1;
  for (int i = 0; i < 5000; ++i) deep = Json::array({std::move(deep)});
  EXPECT_THAT(error_of("{{ x }}", {{"x", std::move(deep)}}), HasSubstr("nested more than 128"));
}

TEST(JinjaProgram, FreesNamespacesThatReferToEachOther) {
  // The leak checker of the sanitizer build is the judge.
  EXPECT_EQ(render("{% set a = namespace() %}{% set a.self = a %}{% set b = namespace(a=a) %}"
                   "{% set a.b = b %}{{ a.b.a.self.b is defined }}")
                .bytes(),
            "True");
}

TEST(JinjaProgram, GroupsGenerationBlocks) {
  EXPECT_EQ(render("{% generation %}\na{% endgeneration %}").bytes(), "a");
}

TEST(JinjaProgram, FormatsTheCurrentDate) {
  const std::string year = render("{{ strftime_now('%Y') }}").bytes();
  ASSERT_EQ(year.size(), 4u);
  EXPECT_GE(std::stoi(year), 2024);
}

}  // namespace
}  // namespace foretoken::chat::jinja
