#include "tokenizer/pretokenize.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <string>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::tokenizer {
namespace {

// The expressions as the published tokenizer.json files spell them.
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

struct NamedExpression {
  std::string_view name;
  std::string_view expression;
};
constexpr std::array<NamedExpression, 2> kExpressions = {{{"qwen35", kQwen35}, {"qwen2", kQwen2}}};

// Members of a character class that make it Unicode's White_Space. PCRE2's own \s also takes
// U+180E, which lost that property in Unicode 6.3.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

/// The expression for PCRE2: \s and \S spelled out.
std::string with_white_space(std::string_view expression) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    const char escaped = c == '\\' && i + 1 < expression.size() ? expression[i + 1] : '\0';
    if (escaped == 's' && in_class) {
      out += kWhiteSpace;
    } else if (escaped == 's' || escaped == 'S') {
      out.append(escaped == 's' ? "[" : "[^").append(kWhiteSpace).append("]");
    } else {
      out += c;
      continue;
    }
    ++i;
  }
  return out;
}

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

constexpr std::size_t kStackStartBytes = 32 << 10;
constexpr std::size_t kStackLimitBytes = 1 << 20;

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 128> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

std::string_view pre_tokenizer_expression(std::string_view name) {
  for (const auto& known : kExpressions) {
    if (known.name == name) return known.expression;
  }
  return {};
}

std::string_view pre_tokenizer_name(std::string_view expression) {
  for (const auto& known : kExpressions) {
    if (known.expression == expression) return known.name;
  }
  return {};
}

struct PreTokenizer::Code {
  Owned<pcre2_code> code;
};

struct PreTokenizer::Matcher::State {
  const pcre2_code* code;
  Owned<pcre2_match_data> data;
  Owned<pcre2_match_context> context;
  Owned<pcre2_jit_stack> stack;
};

PreTokenizer::PreTokenizer(std::string_view name, std::string_view file)
    : code_(std::make_unique<Code>()) {
  const std::string_view expression = pre_tokenizer_expression(name);
  if (expression.empty()) {
    throw UnsupportedError(fmt::format(
        "{}: the pre-tokenizer (tokenizer.ggml.pre) is {}; supported are qwen35 and qwen2", file,
        foretoken::quoted(name)));
  }
  const std::string pattern = with_white_space(expression);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset,
                                  nullptr));
  if (!code_->code) {
    throw UnsupportedError(fmt::format("PCRE2 rejects the pre-tokenizer {} at {}: {}", name, offset,
                                       error_text(error)));
  }
  // Where the system forbids new executable pages this fails, and matching is interpreted.
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
}

PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

PreTokenizer::Matcher::Matcher(const PreTokenizer& pre_tokenizer)
    : state_(std::make_unique<State>()) {
  state_->code = pre_tokenizer.code_->code.get();
  state_->data.reset(pcre2_match_data_create(1, nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  state_->stack.reset(pcre2_jit_stack_create(kStackStartBytes, kStackLimitBytes, nullptr));
  if (!state_->data || !state_->context) throw std::bad_alloc();
  // The counter would stop very long runs; their time is linear in our expressions.
  pcre2_set_match_limit(state_->context.get(), UINT32_MAX);
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}

PreTokenizer::Matcher::Matcher(Matcher&&) noexcept = default;
PreTokenizer::Matcher& PreTokenizer::Matcher::operator=(Matcher&&) noexcept = default;
PreTokenizer::Matcher::~Matcher() = default;

std::size_t PreTokenizer::Matcher::expression_piece_length(std::string_view text, std::size_t pos) {
  const int result =
      pcre2_match(state_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), pos,
                  PCRE2_NO_UTF_CHECK, state_->data.get(), state_->context.get());
  if (result < 0) {
    // Every character starts some alternative, so this is a limit of PCRE2.
    throw RequestError(fmt::format("cannot cut {} bytes of text into pieces: {}", text.size() - pos,
                                   error_text(result)));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state_->data.get());
  return range[1] - range[0];
}

}  // namespace foretoken::tokenizer
