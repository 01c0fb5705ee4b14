// One reply, measured: puts the prompt into the session, generates, and says what that cost.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "engine/generate.h"
#include "interrupt.h"

namespace foretoken::tools {

/// What a reply cost. The first token of the answer belongs to the prompt's time, as in llama.cpp.
struct ReplyReport {
  int n_reused = 0;  ///< prompt tokens that were in the session already
  int n_read = 0;    ///< prompt tokens processed now
  double prompt_seconds = 0.0;
  double answer_seconds = 0.0;  ///< after the first token
  engine::GenerateStats stats;
  engine::StopReason reason = engine::StopReason::Length;
  bool prompt_complete = true;    ///< false when interrupted while reading
  std::string synthetic_warning;  ///< set when acceptance was simulated

  void add(const ReplyReport& other);
};

/// "[ prompt 24 of 90 tokens, 812.4 t/s | answer 85 tokens, 143.2 t/s | drafted ... ]", one line:
/// tokens read now of those in the prompt, the others being in the session already.
std::string describe(const ReplyReport& report);

class Responder {
 public:
  Responder(engine::Session& session, const sampling::SamplingParams& sampling,
            const engine::SpeculationOptions& speculation);

  /// Continues `prompt`. Where `keep` is not 0, a checkpoint is left behind that many tokens of
  /// the prompt, so that a later prompt sharing only those goes on from there. Throws RequestError
  /// for an empty prompt or one that leaves no room for an answer.
  ReplyReport respond(std::span<const TokenId> prompt, std::size_t keep,
                      const engine::GenerateOptions& options, const InterruptScope& interrupt,
                      const std::function<void(TokenId)>& on_token);

 private:
  bool read_prompt(std::span<const TokenId> prompt, ReplyReport& report,
                   const InterruptScope& interrupt);

  engine::Session& session_;
  engine::Generator generator_;
  std::string synthetic_warning_;
};

}  // namespace foretoken::tools
