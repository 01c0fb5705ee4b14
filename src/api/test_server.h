// A server without a model and without sockets, for tests of the API: all routes on a scripted
// worker, and requests in a line each. Throws std::runtime_error where a test asks for what is not
// there.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "api/context.h"
#include "api/fake_exchange.h"
#include "api/fake_service.h"
#include "api/json_output.h"
#include "api/routes.h"
#include "chat/prompt_renderer.h"
#include "http/router.h"
#include "tokenizer/test_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::api {

/// Bytes as tokens (their ids are the bytes), then the family's added tokens from 256 on.
inline tokenizer::Tokenizer make_test_tokenizer() {
  using tokenizer::TokenKind;
  tokenizer::Vocabulary vocabulary = tokenizer::bytes_vocabulary();
  for (const char* text : {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>",
                           "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"}) {
    tokenizer::add_token(vocabulary, text, TokenKind::Control);
  }
  for (const char* text : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
    tokenizer::add_token(vocabulary, text, TokenKind::UserDefined);
  }
  return tokenizer::Tokenizer(vocabulary);
}

/// What is immutable and takes time to make (a renderer tries its template on hundreds of probes):
/// made once for all tests of a program.
struct TestModel {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer =
      std::make_shared<const tokenizer::Tokenizer>(make_test_tokenizer());
  std::shared_ptr<const chat::ChatTemplate> chat_template =
      std::make_shared<const chat::ChatTemplate>(chat::ChatTemplate::builtin_source());
  std::shared_ptr<const chat::PromptRenderer> prompts =
      std::make_shared<const chat::PromptRenderer>(chat_template);
  std::shared_ptr<const grammar::TokenTrie> token_trie = grammar::make_token_trie(*tokenizer);

  static const TestModel& get() {
    static const TestModel model;
    return model;
  }
};

/// Context, routes and requests in a line each.
class TestServer {
 public:
  TestServer() {
    const TestModel& model = TestModel::get();
    tokenizer = model.tokenizer;
    context = std::make_shared<Context>();
    context->tokenizer = tokenizer;
    context->chat_template = model.chat_template;
    context->prompts = model.prompts;
    context->token_trie = model.token_trie;
    service = std::make_shared<FakeService>(*tokenizer);
    context->service = service;
    context->log = [this](LogLevel, std::string_view line) {
      const std::scoped_lock lock(log_mutex_);
      log_.emplace_back(line);
    };
    context->model.aliases = {"tiny", "other"};
    context->model.path = "/models/tiny.gguf";
    context->model.n_vocab = tokenizer->n_vocab();
    context->model.n_mtp_layers = 1;
    context->settings.build_info = "b1-ft0123abc";
    context->settings.media_marker = "<__media_x__>";
    context->started_unix = 1700000000;
    const ContextSource source = [this]() -> ContextPtr { return loading ? nullptr : context; };
    add_status_routes(router, source);
    add_slot_routes(router, source);
    add_tokenizer_routes(router, source);
    add_completion_routes(router, source);
    add_chat_routes(router, source);
    add_refused_routes(router, source);
  }

  std::shared_ptr<FakeExchange> send(const std::string& method, const std::string& path,
                                     const std::string& body = "",
                                     const std::map<std::string, std::string>& query = {}) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.peer = "10.0.0.7";
    for (const auto& [name, value] : query) request.query[name] = value;
    std::vector<std::string> other_methods;
    const auto match = router.find(method, path, other_methods);
    require(match.has_value(), "no route for " + method + " " + path);
    request.parameters = match->parameters;
    auto exchange = std::make_shared<FakeExchange>(std::move(request));
    (*match->handler)(exchange);
    return exchange;
  }
  std::shared_ptr<FakeExchange> post(const std::string& path, const Json& body) {
    return send("POST", path, body.dump());
  }

  ~TestServer() { service->stop(); }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  struct Answer {
    int status = 0;
    Json json;
  };
  /// The whole answer of a request that does not stream.
  Answer ask(const std::string& path, const Json& body) { return finish(post(path, body)); }
  Answer get(const std::string& path, const std::map<std::string, std::string>& query = {}) {
    return finish(send("GET", path, "", query));
  }
  static Answer finish(const std::shared_ptr<FakeExchange>& exchange) {
    exchange->wait();
    require(!exchange->streamed(), "a stream instead of a whole answer");
    return {exchange->response().status, Json::parse(exchange->response().body)};
  }
  /// The records of a stream; "[DONE]" is the string "[DONE]".
  std::vector<Json> stream(const std::string& path, Json body) {
    body["stream"] = true;
    const auto exchange = post(path, body);
    exchange->wait();
    require(exchange->streamed(), "no stream: " + exchange->response().body);
    return records(*exchange);
  }
  static std::vector<Json> records(const FakeExchange& exchange) {
    std::vector<Json> out;
    for (const std::string& piece : exchange.pieces()) {
      require(piece.starts_with("data: ") && piece.ends_with("\n\n"), "no record: " + piece);
      const std::string text = piece.substr(6, piece.size() - 8);
      out.push_back(text == "[DONE]" ? Json(text) : Json::parse(text));
    }
    return out;
  }
  std::vector<std::string> log() const {
    const std::scoped_lock lock(log_mutex_);
    return log_;
  }

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  std::shared_ptr<Context> context;
  std::shared_ptr<FakeService> service;
  http::Router router;
  bool loading = false;

 private:
  static void require(bool condition, const std::string& otherwise) {
    if (!condition) throw std::runtime_error(otherwise);
  }

  mutable std::mutex log_mutex_;
  std::vector<std::string> log_;
};

/// {"messages": [one user message]}.
inline Json user_says(const std::string& text) {
  Json message = {{"role", "user"}, {"content", text}};
  Json body = Json::object();
  body["messages"] = Json::array({message});
  return body;
}

/// Names of an object's members, in order.
inline std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

}  // namespace foretoken::api
