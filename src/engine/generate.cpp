#include "engine/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "engine/mtp_drafter.h"
#include "engine/verify.h"
#include "sampling/accept.h"

namespace foretoken::engine {
namespace {

static_assert(kMaxDraftChain < kernels::kMaxPending, "a run takes the last token and all drafts");

std::unique_ptr<Drafter> make_drafter(const Session& session, const SpeculationOptions& options) {
  if (options.type == SpeculationOptions::Type::None || options.limits.n_max == 0) return nullptr;
  if (!session.has_mtp()) {
    if (options.type == SpeculationOptions::Type::Auto) return nullptr;
    throw RequestError(
        "--spec-type draft-mtp: this model file has no MTP head; graft one from the "
        "base model, or use --spec-type none");
  }
  return std::make_unique<MtpDrafter>(session.engine(), options.draft_vocabulary);
}

// Which drafts count: by the target's laws, or by lot in a benchmark.
sampling::AcceptResult judge(const Draft& draft, const Verification& target,
                             sampling::Sampler& sampler,
                             std::optional<SyntheticAcceptance>& synthetic) {
  if (synthetic) {
    sampling::AcceptResult out;
    out.n_accepted = synthetic->accept(static_cast<int>(draft.tokens.size()));
    out.next = sampler.draw(target.laws[static_cast<std::size_t>(out.n_accepted)]);
    return out;
  }
  if (!sampler.greedy()) {
    return sampling::accept_sampled(draft.tokens, draft.laws, target.laws,
                                    [&] { return sampler.uniform(); });
  }
  std::vector<TokenId> choices;
  for (const sampling::Distribution& law : target.laws) choices.push_back(law.top());
  return sampling::accept_greedy(draft.tokens, choices);
}

void trim(Draft& draft, int n) {
  const auto kept = static_cast<std::size_t>(n);
  draft.tokens.resize(std::min(draft.tokens.size(), kept));
  draft.laws.resize(std::min(draft.laws.size(), kept));
}

}  // namespace

void GenerateStats::add(const GenerateStats& other) {
  n_tokens += other.n_tokens;
  rounds += other.rounds;
  drafted += other.drafted;
  accepted += other.accepted;
  for (std::size_t i = 0; i < drafted_at.size(); ++i) {
    drafted_at[i] += other.drafted_at[i];
    accepted_at[i] += other.accepted_at[i];
  }
  seconds += other.seconds;
  draft_seconds += other.draft_seconds;
  verify_seconds += other.verify_seconds;
  synthetic = synthetic || other.synthetic;
}

Generator::Generator(Session& session, const sampling::SamplingParams& sampling,
                     const SpeculationOptions& speculation)
    : session_(session),
      options_(speculation),
      sampler_(
          sampling, session.engine().config().n_vocab,
          std::min(session.engine().tokenizer().n_real_vocab(), session.engine().config().n_vocab)),
      drafter_(make_drafter(session, speculation)),
      policy_(speculation.limits, speculation.adaptive) {}

void Generator::observe_prompt() {
  sampler_.rollback(n_observed_);
  for (const TokenId token : session_.tokens()) {
    sampler_.accept(token);
    if (drafter_) drafter_->observe(token);
  }
  n_observed_ = session_.n_past();
}

Draft Generator::propose(TokenId last, int n_most) {
  Draft draft;
  const int n = std::min(
      policy_.begin_round(sampler_.greedy() ? DraftChoice::Favourite : DraftChoice::Drawn), n_most);
  if (n <= 0) return draft;
  draft = drafter_->propose(session_, last, n, sampler_, [&](std::span<const float> confidence) {
    return policy_.decide(confidence);
  });
  const std::span<const float> kept(draft.confidence.data(), draft.tokens.size());
  trim(draft, policy_.n_to_verify(kept));
  return draft;
}

// Draft, verify, accept; the caller commits what it wants to keep.
Generator::Round Generator::next_round(TokenId last, int n_most, GenerateStats& stats) {
  Draft draft;
  if (drafter_) draft = propose(last, n_most);
  const Verification target = verify(session_, last, draft, sampler_);
  const sampling::AcceptResult result = judge(draft, target, sampler_, options_.synthetic);
  if (drafter_) {
    const int n_verified = static_cast<int>(draft.tokens.size());
    policy_.observe_costs(1 + n_verified, target.seconds, draft.n_steps, draft.seconds);
    policy_.observe(draft.confidence, n_verified, result.n_accepted);
  }
  stats.draft_seconds += draft.seconds;
  stats.verify_seconds += target.seconds;
  Round round;
  round.n_drafted = static_cast<int>(draft.tokens.size());
  round.tokens.assign(draft.tokens.begin(), draft.tokens.begin() + result.n_accepted);
  round.tokens.push_back(result.next);
  return round;
}

GenerateResult Generator::generate(const GenerateOptions& options, const OnToken& on_token) {
  const auto start = std::chrono::steady_clock::now();
  const tokenizer::Tokenizer& tokenizer = session_.engine().tokenizer();
  GenerateResult result;
  GenerateStats& stats = result.stats;
  stats.synthetic = options_.synthetic.has_value();

  // A token becomes part of the text; returns whether the text goes on after it.
  const auto emit = [&](TokenId token) {
    result.tokens.push_back(token);
    sampler_.accept(token);
    if (drafter_) drafter_->observe(token);
    ++n_observed_;
    const bool wanted = !on_token || on_token(token);
    if (!options.ignore_end && tokenizer.is_end_of_generation(token)) {
      result.reason = StopReason::EndOfText;
    } else if (!wanted) {
      result.reason = StopReason::Cancelled;
    } else if (options.max_tokens >= 0 &&
               static_cast<int>(result.tokens.size()) >= options.max_tokens) {
      result.reason = StopReason::Length;
    } else {
      return true;
    }
    return false;
  };

  bool going = options.max_tokens != 0;
  TokenId last = 0;
  if (going) {
    last = sampler_.draw(sampler_.distribution(session_.last_logits()));
    going = emit(last);
  }
  while (going) {
    if (session_.room() == 0) {
      result.reason = StopReason::ContextFull;
      break;
    }
    int n_most = session_.room() - 1;
    if (options.max_tokens >= 0) {
      n_most = std::min(n_most, options.max_tokens - static_cast<int>(result.tokens.size()) - 1);
    }
    const Round round = next_round(last, n_most, stats);
    std::size_t n_emitted = 0;
    while (going && n_emitted < round.tokens.size()) going = emit(round.tokens[n_emitted++]);
    // The last emitted token is not in the session yet; everything before it is.
    session_.commit(static_cast<int>(n_emitted));
    last = round.tokens[n_emitted - 1];
    // Drafts behind the end of the text were never wanted and do not count.
    const auto n_drafted = static_cast<std::size_t>(round.n_drafted);
    const auto judged = going ? n_drafted : std::min(n_drafted, n_emitted);
    const auto kept = std::min(round.tokens.size() - 1, n_emitted);
    ++stats.rounds;
    stats.drafted += static_cast<int>(judged);
    stats.accepted += static_cast<int>(kept);
    for (std::size_t i = 0; i < judged; ++i) ++stats.drafted_at[i];
    for (std::size_t i = 0; i < kept; ++i) ++stats.accepted_at[i];
  }
  stats.n_tokens = static_cast<int>(result.tokens.size());
  stats.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace foretoken::engine
