// One reply of a completion request: the worker's tokens become parts of text with the tokens and
// log-probabilities that belong to them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/chat_run.h"
#include "api/context.h"
#include "api/native_answer.h"
#include "api/request_fields.h"
#include "api/submit.h"
#include "api/text_stream.h"

namespace foretoken::api {

/// Text that became final, and the tokens it came from.
struct CompletionPart {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<TokenLogprob> logprobs;

  void append(CompletionPart other);
};

struct CompletionFinish {
  scheduler::FinishReason reason = scheduler::FinishReason::EndOfText;
  StopType stop_type = StopType::None;
  std::string stopping_word;
  std::string error;
  bool bad_request = false;  ///< the error is because of what was asked for
  bool has_new_line = false;
  int n_past = 0;
  scheduler::Timings timings;
};

/// Called on the worker's thread, in order.
class CompletionListener {
 public:
  virtual ~CompletionListener() = default;
  virtual void on_start(int slot) = 0;
  virtual void on_progress(int processed, int total, const scheduler::Timings& timings) = 0;
  /// Text came out. Tokens whose text is held back come with a later part, those of a stop string
  /// never.
  virtual void on_part(CompletionPart part, const scheduler::Timings& timings) = 0;
  /// What was held back until the end, and how it ended. Last call.
  virtual void on_finish(CompletionPart rest, const CompletionFinish& finish) = 0;
};

class CompletionRun final : public scheduler::RequestListener {
 public:
  CompletionRun(ContextPtr context, std::shared_ptr<const RequestFields> fields,
                std::shared_ptr<CompletionListener> listener);

  /// Throws as make_request, make_constraint and RequestHandle::submit do.
  static std::shared_ptr<CompletionRun> start(const ContextPtr& context,
                                              const std::shared_ptr<const RequestFields>& fields,
                                              const std::vector<TokenId>& prompt, int choice,
                                              const std::string& client,
                                              std::shared_ptr<CompletionListener> listener,
                                              std::optional<scheduler::RequestId> after);
  void cancel() { handle_.cancel(); }
  scheduler::RequestId id() const { return handle_.id(); }

  void on_start(int slot, int n_prompt, int n_cached) override;
  void on_progress(int processed, int total, int cached, double ms) override;
  bool on_token(const scheduler::TokenEvent& event) override;
  void on_finish(const scheduler::Finish& finish) override;

 private:
  const ContextPtr context_;
  const std::shared_ptr<const RequestFields> fields_;
  std::shared_ptr<CompletionListener> listener_;
  RequestHandle handle_;
  TextStream text_;
  CompletionPart held_;  // tokens without text so far
};

}  // namespace foretoken::api
