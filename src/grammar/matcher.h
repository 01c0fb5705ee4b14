// All ways in which a text so far can be read by a grammar, advanced byte by byte.
//
// A way is a stack: an instruction that waits for input, and where to return behind it. Stacks are
// linked from the top down and every distinct one exists once, so two ways that differ only at the
// top share the rest, and a set of ways is a set of numbers. Such sets ("states") are numbered too,
// and remember where each byte led: a state is a number that can be kept and gone back to for free,
// and walking over known ground is a table look-up.
// Source: docs/grammar.md, "Matching".
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/token.h"
#include "grammar/program.h"

namespace foretoken::grammar {

using StateId = std::uint32_t;

/// Not thread safe. Functions that explore throw RequestError when a text can be read in more than
/// kMaxWays ways at once, or when exploring takes more work or memory than it may: the grammar is
/// too ambiguous.
class Matcher {
 public:
  static constexpr StateId kDead = 0;  ///< nothing can follow
  static constexpr std::size_t kMaxWays = 4096;

  explicit Matcher(Program program);

  StateId start(std::size_t entry);
  /// Behind one more byte.
  StateId advance(StateId state, unsigned char byte) {
    const State& s = states_[state];
    if (!s.first.test(byte)) return kDead;
    if (s.table) {
      if (const StateId next = (*s.table)[byte]; next != kUnknown) return next;
    } else {
      for (const auto& [known, next] : s.few) {
        if (known == byte) return next;
      }
    }
    return explore(state, byte);
  }
  StateId advance(StateId state, std::string_view bytes);
  /// Behind a token as a token, whatever its text. `only_by_name`: "any other token than ..." does
  /// not mean this one (ends of generation, padding).
  StateId advance_token(StateId state, TokenId token, bool only_by_name);
  /// What either state allows.
  StateId join(StateId a, StateId b);

  /// Tokens that the grammar names here: each of `wanted` may follow, and for each of `refused` any
  /// other token that ends nothing.
  struct NamedTokens {
    std::vector<TokenId> wanted;
    std::vector<TokenId> refused;
  };
  NamedTokens named_tokens(StateId state) const;

  /// Whether the text may end here.
  bool complete(StateId state) const { return states_[state].complete; }
  /// The bytes that may follow.
  const std::bitset<256>& first_bytes(StateId state) const { return states_[state].first; }
  /// Whether the grammar expects a token by its number here.
  bool wants_token(StateId state) const { return states_[state].wants_token; }

  /// A way on which an automaton may run for `n` characters or more: a free string's inside.
  struct Run {
    const ByteDfa* dfa = nullptr;
    std::uint16_t dfa_state = 0;
    bool repeats = false;     ///< when it is done, it may begin again
    std::size_t n_chars = 0;  ///< how often in a row, at least; `enough` stands for more
    /// No other way takes a character of the automaton's at any point of the run: a text of such
    /// characters is allowed exactly if it begins at most n_chars of them.
    bool exact = false;
  };
  /// The widest run in this state, if one accepts at least `min_first` bytes to begin with.
  std::optional<Run> find_run(StateId state, std::size_t enough, std::size_t min_first);

  /// From now on until the next call, exploring may look at this many ways together.
  void limit_work(std::size_t n_ways) { work_left_ = n_ways; }

  /// True when so much has been remembered that compact() should be called.
  bool is_large() const { return nodes_.size() > kManyNodes || states_.size() > kManyStates; }
  /// Forgets all but these states, and changes their numbers.
  void compact(std::span<StateId* const> live);

 private:
  using NodeId = std::uint32_t;
  static constexpr StateId kUnknown = ~StateId{0};
  static constexpr NodeId kBottom = 0;
  static constexpr std::size_t kManyNodes = 200'000;
  static constexpr std::size_t kManyStates = 20'000;
  // Between two compactions lies at most the walk over a vocabulary; beyond that is hostility.
  static constexpr std::size_t kTooManyNodes = 1'000'000;
  static constexpr std::size_t kTooManyStates = 200'000;

  /// An instruction to go on with, and the stack below it. `extra` at a Dfa: the automaton's state
  /// plus 1 (0 until it waits for input); at an AnyOrder: the set of items used.
  struct Node {
    std::uint32_t pc = 0;
    NodeId parent = kBottom;
    std::uint32_t extra = 0;

    bool operator==(const Node&) const = default;
  };
  struct NodeHash {
    std::size_t operator()(const Node& node) const;
  };
  /// What a node leads to before any input: waiting nodes, as a stretch of pool_.
  struct Closure {
    std::size_t begin = 0;
    std::uint32_t size = 0;
    bool known = false;
    bool complete = false;
  };
  struct State {
    std::vector<NodeId> nodes;  // waiting for input, sorted
    bool complete = false;
    bool wants_token = false;
    std::bitset<256> first;
    std::vector<std::pair<unsigned char, StateId>> few;
    std::unique_ptr<std::array<StateId, 256>> table;  // instead of `few` when those are many
  };
  struct UsedItem {
    std::uint32_t rest = 0;
    std::uint32_t item = 0;
  };

  void work(std::size_t n_ways);
  NodeId node(std::uint32_t pc, NodeId parent, std::uint32_t extra = 0);
  std::uint16_t dfa_state(const Node& node) const;
  Closure closure(NodeId node);
  void expand(NodeId id, std::vector<NodeId>& next);
  void expand_any_order(const Node& node, std::vector<NodeId>& next);
  std::uint32_t with_item(std::uint32_t used, std::uint32_t item);
  NodeId return_to(std::uint32_t pc, NodeId parent);
  StateId explore(StateId state, unsigned char byte);
  void follow(NodeId from, std::vector<NodeId>& nodes, bool& complete);
  StateId intern(std::vector<NodeId> nodes, bool complete);
  std::size_t run_length(NodeId id, std::size_t enough, bool& exact);
  bool takes_any(NodeId id, const ByteDfa::Row& row) const;
  void clear();
  NodeId copy_stack(const std::vector<Node>& from, NodeId id,
                    std::unordered_map<NodeId, NodeId>& copies);

  Program program_;
  std::vector<Node> nodes_;  // [0] is the empty stack
  std::unordered_map<Node, NodeId, NodeHash> node_ids_;
  std::vector<Closure> closures_;    // by node
  std::vector<NodeId> pool_;         // closures' nodes
  std::vector<std::uint32_t> seen_;  // by node: the closure that saw it last
  std::uint32_t n_closures_ = 0;
  std::vector<UsedItem> used_;  // sets of items as linked lists; [0] is the empty set
  std::unordered_map<std::uint64_t, std::uint32_t> used_ids_;
  std::vector<State> states_;                                // [0] is dead
  std::unordered_multimap<std::size_t, StateId> state_ids_;  // by hash
  std::size_t work_left_ = ~std::size_t{0};
};

}  // namespace foretoken::grammar
