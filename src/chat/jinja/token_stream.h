// The parser's view of the tokens: one token of look-ahead, expectations, and the depth guard.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/error.h"
#include "chat/jinja/lexer.h"

namespace foretoken::chat::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, int max_depth)
      : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  const Token& peek(std::size_t ahead = 0) const {
    const std::size_t last = tokens_.size() - 1;
    return tokens_[next_ + ahead < last ? next_ + ahead : last];
  }
  Token take() {
    Token token = peek();
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  Position at() const { return peek().at; }

  bool is_name(std::string_view name, std::size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::Name && peek(ahead).text == name;
  }
  bool is_operator(std::string_view op, std::size_t ahead = 0) const {
    return peek(ahead).kind == TokenKind::Operator && peek(ahead).text == op;
  }
  bool accept_name(std::string_view name) { return is_name(name) && (take(), true); }
  bool accept_operator(std::string_view op) { return is_operator(op) && (take(), true); }
  void expect_operator(std::string_view op) {
    if (!accept_operator(op)) fail("expected '" + std::string(op) + "', found " + describe());
  }
  std::string expect_name(std::string_view what) {
    if (peek().kind != TokenKind::Name) {
      fail("expected " + std::string(what) + ", found " + describe());
    }
    return take().text;
  }
  void expect(TokenKind kind, std::string_view what) {
    if (peek().kind != kind) fail("expected " + std::string(what) + ", found " + describe());
    take();
  }

  /// The next token in words.
  std::string describe() const {
    switch (peek().kind) {
      case TokenKind::End:
        return "the end of the template";
      case TokenKind::Text:
        return "text";
      case TokenKind::PrintBegin:
        return "'{{'";
      case TokenKind::PrintEnd:
        return "'}}'";
      case TokenKind::BlockBegin:
        return "'{%'";
      case TokenKind::BlockEnd:
        return "'%}'";
      case TokenKind::String:
        return "a string";
      case TokenKind::Name:
      case TokenKind::Integer:
      case TokenKind::Float:
      case TokenKind::Operator:
        break;
    }
    return "'" + peek().text + "'";
  }
  [[noreturn]] void fail(const std::string& message) const { fail_at(at(), message); }
  [[noreturn]] static void fail_at(Position at, const std::string& message) {
    throw TemplateError(TemplateError::Cause::Syntax, at, message);
  }

  int max_depth() const { return max_depth_; }
  [[noreturn]] void fail_depth(Position at) const {
    throw TemplateError(TemplateError::Cause::Limit, at,
                        "the template nests more than " + std::to_string(max_depth_) + " deep");
  }
  /// Held while a nested construct is parsed.
  class Nesting {
   public:
    explicit Nesting(TokenStream& stream) : stream_(stream) {
      if (++stream_.depth_ > stream_.max_depth_) {
        --stream_.depth_;
        stream_.fail_depth(stream_.at());
      }
    }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() { --stream_.depth_; }

   private:
    TokenStream& stream_;
  };

 private:
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  int max_depth_;
  int depth_ = 0;
};

}  // namespace foretoken::chat::jinja
