// See matcher.h.
#include "grammar/matcher.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace foretoken::grammar {
namespace {

using Op = Instruction::Op;

constexpr std::size_t kMaxFew = 12;
constexpr std::size_t kMaxClosureSteps = std::size_t{1} << 16;

std::size_t mix(std::size_t hash, std::size_t value) {
  return (hash ^ value) * 0x9E3779B97F4A7C15u + (hash >> 29);
}

[[noreturn]] void refuse_ambiguity() {
  throw RequestError(
      "the grammar is too ambiguous: a text can be read in too many ways at once; make its "
      "alternatives differ earlier");
}

}  // namespace

std::size_t Matcher::NodeHash::operator()(const Node& node) const {
  return mix(mix(mix(0, node.pc), node.parent), node.extra);
}

Matcher::Matcher(Program program) : program_(std::move(program)) { clear(); }

void Matcher::clear() {
  nodes_.assign(1, Node{});
  node_ids_.clear();
  closures_.assign(1, Closure{});
  pool_.clear();
  seen_.assign(1, 0);
  n_closures_ = 0;
  used_.assign(1, UsedItem{});
  used_ids_.clear();
  states_.clear();
  states_.emplace_back();
  state_ids_.clear();
}

StateId Matcher::start(std::size_t entry) {
  std::vector<NodeId> nodes;
  bool complete = false;
  follow(node(program_.entries[entry], kBottom), nodes, complete);
  return intern(std::move(nodes), complete);
}

StateId Matcher::advance(StateId state, std::string_view bytes) {
  for (const char byte : bytes) {
    state = advance(state, static_cast<unsigned char>(byte));
    if (state == kDead) break;
  }
  return state;
}

StateId Matcher::advance_token(StateId state, TokenId token, bool only_by_name) {
  if (!states_[state].wants_token) return kDead;
  std::vector<NodeId> nodes;
  bool complete = false;
  const auto id = static_cast<std::uint32_t>(token);
  for (const NodeId at : std::vector<NodeId>(states_[state].nodes)) {
    const Node from = nodes_[at];
    const Instruction& instruction = program_.code[from.pc];
    const bool matches = (instruction.op == Op::Token && instruction.arg == id) ||
                         (instruction.op == Op::NotToken && instruction.arg != id && !only_by_name);
    if (matches) follow(node(from.pc + 1, from.parent), nodes, complete);
  }
  return intern(std::move(nodes), complete);
}

Matcher::NamedTokens Matcher::named_tokens(StateId state) const {
  NamedTokens named;
  for (const NodeId id : states_[state].nodes) {
    const Instruction& instruction = program_.code[nodes_[id].pc];
    const auto token = static_cast<TokenId>(instruction.arg);
    if (instruction.op == Op::Token) named.wanted.push_back(token);
    if (instruction.op == Op::NotToken) named.refused.push_back(token);
  }
  return named;
}

StateId Matcher::join(StateId a, StateId b) {
  if (a == kDead) return b;
  if (b == kDead || a == b) return a;
  std::vector<NodeId> nodes = states_[a].nodes;
  nodes.insert(nodes.end(), states_[b].nodes.begin(), states_[b].nodes.end());
  return intern(std::move(nodes), states_[a].complete || states_[b].complete);
}

// --- nodes

void Matcher::work(std::size_t n_ways) {
  if (n_ways > work_left_) refuse_ambiguity();
  work_left_ -= n_ways;
}

Matcher::NodeId Matcher::node(std::uint32_t pc, NodeId parent, std::uint32_t extra) {
  const Node key{pc, parent, extra};
  const auto [found, is_new] = node_ids_.try_emplace(key, static_cast<NodeId>(nodes_.size()));
  if (is_new) {
    if (nodes_.size() >= kTooManyNodes) {
      node_ids_.erase(found);
      refuse_ambiguity();
    }
    nodes_.push_back(key);
    closures_.emplace_back();
    seen_.push_back(0);
  }
  return found->second;
}

std::uint16_t Matcher::dfa_state(const Node& node) const {
  return static_cast<std::uint16_t>(node.extra - 1);
}

Matcher::Closure Matcher::closure(NodeId start) {
  if (closures_[start].known) return closures_[start];
  Closure result;
  result.begin = pool_.size();
  const std::uint32_t mark = ++n_closures_;
  std::vector<NodeId> next = {start};
  for (std::size_t steps = 0; !next.empty(); ++steps) {
    if (steps > kMaxClosureSteps) refuse_ambiguity();
    work(1);
    const NodeId id = next.back();
    next.pop_back();
    if (id == kBottom) {
      result.complete = true;
      continue;
    }
    if (seen_[id] == mark) continue;
    seen_[id] = mark;
    expand(id, next);
  }
  result.size = static_cast<std::uint32_t>(pool_.size() - result.begin);
  result.known = true;
  closures_[start] = result;
  return result;
}

/// One step before input: waiting nodes go to pool_, what else follows to `next`.
void Matcher::expand(NodeId id, std::vector<NodeId>& next) {
  const Node at = nodes_[id];
  const Instruction& instruction = program_.code[at.pc];
  switch (instruction.op) {
    case Op::Byte:
    case Op::Token:
    case Op::NotToken:
      pool_.push_back(id);
      return;
    case Op::Dfa:
      pool_.push_back(at.extra == 0 ? node(at.pc, at.parent, instruction.start + 1u) : id);
      return;
    case Op::Split:
      next.push_back(node(instruction.arg, at.parent));
      next.push_back(node(at.pc + 1, at.parent));
      return;
    case Op::Jump:
      next.push_back(node(instruction.arg, at.parent));
      return;
    case Op::Call:
      next.push_back(node(instruction.arg, return_to(at.pc + 1, at.parent)));
      return;
    case Op::Return:
      next.push_back(at.parent);
      return;
    case Op::AnyOrder:
      return expand_any_order(at, next);
  }
}

/// The stack for a call that comes back to `pc`. A call that is the last thing its rule does comes
/// back to the rule's caller instead, so that right recursion needs no depth.
Matcher::NodeId Matcher::return_to(std::uint32_t pc, NodeId parent) {
  while (program_.code[pc].op == Op::Jump) pc = program_.code[pc].arg;
  return program_.code[pc].op == Op::Return ? parent : node(pc, parent);
}

void Matcher::expand_any_order(const Node& at, std::vector<NodeId>& next) {
  const AnyOrderItems& items = program_.any_orders[program_.code[at.pc].arg];
  std::vector<bool> used(items.starts.size(), false);
  for (std::uint32_t set = at.extra; set != 0; set = used_[set].rest) used[used_[set].item] = true;
  bool enough = true;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    enough = enough && !items.required[i];
    const NodeId back = node(at.pc, at.parent, with_item(at.extra, static_cast<std::uint32_t>(i)));
    next.push_back(node(items.starts[i], back));
  }
  if (enough) next.push_back(node(at.pc + 1, at.parent));
}

/// The set `used` and one item more.
std::uint32_t Matcher::with_item(std::uint32_t used, std::uint32_t item) {
  const std::uint64_t key = std::uint64_t{used} << 32 | item;
  const auto [found, is_new] = used_ids_.try_emplace(key, static_cast<std::uint32_t>(used_.size()));
  if (is_new) {
    if (used_.size() >= kTooManyNodes) refuse_ambiguity();
    used_.push_back({used, item});
  }
  return found->second;
}

// --- states

/// Adds the waiting nodes that `from` leads to.
void Matcher::follow(NodeId from, std::vector<NodeId>& nodes, bool& complete) {
  const Closure reached = closure(from);
  if (nodes.size() + reached.size > 2 * kMaxWays) refuse_ambiguity();
  work(reached.size);
  const auto begin = pool_.begin() + static_cast<std::ptrdiff_t>(reached.begin);
  nodes.insert(nodes.end(), begin, begin + reached.size);
  complete = complete || reached.complete;
}

StateId Matcher::explore(StateId state, unsigned char byte) {
  work(states_[state].nodes.size() + 1);
  std::vector<NodeId> reached;
  bool complete = false;
  for (const NodeId at : std::vector<NodeId>(states_[state].nodes)) {
    const Node from = nodes_[at];
    const Instruction& instruction = program_.code[from.pc];
    if (instruction.op == Op::Byte && instruction.arg == byte) {
      follow(node(from.pc + 1, from.parent), reached, complete);
    } else if (instruction.op == Op::Dfa) {
      const std::uint16_t next = program_.dfas[instruction.arg].rows[dfa_state(from)][byte];
      if (next == ByteDfa::kDone) {
        follow(node(from.pc + 1, from.parent), reached, complete);
      } else if (next != ByteDfa::kFail) {
        reached.push_back(node(from.pc, from.parent, next + 1u));
      }
    }
  }
  const StateId next = intern(std::move(reached), complete);
  State& s = states_[state];
  if (s.table == nullptr && s.few.size() >= kMaxFew) {
    s.table = std::make_unique<std::array<StateId, 256>>();
    s.table->fill(kUnknown);
    for (const auto& [known, known_next] : s.few) (*s.table)[known] = known_next;
    s.few = {};
  }
  if (s.table) {
    (*s.table)[byte] = next;
  } else {
    s.few.emplace_back(byte, next);
  }
  return next;
}

StateId Matcher::intern(std::vector<NodeId> nodes, bool complete) {
  std::ranges::sort(nodes);
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (nodes.empty() && !complete) return kDead;
  if (nodes.size() > kMaxWays) refuse_ambiguity();
  std::size_t hash = complete ? 1 : 0;
  for (const NodeId id : nodes) hash = mix(hash, id);
  const auto [begin, end] = state_ids_.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const State& known = states_[it->second];
    if (known.complete == complete && known.nodes == nodes) return it->second;
  }
  if (states_.size() >= kTooManyStates) refuse_ambiguity();
  State state;
  state.complete = complete;
  for (const NodeId id : nodes) {
    const Instruction& instruction = program_.code[nodes_[id].pc];
    if (instruction.op == Op::Byte) {
      state.first.set(instruction.arg);
    } else if (instruction.op == Op::Dfa) {
      const ByteDfa::Row& row = program_.dfas[instruction.arg].rows[dfa_state(nodes_[id])];
      for (std::size_t byte = 0; byte < 256; ++byte) {
        if (row[byte] != ByteDfa::kFail) state.first.set(byte);
      }
    } else {
      state.wants_token = true;
    }
  }
  state.nodes = std::move(nodes);
  states_.push_back(std::move(state));
  const auto id = static_cast<StateId>(states_.size() - 1);
  state_ids_.emplace(hash, id);
  return id;
}

// --- runs

std::optional<Matcher::Run> Matcher::find_run(StateId state, std::size_t enough,
                                              std::size_t min_first) {
  NodeId best = kBottom;
  std::size_t widest = min_first;
  for (const NodeId id : states_[state].nodes) {
    const Instruction& instruction = program_.code[nodes_[id].pc];
    if (instruction.op != Op::Dfa) continue;
    const ByteDfa::Row& row = program_.dfas[instruction.arg].rows[dfa_state(nodes_[id])];
    const auto width = static_cast<std::size_t>(
        std::ranges::count_if(row, [](std::uint16_t next) { return next != ByteDfa::kFail; }));
    if (width < widest || (best != kBottom && width == widest)) continue;
    widest = width;
    best = id;
  }
  if (best == kBottom) return std::nullopt;
  const Instruction& instruction = program_.code[nodes_[best].pc];
  Run run{&program_.dfas[instruction.arg], dfa_state(nodes_[best]), false, 1, false};
  // From its first state a class matches characters one by one; anything else runs once.
  if (instruction.start != 0 || run.dfa_state != 0) return run;
  run.exact = std::ranges::none_of(states_[state].nodes, [&](NodeId id) {
    return id != best && takes_any(id, run.dfa->rows[0]);
  });
  run.n_chars = run_length(best, enough, run.exact);
  run.repeats = run.n_chars > 1;
  return run;
}

/// How many times in a row the automaton at `id` can run, up to `enough`. Clears `exact` where
/// another way takes one of its bytes.
std::size_t Matcher::run_length(NodeId id, std::size_t enough, bool& exact) {
  const std::uint32_t dfa = program_.code[nodes_[id].pc].arg;
  for (std::size_t n = 1; n < enough; ++n) {
    const Closure reached = closure(node(nodes_[id].pc + 1, nodes_[id].parent));
    NodeId next = kBottom;
    for (std::size_t i = 0; i < reached.size; ++i) {
      const NodeId candidate = pool_[reached.begin + i];
      if (candidate == id) return enough;  // a loop
      const Instruction& instruction = program_.code[nodes_[candidate].pc];
      const bool same =
          instruction.op == Op::Dfa && instruction.arg == dfa && dfa_state(nodes_[candidate]) == 0;
      if (same && next == kBottom) {
        next = candidate;
      } else if (takes_any(candidate, program_.dfas[dfa].rows[0])) {
        exact = false;
      }
    }
    if (next == kBottom) return n;
    id = next;
  }
  return enough;
}

/// Whether the node takes a byte that the row takes.
bool Matcher::takes_any(NodeId id, const ByteDfa::Row& row) const {
  const Instruction& instruction = program_.code[nodes_[id].pc];
  if (instruction.op == Op::Byte) return row[instruction.arg] != ByteDfa::kFail;
  if (instruction.op != Op::Dfa) return false;  // named tokens are looked at by themselves
  const ByteDfa::Row& mine = program_.dfas[instruction.arg].rows[dfa_state(nodes_[id])];
  for (std::size_t byte = 0; byte < row.size(); ++byte) {
    if (mine[byte] != ByteDfa::kFail && row[byte] != ByteDfa::kFail) return true;
  }
  return false;
}

// --- memory

void Matcher::compact(std::span<StateId* const> live) {
  const std::vector<Node> nodes = std::move(nodes_);
  const std::vector<State> states = std::move(states_);
  auto used = std::move(used_);
  auto used_ids = std::move(used_ids_);
  clear();
  // Sets of used items are small and nodes name them by number: they stay.
  used_ = std::move(used);
  used_ids_ = std::move(used_ids);
  std::unordered_map<NodeId, NodeId> copies;
  for (StateId* const id : live) {
    std::vector<NodeId> copied;
    for (const NodeId old : states[*id].nodes) copied.push_back(copy_stack(nodes, old, copies));
    *id = intern(std::move(copied), states[*id].complete);
  }
}

Matcher::NodeId Matcher::copy_stack(const std::vector<Node>& from, NodeId id,
                                    std::unordered_map<NodeId, NodeId>& copies) {
  std::vector<NodeId> path;  // from the top down to what is copied already
  while (id != kBottom && !copies.contains(id)) {
    path.push_back(id);
    id = from[id].parent;
  }
  NodeId copy = id == kBottom ? kBottom : copies.at(id);
  for (; !path.empty(); path.pop_back()) {
    const Node& old = from[path.back()];
    copy = node(old.pc, copy, old.extra);
    copies.emplace(path.back(), copy);
  }
  return copy;
}

}  // namespace foretoken::grammar
