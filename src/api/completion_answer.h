// One answer to a completion request, native or OpenAI: replies to one or several prompts, merged
// into one JSON value or one stream.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "api/answer_channel.h"
#include "api/cancel_group.h"
#include "api/chat_records.h"
#include "api/completion_records.h"
#include "api/completion_run.h"
#include "http/exchange.h"

namespace foretoken::api {

/// Thread safe; kept alive by its replies.
class CompletionAnswer : public std::enable_shared_from_this<CompletionAnswer> {
 public:
  CompletionAnswer(ContextPtr context, RequestFields fields, CompletionStyle style,
                   http::ExchangePtr exchange);

  /// Starts n replies per prompt; they cancel when the client goes away. Throws as
  /// CompletionRun::start does, and then nothing runs and nothing has been answered.
  void start(const std::vector<std::vector<TokenId>>& prompts);

 private:
  class Listener;
  struct Item {
    CompletionState state;
    std::vector<TokenId> prompt;
    CompletionPart whole;   // without a stream: all of it; with one: the text, for `verbose`
    CompletionPart unsent;  // coalesced
    int n_accepted = 0;
    CompletionFinish finish;
    bool finished = false;
  };

  void start_all(const std::vector<std::vector<TokenId>>& prompts);
  void on_start(Item& item, int slot);
  void on_progress(Item& item, int processed, int total, const scheduler::Timings& timings);
  void on_part(Item& item, CompletionPart part, const scheduler::Timings& timings);
  void on_finish(Item& item, CompletionPart rest, const CompletionFinish& finish);

  void send_part(Item& item, const scheduler::Timings& timings);
  void send_last(Item& item);
  void answer_whole();
  Json partial_json(const Item& item, const CompletionPart& part) const;
  Json final_native(const Item& item, bool with_text) const;
  Json usage_of_items(int first, int n) const;

  const ContextPtr context_;
  const std::shared_ptr<const RequestFields> fields_;
  const CompletionStyle style_;
  const http::ExchangePtr exchange_;
  const AnswerHead head_;
  CancelGroup replies_;

  std::mutex mutex_;  // all below
  AnswerChannel channel_;
  std::vector<Item> items_;
  int n_finished_ = 0;
};

}  // namespace foretoken::api
