#include "engine/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "engine/mtp_drafter.h"

namespace foretoken::engine {
namespace {

static_assert(kMaxDraftChain < kernels::kMaxPending, "a run takes the last token and all drafts");

/// Given tokens are guesses too (text can be spelled in several ways). They are tried as long as
/// more than this share is kept; the decay makes that about five refusals in a row.
constexpr double kFewestGivenKept = 0.3;
constexpr double kGivenDecay = 0.8;

bool wants_drafts(const SpeculationOptions& options) {
  return options.type != SpeculationOptions::Type::None && options.limits.n_max > 0;
}

std::shared_ptr<Drafter> make_drafter(const Session& session, const SpeculationOptions& options,
                                      const std::shared_ptr<Drafter>& shared) {
  if (!wants_drafts(options)) return nullptr;
  if (!session.has_mtp()) {
    if (options.type == SpeculationOptions::Type::Auto) return nullptr;
    throw RequestError(
        "--spec-type draft-mtp: this model file has no MTP head; graft one from the "
        "base model, or use --spec-type none");
  }
  if (shared) return shared;
  return std::make_shared<MtpDrafter>(session.engine(), options.draft_vocabulary);
}

// A law that adapts to what was drawn before cannot be told for a place behind a draft.
SpeculationOptions options_for(const sampling::SamplingParams& sampling,
                               SpeculationOptions options) {
  if (sampling::adapts(sampling)) options.type = SpeculationOptions::Type::None;
  return options;
}

DraftRule rule_of(const sampling::SamplingParams& sampling, const SpeculationOptions& options) {
  if (sampling::is_greedy(sampling)) return DraftRule::Compare;
  const bool is_seeded = sampling.seed != sampling::kRandomSeed;
  return options.rule.value_or(is_seeded ? DraftRule::Compare : DraftRule::Rejection);
}

// Leaves n drafts of the drafter's own.
void trim(Draft& draft, int n) {
  const auto kept = static_cast<std::size_t>(std::max(draft.n_given + n, 0));
  draft.tokens.resize(std::min(draft.tokens.size(), kept));
  draft.laws.resize(std::min(draft.laws.size(), kept));
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
                     const SpeculationOptions& speculation, const GeneratorParts& parts)
    : session_(session),
      options_(options_for(sampling, speculation)),
      is_parked_by_law_(wants_drafts(speculation) && session.has_mtp() && !wants_drafts(options_)),
      sampler_(
          sampling, session.engine().config().n_vocab,
          std::min(session.engine().tokenizer().n_real_vocab(), session.engine().config().n_vocab)),
      drafter_(make_drafter(session, options_, parts.drafter)),
      costs_(parts.costs ? parts.costs : std::make_shared<CostTable>()),
      policy_(speculation.limits, speculation.adaptive, costs_),
      rule_(rule_of(sampling, speculation)),
      constraint_(parts.constraint),
      probabilities_(parts.probabilities) {
  if (parts.experience != nullptr) policy_.learn(*parts.experience);
}

std::string_view Generator::parked_reason() const {
  if (is_parked_by_law_) return "mirostat and adaptive_target adapt to every token drawn";
  return drafts() && policy_.parked() ? "drafting does not pay at present" : "";
}

void Generator::observe_prompt() {
  sampler_.rollback(n_observed_);
  for (const TokenId token : session_.tokens()) {
    sampler_.accept(token);
    if (drafter_) drafter_->observe(token);
  }
  n_observed_ = session_.n_past();
}

// Tokens to which the constraint leaves no alternative: drafts that cost a column and no step of
// the head.
std::vector<TokenId> Generator::given_tokens(int n_most) {
  if (constraint_ == nullptr || !wants_drafts(options_) || n_most <= 0) return {};
  if (given_kept_ < kFewestGivenKept) return {};
  std::vector<TokenId> given = constraint_->forced(n_most);
  given.resize(std::min(given.size(), static_cast<std::size_t>(n_most)));
  std::erase_if(given, [&](TokenId id) { return id < 0 || id >= sampler_.n_real_vocab(); });
  return given;
}

DraftTask* Generator::begin_draft(TokenId last, int n_most, const PassShare& share) {
  n_most = std::min(n_most, kMaxDraftChain);
  given_ = given_tokens(n_most);
  const int n_given = static_cast<int>(given_.size());
  task_ = {};
  task_.session = &session_;
  task_.sampler = &sampler_;
  task_.draft = given_draft(given_);
  if (!drafter_) return nullptr;
  // Given tokens are all but certain, so to the policy they are columns that are there anyway.
  PassShare around = share;
  around.n_other_columns += n_given;
  around.n_other_tokens += n_given;
  DraftRequest& request = task_.request;
  request.last = last;
  request.given = given_;
  request.choice = rule_ == DraftRule::Compare ? DraftChoice::Favourite : DraftChoice::Drawn;
  request.constraint = constraint_;
  request.n_max = std::min(
      {policy_.begin_round(request.choice, around), n_most - n_given, share.n_free_columns});
  if (request.n_max <= 0) return nullptr;
  task_.gate = [this](std::span<const float> confidence, int n_together) {
    return policy_.decide(confidence, n_together);
  };
  return &task_;
}

int Generator::most_drafts() const {
  return task_.draft.n_given + std::max(task_.request.n_max, 0);
}

int Generator::likely_drafts() const {
  return task_.draft.n_given + std::clamp(task_.request.n_max, 0, policy_.n_planned());
}

Draft Generator::end_draft() {
  if (task_.failure) std::rethrow_exception(task_.failure);
  Draft draft = std::move(task_.draft);
  if (task_.request.n_max <= 0) return draft;
  const std::span<const float> kept(draft.confidence.data(),
                                    static_cast<std::size_t>(draft.n_own()));
  trim(draft, policy_.n_to_verify(kept));
  return draft;
}

Judged Generator::judge(const Draft& draft, std::span<const float> logits) {
  return engine::judge(draft, logits,
                       {.sampler = sampler_,
                        .constraint = constraint_,
                        .rule = rule_,
                        .probabilities = probabilities_,
                        .synthetic = options_.synthetic ? &*options_.synthetic : nullptr});
}

void Generator::emit(TokenId token) {
  sampler_.accept(token);
  if (drafter_) drafter_->observe(token);
  if (constraint_ != nullptr) constraint_->accept(token);
  ++n_observed_;
}

void Generator::settle(const Draft& draft, const Judged& judged, const PassShare& share,
                       double verify_seconds) {
  for (int i = 0; i < std::min(draft.n_given, judged.n_accepted + 1); ++i) {
    given_kept_ += (1.0 - kGivenDecay) * ((i < judged.n_accepted ? 1.0 : 0.0) - given_kept_);
  }
  if (!drafter_) return;
  const PassShare around{share.n_other_columns + draft.n_given,
                         share.n_other_tokens + draft.n_given};
  policy_.charge(around, draft.n_own(), verify_seconds, draft.seconds);
  // Behind a given token that was refused nothing was judged.
  const bool was_judged = judged.n_accepted >= draft.n_given;
  policy_.observe(draft.confidence, was_judged ? draft.n_own() : 0,
                  std::max(judged.n_accepted - draft.n_given, 0));
}

Draft Generator::propose(TokenId last, int n_most) {
  if (DraftTask* task = begin_draft(last, n_most)) drafter_->propose({&task, 1}, *costs_);
  return end_draft();
}

// Draft, verify, accept; the caller emits and commits what it wants to keep.
Judged Generator::next_round(TokenId last, int n_most, Draft& draft, GenerateStats& stats) {
  draft = propose(last, n_most);
  const auto start = std::chrono::steady_clock::now();
  std::vector<TokenId> tokens{last};
  tokens.insert(tokens.end(), draft.tokens.begin(), draft.tokens.end());
  Judged judged = judge(draft, session_.run(tokens));
  const double seconds = seconds_since(start);
  costs_->observe_verify(static_cast<int>(tokens.size()), seconds);
  settle(draft, judged, {}, seconds);
  stats.draft_seconds += draft.seconds;
  stats.verify_seconds += seconds;
  return judged;
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
    this->emit(token);
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
    last = judge({}, session_.last_logits()).tokens.front();
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
    Draft draft;
    const Judged round = next_round(last, n_most, draft, stats);
    std::size_t n_emitted = 0;
    while (going && n_emitted < round.tokens.size()) going = emit(round.tokens[n_emitted++]);
    // The last emitted token is not in the session yet; everything before it is.
    session_.commit(static_cast<int>(n_emitted));
    last = round.tokens[n_emitted - 1];
    // Drafts behind the end of the text were never wanted and do not count, nor do given tokens.
    const auto n_given = static_cast<std::size_t>(draft.n_given);
    const auto own = [&](std::size_t n) { return std::max(n, n_given) - n_given; };
    const auto n_drafted = draft.tokens.size();
    const auto judged = own(going ? n_drafted : std::min(n_drafted, n_emitted));
    const auto kept = own(std::min(round.tokens.size() - 1, n_emitted));
    ++stats.rounds;
    stats.drafted += static_cast<int>(judged);
    stats.accepted += static_cast<int>(kept);
    for (std::size_t i = 0; i < judged; ++i) ++stats.drafted_at[i];
    for (std::size_t i = 0; i < kept; ++i) ++stats.accepted_at[i];
  }
  stats.n_tokens = static_cast<int>(result.tokens.size());
  stats.seconds = seconds_since(start);
  return result;
}

}  // namespace foretoken::engine
