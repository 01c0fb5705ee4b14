#include "eval/imatrix_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <tuple>

namespace foretoken::eval {
namespace {

constexpr double kActive = 1e-5;
constexpr std::string_view kBlock = "blk.";
constexpr std::string_view kWeight = ".weight";

struct BlockName {
  int layer = 0;
  std::string rest;  // ".attn_q.weight"
};

std::optional<BlockName> parse_block(std::string_view name) {
  if (!name.starts_with(kBlock)) return std::nullopt;
  BlockName out;
  const char* begin = name.data() + kBlock.size();
  const auto number = std::from_chars(begin, name.data() + name.size(), out.layer);
  if (number.ec != std::errc{} || number.ptr == name.data() + name.size() || *number.ptr != '.') {
    return std::nullopt;
  }
  out.rest = name.substr(static_cast<std::size_t>(number.ptr - name.data()));
  return out;
}

// "attn_q" of "blk.3.attn_q.weight"; the name itself where it is built otherwise.
std::string tensor_of(const std::string& name) {
  std::string_view out = name;
  if (out.ends_with(kWeight)) out.remove_suffix(kWeight.size());
  if (const auto block = parse_block(name)) {
    out.remove_prefix(name.size() - block->rest.size() + 1);
  }
  return std::string(out);
}

void describe_columns(const std::vector<float>& a, ImatrixStatistics& out) {
  const auto n = static_cast<double>(a.size());
  out.n_columns = a.size();
  double squares = 0.0;
  std::size_t n_active = 0;
  for (const float value : a) {
    out.total += value;
    squares += static_cast<double>(value) * value;
    if (value > kActive) ++n_active;
  }
  const auto [least, most] = std::minmax_element(a.begin(), a.end());
  out.least = *least;
  out.most = *most;
  out.mean = out.total / n;
  out.deviation = std::sqrt(std::max(0.0, squares / n - out.mean * out.mean));
  out.active = static_cast<double>(n_active) / n;
  std::size_t n_outliers = 0;
  for (const float value : a) {
    const double p = out.total > 0.0 ? value / out.total : 0.0;
    if (p > 0.0) out.entropy -= p * std::log2(p);
    if (out.deviation > 0.0 && value - out.mean > out.deviation) ++n_outliers;
  }
  out.entropy_share = a.size() > 1 ? out.entropy / std::log2(n) : 0.0;
  out.outliers = static_cast<double>(n_outliers) / n;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 0.0;
  double product = 0.0;
  double a_squared = 0.0;
  double b_squared = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += static_cast<double>(a[i]) * b[i];
    a_squared += static_cast<double>(a[i]) * a[i];
    b_squared += static_cast<double>(b[i]) * b[i];
  }
  const double norm = std::sqrt(a_squared * b_squared);
  return norm > 0.0 ? product / norm : 0.0;
}

}  // namespace

std::vector<ImatrixStatistics> compute_statistics(const gguf::ImatrixFile& file) {
  std::vector<ImatrixStatistics> out;
  for (const auto& [name, entry] : file.entries) {
    if (entry.count == 0 || entry.sums.empty()) continue;
    ImatrixStatistics& row = out.emplace_back();
    row.name = name;
    row.tensor = tensor_of(name);
    describe_columns(gguf::weights_of(entry), row);
    const auto block = parse_block(name);
    if (!block) continue;
    row.layer = block->layer;
    const auto below =
        file.entries.find(fmt::format("{}{}{}", kBlock, block->layer - 1, block->rest));
    if (below != file.entries.end()) row.cosine_below = cosine(entry.sums, below->second.sums);
  }
  std::sort(out.begin(), out.end(), [](const ImatrixStatistics& a, const ImatrixStatistics& b) {
    return std::tuple(std::string_view(a.tensor), -a.total, a.layer) <
           std::tuple(std::string_view(b.tensor), -b.total, b.layer);
  });
  return out;
}

}  // namespace foretoken::eval
