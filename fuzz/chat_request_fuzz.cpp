// Bodies of requests, whatever they hold: taken, or refused with a RequestError. What is taken has
// prompts of known tokens and parameters that the sampler accepts.
// Input: one byte that says which endpoint, then the body.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "api/chat_request.h"
#include "api/chat_run.h"
#include "api/completion_prompt.h"
#include "api/infill_prompt.h"
#include "api/request_body.h"
#include "api/slot_file_name.h"
#include "base/error.h"
#include "chat/prompt_renderer.h"
#include "tokenizer/test_vocabulary.h"

namespace {

using namespace foretoken;  // a single program, not a header

void require(bool condition) {
  if (!condition) std::abort();
}

/// Says how large slots are and is asked nothing else.
class NoService : public scheduler::Service {
 public:
  std::variant<scheduler::RequestId, scheduler::Refusal> submit(scheduler::Request) override {
    return scheduler::Refusal::Stopping;
  }
  void cancel(scheduler::RequestId) override {}
  void slot_action(scheduler::SlotAction,
                   std::function<void(scheduler::SlotActionResult)>) override {}
  int n_slots() const override { return 4; }
  int slot_context() const override { return 4096; }
  std::vector<scheduler::SlotInfo> slots() const override { return {}; }
  scheduler::Metrics metrics() const override { return {}; }
  scheduler::SpeculationState speculation() const override { return {}; }
};

const api::Context& context() {
  static const std::unique_ptr<const api::Context> made = [] {
    tokenizer::Vocabulary vocabulary = tokenizer::bytes_vocabulary();
    using tokenizer::TokenKind;
    for (const char* text : {"<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>",
                             "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"}) {
      tokenizer::add_token(vocabulary, text, TokenKind::Control);
    }
    for (const char* text : {"<think>", "</think>", "<tool_call>", "</tool_call>"}) {
      tokenizer::add_token(vocabulary, text, TokenKind::UserDefined);
    }
    auto out = std::make_unique<api::Context>();
    out->tokenizer = std::make_shared<const tokenizer::Tokenizer>(vocabulary);
    out->chat_template =
        std::make_shared<const chat::ChatTemplate>(chat::ChatTemplate::builtin_source());
    out->prompts = std::make_shared<const chat::PromptRenderer>(out->chat_template);
    out->service = std::make_shared<NoService>();
    out->log = [](LogLevel, std::string_view) {};
    return out;
  }();
  return *made;
}

void require_known(const std::vector<TokenId>& tokens) {
  for (const TokenId id : tokens) require(id >= 0 && id < context().tokenizer->n_vocab());
}

void require_sane(const api::RequestFields& fields) {
  sampling::validate(fields.sampling, context().tokenizer->n_vocab());
  require(fields.n_choices >= 1 && fields.n_choices <= 4 && fields.n_predict >= -1);
  require(fields.grammar.empty() || !fields.schema);
  for (const std::string& word : fields.stop) require(!word.empty());
}

void read_chat(const api::Json& body) {
  const auto request = api::parse_chat_request(context(), body);
  require(!request->prompt.empty());
  require_known(request->prompt);
  require_sane(request->fields);
  require(context().tokenizer->decode(request->prompt).size() > 0);
}

void read_completion(const api::Json& body) {
  require_sane(api::read_request_fields(context(), body));
  if (const api::Json* prompt = api::find_field(body, "prompt")) {
    for (const auto& one : api::read_prompts(context(), *prompt)) require_known(one);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 4 == 3) {
      const std::string name = api::checked_slot_file_name(std::string(text));
      require(name.find('/') == std::string::npos && name.find("..") == std::string::npos);
      return 0;
    }
    const api::Json body = api::parse_body(text);
    if (data[0] % 4 == 0) read_chat(body);
    if (data[0] % 4 == 1) read_completion(body);
    if (data[0] % 4 == 2) require(api::infill_prompt(context(), body, 256).size() <= 260);
  } catch (const RequestError&) {
  }
  return 0;
}
