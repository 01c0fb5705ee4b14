// POST /tokenize, /detokenize and /apply-template: what a prompt becomes, without inference.
#include "api/chat_run.h"
#include "api/completion_prompt.h"
#include "api/field_reader.h"
#include "api/handler.h"
#include "api/json_output.h"
#include "api/request_body.h"
#include "api/routes.h"
#include "base/text.h"

namespace foretoken::api {
namespace {

/// Text, or the byte values where a token is not whole characters.
Json piece_json(std::string_view piece) {
  for (std::size_t i = 0; i < piece.size();) {
    const std::size_t length = utf8_length(piece.substr(i));
    if (length == 0) {
      Json bytes = Json::array();
      for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
      return bytes;
    }
    i += length;
  }
  return std::string(piece);
}

void tokenize(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  const FieldReader read(*context, body);
  Json list = Json::array();
  if (const Json* content = find_field(body, "content")) {
    // add_special is accepted: vocabularies of this family put nothing in front of a text.
    const bool with_pieces = read.boolean({"with_pieces"}, false);
    for (const TokenId id :
         tokenize_mixed(*context, *content, read.boolean({"parse_special"}, true))) {
      if (with_pieces) {
        list.push_back({{"id", id}, {"piece", piece_json(context->tokenizer->piece(id))}});
      } else {
        list.push_back(id);
      }
    }
  }
  Json answer = Json::object();
  answer["tokens"] = std::move(list);
  exchange->respond(json_response(answer));
}

void detokenize(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const Json body = parse_body(exchange->request().body);
  std::string content;
  if (const Json* tokens = find_field(body, "tokens")) {
    content = context->tokenizer->decode(read_token_ids(*context, *tokens, "tokens"));
  }
  exchange->respond(json_response({{"content", content}}));
}

void apply_template(const ContextPtr& context, const http::ExchangePtr& exchange) {
  const auto request = parse_chat_request(*context, parse_body(exchange->request().body));
  exchange->respond(json_response({{"prompt", prompt_text(*request)}}));
}

}  // namespace

void add_tokenizer_routes(http::Router& router, const ContextSource& context) {
  router.add("POST", "/tokenize", with_context(context, tokenize));
  router.add("POST", "/detokenize", with_context(context, detokenize));
  router.add("POST", "/apply-template", with_context(context, apply_template));
}

}  // namespace foretoken::api
