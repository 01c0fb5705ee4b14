// One answer to POST /v1/chat/completions: n replies, merged into one JSON object or one stream.
// Order of records, and which carries what: docs/http-api.md, "Chat completions".
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "api/answer_channel.h"
#include "api/cancel_group.h"
#include "api/chat_records.h"
#include "api/chat_request.h"
#include "api/chat_run.h"
#include "http/exchange.h"

namespace foretoken::api {

/// Lives as long as one of its replies or somebody who may cancel it. Thread safe.
class ChatAnswer : public std::enable_shared_from_this<ChatAnswer> {
 public:
  ChatAnswer(ContextPtr context, std::shared_ptr<const ChatRequest> request,
             http::ExchangePtr exchange);

  /// Starts the replies; they cancel when the client goes away. Throws as start_chat does, and then
  /// nothing runs and nothing has been answered.
  void start();
  void cancel();
  /// Ends thinking in every reply that allows it; false when none does.
  bool end_reasoning();

  const std::string& id() const { return head_.id; }

 private:
  class Listener;
  struct Choice {
    bool role_sent = false;
    std::vector<ChatDelta> deltas;       // not yet sent: coalesced
    std::vector<TokenLogprob> logprobs;  // streams: of text not yet sent; else: of all tokens
    std::size_t n_silent = 0;            // of these, those since text last came out
    int n_accepted = 0;                  // drafts kept up to the last token
    std::unique_ptr<ChatFinish> finish;
  };

  void on_start();
  void on_progress(int index, const scheduler::Timings& timings, int processed, int total);
  void on_token(int index, const std::vector<ChatDelta>& deltas, const TokenLogprob* logprob,
                const scheduler::Timings& timings);
  void on_finish(int index, const std::vector<ChatDelta>& deltas, const ChatFinish& finish);

  bool may_wait(Choice& choice, const scheduler::Timings& timings);
  void send_role(int index);
  void send_deltas(int index, const scheduler::Timings& timings);
  void finish_choice(int index, const std::vector<ChatDelta>& deltas);
  void finish_stream();
  void finish_json();
  ChatUsage total_usage() const;
  Json verbose_json(int index) const;

  const ContextPtr context_;
  const std::shared_ptr<const ChatRequest> request_;
  const http::ExchangePtr exchange_;
  const AnswerHead head_;

  CancelGroup replies_;
  std::mutex runs_mutex_;
  std::vector<std::shared_ptr<ChatRun>> runs_;

  std::mutex mutex_;  // all below; replies may finish on several threads
  AnswerChannel channel_;
  std::vector<Choice> choices_;
  int n_finished_ = 0;
};

}  // namespace foretoken::api
