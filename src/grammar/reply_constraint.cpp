// A reply's phases: thinking, its forced end, free text that waits for a trigger, text that a
// grammar restricts. Where the reply stands is one small value, kept for every token that may be
// taken back.
// Source: docs/grammar.md, "Replies".
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <deque>
#include <limits>

#include "base/error.h"
#include "grammar/constraints.h"
#include "grammar/reply_plan.h"
#include "grammar/token_matcher.h"
#include "grammar/tool_calls.h"

namespace foretoken::grammar {
namespace {

constexpr std::string_view kEndThink = "</think>";
// In thinking, the tag alone may be talked about; with a function behind it, it is a call.
constexpr std::string_view kCallInThinking = "<tool_call>\n<function=";
constexpr std::size_t kMaxHistory = 4 * sampling::TokenConstraint::kMaxRollback;
static_assert(kMaxHistory >= sampling::TokenConstraint::kMaxRollback);

constexpr float kNever = -std::numeric_limits<float>::infinity();

enum class Phase {
  Thinking,
  EndOfThinking,  ///< its text is forced, token by token
  Waiting,        ///< anything, until a trigger
  Matching,       ///< what the grammar allows
  Over,           ///< ended, or a refused token: only the end is allowed
};

struct Place {
  Phase phase = Phase::Waiting;
  StateId state = Matcher::kDead;  ///< Matching
  int n_thoughts = 0;              ///< Thinking: tokens so far
  std::size_t n_forced = 0;        ///< EndOfThinking: tokens so far
  std::string tail;                ///< Thinking, Waiting: the text's last bytes
};

struct Found {
  std::size_t begin = std::string::npos;
  std::size_t end = 0;
};

/// The first of `texts` in `text` that ends behind `old`.
Found find_first(std::string_view text, std::size_t old, const std::vector<std::string>& texts) {
  Found first;
  for (const std::string& wanted : texts) {
    const std::size_t from = old + 1 > wanted.size() ? old + 1 - wanted.size() : 0;
    const std::size_t at = text.find(wanted, from);
    if (at < first.begin) first = {at, at + wanted.size()};
  }
  return first;
}

class ReplyConstraint final : public sampling::TokenConstraint {
 public:
  ReplyConstraint(std::shared_ptr<const TokenTrie> trie, const ReplyConstraintOptions& options,
                  ReplyPlan plan)
      : trie_(std::move(trie)),
        plan_(std::move(plan)),
        budget_(options.reasoning_budget),
        end_reasoning_(options.end_reasoning) {
    if (plan_.program) matcher_.emplace(trie_, *std::move(plan_.program));
    for (const std::string_view name : {kOpenCall, kEndThink}) {
      if (const auto id = trie_->tokenizer().find_special(name)) tags_.emplace_back(*id, name);
    }
    for (const std::string& trigger : plan_.triggers) {
      longest_trigger_ = std::max(longest_trigger_, trigger.size());
    }
    thought_ends_ = {std::string(kEndThink)};
    if (plan_.watch_for_calls) thought_ends_.emplace_back(kCallInThinking);
    if (!options.starts_in_reasoning) {
      enter_content(now_, ReplyPlan::kContent, "");
      return;
    }
    // A request's message is a user's text: control tokens in it stay text.
    end_of_thinking_ = trie_->tokenizer().encode(
        options.reasoning_message + "\n" + std::string(kEndThink) + "\n\n",
        {.parse_special = false});
    now_.phase = budget_ == 0 ? Phase::EndOfThinking : Phase::Thinking;
  }

  bool restricts() const override {
    switch (now_.phase) {
      case Phase::Thinking:
        return plan_.match_content;
      case Phase::Waiting:
        return false;
      case Phase::EndOfThinking:
      case Phase::Matching:
      case Phase::Over:
        return true;
    }
    return false;
  }

  bool allows(TokenId token) override {
    if (token < 0 || token >= trie_->n_vocab()) return false;
    switch (now_.phase) {
      case Phase::Thinking:
        return !plan_.match_content || !trie_->ends(token);
      case Phase::EndOfThinking:
        return token == end_of_thinking_[now_.n_forced];
      case Phase::Waiting:
        return true;
      case Phase::Matching:
        return (trie_->ends(token) && may_end()) || matcher_->allows(now_.state, token);
      case Phase::Over:
        return trie_->ends(token);
    }
    return false;
  }

  void mask(std::span<float> logits) override {
    switch (now_.phase) {
      case Phase::Thinking:
        // What the request demands comes behind the thinking.
        for (const TokenId id : trie_->end_tokens()) {
          if (plan_.match_content) set_never(logits, id);
        }
        return;
      case Phase::EndOfThinking: {
        TokenSet only(trie_->n_vocab());
        only.set(end_of_thinking_[now_.n_forced]);
        return apply(only, false, logits);
      }
      case Phase::Waiting:
        return;
      case Phase::Matching: {
        const bool end = may_end();
        return apply(matcher_->allowed(now_.state), end, logits);
      }
      case Phase::Over:
        return apply(TokenSet(trie_->n_vocab()), true, logits);
    }
  }

  void accept(TokenId token) override {
    Place next = now_;
    if (token < 0 || token >= trie_->n_vocab()) {
      next.phase = Phase::Over;
    } else {
      take(next, token);
    }
    history_.push_back(std::exchange(now_, std::move(next)));
    if (history_.size() > kMaxHistory) history_.pop_front();
    if (matcher_) tidy();
  }

  void rollback(int n) override {
    if (n < 0 || static_cast<std::size_t>(n) > history_.size()) {
      throw Error(fmt::format("cannot take back {} tokens of a constraint that keeps {}", n,
                              history_.size()));
    }
    if (n == 0) return;
    now_ = history_[history_.size() - static_cast<std::size_t>(n)];
    history_.resize(history_.size() - static_cast<std::size_t>(n));
  }

  std::vector<TokenId> forced(int n) override {
    if (n <= 0) return {};
    const auto limit = static_cast<std::size_t>(n);
    if (now_.phase == Phase::EndOfThinking) {
      const auto begin = end_of_thinking_.begin() + static_cast<std::ptrdiff_t>(now_.n_forced);
      const auto left = static_cast<std::size_t>(end_of_thinking_.end() - begin);
      return {begin, begin + static_cast<std::ptrdiff_t>(std::min(left, limit))};
    }
    return now_.phase == Phase::Matching ? forced_by_grammar(limit) : std::vector<TokenId>();
  }

 private:
  // --- going on

  void take(Place& place, TokenId token) {
    switch (place.phase) {
      case Phase::Thinking:
        if (trie_->ends(token)) {
          place.phase = Phase::Over;
        } else {
          ++place.n_thoughts;
          think(place, text_of(token));
          const bool enough = budget_ >= 0 && place.n_thoughts >= budget_;
          const bool told = end_reasoning_ != nullptr && end_reasoning_->load();
          if (place.phase == Phase::Thinking && (enough || told)) {
            place = Place{};
            place.phase = Phase::EndOfThinking;
          }
        }
        return;
      case Phase::EndOfThinking:
        if (token != end_of_thinking_[place.n_forced]) {
          place.phase = Phase::Over;
        } else if (++place.n_forced == end_of_thinking_.size()) {
          enter_content(place, ReplyPlan::kContent, "");
        }
        return;
      case Phase::Waiting:
        if (trie_->ends(token)) {
          place.phase = Phase::Over;
        } else {
          wait(place, text_of(token));
        }
        return;
      case Phase::Matching:
        place.state = matcher_->accept(place.state, token);
        if (place.state == Matcher::kDead) place.phase = Phase::Over;
        return;
      case Phase::Over:
        return;
    }
  }

  /// More thinking: looks for its end.
  void think(Place& place, std::string_view text) {
    const std::string all = place.tail + std::string(text);
    const Found end = find_first(all, place.tail.size(), thought_ends_);
    if (end.begin == std::string::npos) {
      keep_tail(place, all, kCallInThinking.size());
      return;
    }
    const std::string_view rest = std::string_view(all).substr(end.end);
    if (all.compare(end.begin, kEndThink.size(), kEndThink) == 0) {
      enter_content(place, ReplyPlan::kBehindThinking, rest);
      return;
    }
    const std::size_t call = end.begin + kOpenCall.size();
    if (!match_from(place, ReplyPlan::kBehindOpenCall, std::string_view(all).substr(call))) {
      keep_tail(place, all, kCallInThinking.size());
    }
  }

  /// Thinking is over and `text` is the first of what follows.
  void enter_content(Place& place, ReplyPlan::Entry entry, std::string_view text) {
    place = Place{};
    if (!plan_.match_content) return wait(place, text);
    // A token may carry more than the end of the tag; what does not fit is let go.
    if (!match_from(place, entry, text)) match_from(place, ReplyPlan::kContent, "");
  }

  /// More free text: looks for a trigger. One that no text of the grammar begins with is no
  /// trigger.
  void wait(Place& place, std::string_view text) {
    if (plan_.triggers.empty()) return;
    const std::string all = place.tail + std::string(text);
    for (std::size_t old = place.tail.size();;) {
      const Found trigger = find_first(all, old, plan_.triggers);
      if (trigger.begin == std::string::npos) break;
      const bool call = plan_.watch_for_calls;
      const auto entry = call ? ReplyPlan::kBehindOpenCall : ReplyPlan::kContent;
      const std::size_t begin = call ? trigger.end : trigger.begin;
      if (match_from(place, entry, std::string_view(all).substr(begin))) return;
      old = trigger.end;
    }
    keep_tail(place, all, longest_trigger_);
  }

  static void keep_tail(Place& place, const std::string& text, std::size_t longest) {
    place.tail = text.substr(text.size() - std::min(text.size(), longest - 1));
  }

  bool match_from(Place& place, ReplyPlan::Entry entry, std::string_view text) {
    const StateId state = matcher_->advance(matcher_->start(entry), text);
    if (state == Matcher::kDead) return false;
    place = Place{};
    place.phase = Phase::Matching;
    place.state = state;
    return true;
  }

  /// What a token says, tags by their names whatever kind of token they are.
  std::string_view text_of(TokenId token) const {
    for (const auto& [id, name] : tags_) {
      if (id == token) return name;
    }
    return trie_->text(token);
  }

  void tidy() {
    std::vector<StateId*> live = {&now_.state};
    for (Place& place : history_) live.push_back(&place.state);
    matcher_->tidy(live);
  }

  // --- looking ahead

  bool may_end() { return matcher_->complete(now_.state) || matcher_->is_stuck(now_.state); }

  static void set_never(std::span<float> logits, TokenId id) {
    const auto i = static_cast<std::size_t>(id);
    if (i < logits.size()) logits[i] = kNever;
  }

  /// Up to 64 logits, the allowed ones as bits. Touches each refused or each allowed one, whichever
  /// are fewer.
  static void keep_only(std::uint64_t bits, std::span<float> part) {
    if (part.size() < 64) bits |= ~std::uint64_t{0} << part.size();
    if (std::popcount(bits) >= 32) {
      for (std::uint64_t rest = ~bits; rest != 0; rest &= rest - 1) {
        part[static_cast<std::size_t>(std::countr_zero(rest))] = kNever;
      }
      return;
    }
    std::array<float, 64> kept;
    for (std::uint64_t rest = bits; rest != 0; rest &= rest - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(rest));
      if (i < part.size()) kept[i] = part[i];
    }
    std::ranges::fill(part, kNever);
    for (std::uint64_t rest = bits; rest != 0; rest &= rest - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(rest));
      if (i < part.size()) part[i] = kept[i];
    }
  }

  void apply(const TokenSet& allowed, bool ends, std::span<float> logits) const {
    std::vector<std::pair<std::size_t, float>> kept;
    for (const TokenId id : trie_->end_tokens()) {
      const auto i = static_cast<std::size_t>(id);
      if (ends && i < logits.size()) kept.emplace_back(i, logits[i]);
    }
    const std::vector<std::uint64_t>& words = allowed.words();
    for (std::size_t word = 0; word * 64 < logits.size(); ++word) {
      const auto part =
          logits.subspan(word * 64, std::min<std::size_t>(64, logits.size() - word * 64));
      keep_only(word < words.size() ? words[word] : 0, part);
    }
    for (const auto& [i, logit] : kept) logits[i] = logit;
  }

  std::vector<TokenId> forced_by_grammar(std::size_t n) {
    // Rarely is a token longer than this; a shorter text only means fewer drafts.
    constexpr std::size_t kBytesPerToken = 16;
    const TokenMatcher::Forced forced = matcher_->forced_text(now_.state, n * kBytesPerToken);
    if (forced.text.empty()) return {};
    const tokenizer::Tokenizer& tokenizer = trie_->tokenizer();
    std::vector<TokenId> ids = tokenizer.encode(forced.text, {.parse_special = false});
    // What follows might have made the last token longer; an added token is always whole.
    const bool whole =
        tokenizer.kind(ids.back()) == tokenizer::TokenKind::UserDefined || !forced.open;
    if (!whole) ids.pop_back();
    if (ids.size() > n) ids.resize(n);
    // Normalisation may spell the text otherwise than the grammar does.
    StateId state = now_.state;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      state = matcher_->accept(state, ids[i]);
      if (state == Matcher::kDead) ids.resize(i);
    }
    return ids;
  }

  std::shared_ptr<const TokenTrie> trie_;
  ReplyPlan plan_;
  std::optional<TokenMatcher> matcher_;
  int budget_ = -1;
  std::shared_ptr<std::atomic<bool>> end_reasoning_;
  std::vector<std::pair<TokenId, std::string_view>> tags_;
  std::size_t longest_trigger_ = 0;
  std::vector<std::string> thought_ends_;
  std::vector<TokenId> end_of_thinking_;
  Place now_;
  std::deque<Place> history_;
};

}  // namespace

std::unique_ptr<sampling::TokenConstraint> make_reply_constraint(
    const std::shared_ptr<const TokenTrie>& trie, const ReplyConstraintOptions& options) {
  ReplyPlan plan = make_reply_plan(*trie, options);
  const bool limits_thinking = options.starts_in_reasoning &&
                               (options.reasoning_budget >= 0 || options.end_reasoning != nullptr);
  if (!plan.program && !limits_thinking) return nullptr;
  return std::make_unique<ReplyConstraint>(trie, options, std::move(plan));
}

}  // namespace foretoken::grammar
