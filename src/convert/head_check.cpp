// Structure first (nothing is read of a tensor whose shape or type is wrong), then numbers, then
// the comparison of the two sides.
#include "convert/head_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "convert/tokenizer_match.h"
#include "gguf/validate.h"
#include "quant/validate.h"

namespace foretoken::convert {
namespace {

using Findings = std::vector<Finding>;

/// head_specs() lists these first.
constexpr std::size_t kCheckpointHeadTensors = 15;
/// Numbers read at a time.
constexpr std::size_t kSlabElements = std::size_t{1} << 18;
/// A file whose norms are shifted by 1 is off by 1; layers of one model differ by less than half.
constexpr double kNormTolerance = 0.5;

constexpr std::array<const char*, 9> kDoubtTopics = {
    "tokenizer", "vocabulary", "rope", "eps", "layers", "output", "norms", "untrained", "extra"};

std::string shape_text(std::span<const std::size_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

/// The advice for all that means: these two do not belong together.
std::string other_base(const GraftInput& finetune) {
  return fmt::format("take the base model that {} was made from", finetune.path);
}

// ---- the head itself

/// Of a GGUF file the three tensors for which readers have a substitute may be missing.
bool is_required(const HeadSpec& spec, std::size_t index, const GraftInput& base) {
  return base.is_gguf() ? !spec.optional : index < kCheckpointHeadTensors;
}

void check_structure(const GraftInput& base, Findings& out) {
  const std::vector<HeadSpec> specs = head_specs(base.shape);
  if (base.head.empty()) {
    out.push_back({Severity::Refusal, "head", base.path + ": has no MTP head",
                   base.shape.n_mtp_layers > 0
                       ? "its config announces one, so it was lost on the way: fetch the original "
                         "base model"
                       : "take the official base model, whose checkpoint has mtp.* tensors"});
    return;
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const HeadSpec& spec = specs[i];
    const HeadTensor* tensor = base.find_head_tensor(spec.key);
    if (tensor == nullptr) {
      if (!is_required(spec, i, base)) continue;
      out.push_back({Severity::Refusal, "head",
                     fmt::format("{}: the MTP tensor {} {} is missing", base.path, spec.key,
                                 shape_text(spec.shape)),
                     "the head is incomplete: fetch the base model again"});
      continue;
    }
    if (tensor->shape != spec.shape) {
      out.push_back(
          {Severity::Refusal, "shape",
           fmt::format("{}: tensor {} is {}; its config asks for {}", base.path,
                       quoted(tensor->name), shape_text(tensor->shape), shape_text(spec.shape)),
           "the base model is damaged or edited: fetch it again"});
    }
    if (!tensor->rows) {
      out.push_back({Severity::Refusal, "type",
                     fmt::format("{}: tensor {} has type {}, which cannot be read here", base.path,
                                 quoted(tensor->name), printable(tensor->type)),
                     "take a base model in BF16, F16 or F32, or a GGUF file of another type"});
    }
  }
  if (base.extra.empty()) return;
  out.push_back({Severity::Doubt, "extra",
                 fmt::format("{}: {} MTP tensors that no Qwen3.5 head has, {} the first", base.path,
                             base.extra.size(), quoted(base.extra.front())),
                 "take another base model; --force extra leaves them out"});
}

/// Whether the numbers of a tensor are finite, and whether there is one that is not zero.
struct Numbers {
  bool all_finite = true;
  bool all_zero = true;
};

Numbers look_through(const TensorSource& rows) {
  Numbers out;
  const std::size_t n_cols = rows.n_cols();
  const std::size_t step = std::max<std::size_t>(1, kSlabElements / n_cols);
  const std::size_t row_bytes = quant::row_bytes(rows.type, n_cols);
  std::vector<std::byte> bytes;
  std::vector<float> numbers;
  for (std::size_t first = 0; first < rows.n_rows(); first += step) {
    const std::size_t n = std::min(step, rows.n_rows() - first);
    if (rows.copy_rows) {
      // Scales and elements are looked at as they lie, which is faster than decoding them.
      bytes.resize(n * row_bytes);
      rows.copy_rows(first, n, bytes.data());
      if (quant::find_invalid_block(rows.type, bytes)) out.all_finite = false;
    }
    if (out.all_zero || !rows.copy_rows) {
      numbers.resize(n * n_cols);
      rows.read_rows(first, n, numbers.data());
      out.all_zero = out.all_zero && std::ranges::all_of(numbers, [](float x) { return x == 0; });
      out.all_finite =
          out.all_finite && std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
    }
    if (rows.done) rows.done();
  }
  return out;
}

/// The numbers of a norm, a vector.
std::vector<float> read_norm(const TensorSource& rows) {
  std::vector<float> out(rows.n_rows() * rows.n_cols());
  rows.read_rows(0, rows.n_rows(), out.data());
  return out;
}

double mean_of(const TensorSource& rows) {
  double sum = 0.0;
  const std::vector<float> numbers = read_norm(rows);
  for (const float x : numbers) sum += x;
  return sum / static_cast<double>(numbers.size());
}

bool is_norm(std::string_view key) { return key.ends_with("norm.weight"); }

void check_numbers(const GraftInput& base, Findings& out) {
  std::size_t n_norms = 0;
  std::size_t n_unit_norms = 0;
  for (const HeadTensor& tensor : base.head) {
    if (!tensor.rows) continue;
    const Numbers numbers = look_through(*tensor.rows);
    if (!numbers.all_finite) {
      out.push_back({Severity::Refusal, "damage",
                     fmt::format("{}: tensor {} holds NaN or infinite numbers", base.path,
                                 quoted(tensor.name)),
                     "the head is damaged: fetch the base model again"});
    } else if (numbers.all_zero) {
      out.push_back({Severity::Refusal, "damage",
                     fmt::format("{}: tensor {} is all zero", base.path, quoted(tensor.name)),
                     "the head was never filled or is damaged: fetch the base model again"});
    }
    if (!is_norm(tensor.key)) continue;
    ++n_norms;
    n_unit_norms += std::ranges::all_of(read_norm(*tensor.rows), [](float x) { return x == 1; });
  }
  if (n_norms > 0 && n_unit_norms == n_norms) {
    out.push_back(
        {Severity::Doubt, "untrained",
         fmt::format("{}: every norm of the head is exactly 1, as before training", base.path),
         "an untrained head guesses nothing: take the official base model; --force "
         "untrained grafts it"});
  }
}

// ---- norms stored with or without the 1

/// Means of the query or key norms over the trunk's layers.
struct Range {
  double low = 0.0;
  double high = 0.0;
  bool empty = true;

  double distance(double x) const { return std::max({0.0, low - x, x - high}); }
};

Range trunk_range(const GraftInput& input, std::string_view key) {
  Range out;
  for (const HeadNorm& norm : input.trunk_norms) {
    if (norm.key != key) continue;
    const double mean = mean_of(norm.rows);
    if (!std::isfinite(mean)) continue;
    out.low = out.empty ? mean : std::min(out.low, mean);
    out.high = out.empty ? mean : std::max(out.high, mean);
    out.empty = false;
  }
  return out;
}

/// +1 when a mean is one too high for the trunk's layers, -1 when it is one too low, else 0.
int shift_of(double mean, const Range& trunk) {
  if (trunk.empty || trunk.distance(mean) <= kNormTolerance) return 0;
  if (trunk.distance(mean - 1.0) < kNormTolerance) return 1;
  return trunk.distance(mean + 1.0) < kNormTolerance ? -1 : 0;
}

/// Compares the head's query and key norms with those of a trunk. They are the one pair of norms
/// that lies alike in the head and in every layer; the values of the others say nothing.
void check_norms(const GraftInput& base, const GraftInput& trunk, Findings& out) {
  int shift = 0;
  std::string means;
  for (const char* key : {"attn_q_norm.weight", "attn_k_norm.weight"}) {
    const HeadTensor* tensor = base.find_head_tensor(key);
    if (tensor == nullptr || !tensor->rows) return;
    const Range range = trunk_range(trunk, key);
    const double mean = mean_of(*tensor->rows);
    const int found = shift_of(mean, range);
    if (found == 0 || (shift != 0 && shift != found)) return;
    shift = found;
    means += fmt::format("{}{} has mean {:.2f}, the trunk's layers {:.2f} to {:.2f}",
                         means.empty() ? "" : "; ", key, mean, range.low, range.high);
  }
  const std::string told =
      fmt::format("{}: the head's norms are {} by 1 for the trunk of {} ({})", base.path,
                  shift > 0 ? "too large" : "too small", trunk.path, means);
  const std::string advice =
      base.is_gguf()
          ? "the converter that made the base file added 1 twice or not at all: convert the "
            "official checkpoint anew; --force norms grafts it as it is"
          : "the checkpoint was saved again by a program that stores norms differently: take the "
            "official one; --force norms grafts it as it is";
  out.push_back({Severity::Doubt, "norms", told, advice});
}

// ---- the two sides

/// Collects differences of one number each.
class ShapeComparison {
 public:
  ShapeComparison(const GraftInput& base, const GraftInput& finetune, Findings& out)
      : base_(base), finetune_(finetune), out_(out) {}

  template <class T>
  void require_equal(const char* what, const T& base, const T& finetune) {
    if (base == finetune) return;
    out_.push_back({Severity::Refusal, "shape", told(what, base, finetune),
                    "the head cannot work: " + other_base(finetune_)});
  }

  template <class T>
  void expect_equal(const char* topic, const char* what, const T& base, const T& finetune) {
    if (base == finetune) return;
    out_.push_back(
        {Severity::Doubt, topic, told(what, base, finetune),
         fmt::format("{}, or graft all the same with --force {}", other_base(finetune_), topic)});
  }

 private:
  template <class T>
  std::string told(const char* what, const T& base, const T& finetune) const {
    return fmt::format("{} differs: {} in {}, {} in {}", what, base, base_.path, finetune,
                       finetune_.path);
  }

  const GraftInput& base_;
  const GraftInput& finetune_;
  Findings& out_;
};

void compare_shapes(const GraftInput& base, const GraftInput& finetune, Findings& out) {
  const ModelShape& b = base.shape;
  const ModelShape& f = finetune.shape;
  ShapeComparison compare(base, finetune, out);
  compare.require_equal("the hidden size", b.d_model, f.d_model);
  compare.require_equal("the number of attention heads", b.n_heads, f.n_heads);
  compare.require_equal("the number of key/value heads", b.n_kv_heads, f.n_kv_heads);
  compare.require_equal("the width of a head", b.head_dim, f.head_dim);
  compare.require_equal("the width of the feed-forward layer", b.d_ff, f.d_ff);
  compare.require_equal("the number of rotated dimensions", b.n_rot, f.n_rot);
  if (b.n_vocab > 0 && f.n_vocab > 0) {
    compare.expect_equal("vocabulary", "the number of rows of the embedding", b.n_vocab, f.n_vocab);
  }
  compare.expect_equal("layers", "the number of layers", b.n_layers, f.n_layers);
  compare.expect_equal("rope", "the base of the rotary embedding", b.rope_theta, f.rope_theta);
  const auto sections = [](const ModelShape& shape) {
    return fmt::format("[{}]", fmt::join(shape.rope_sections, ", "));
  };
  compare.expect_equal("rope", "the sections of the rotary embedding", sections(b), sections(f));
  compare.expect_equal("eps", "the eps of the norms", b.rms_eps, f.rms_eps);
  const auto output = [](const ModelShape& shape) {
    return std::string(shape.is_tied ? "tied to the embedding" : "a matrix of its own");
  };
  compare.expect_equal("output", "the output matrix", output(b), output(f));
  if (b.rope_scaling != f.rope_scaling) {
    const auto shown = [](const std::string& text) { return text.empty() ? "none" : text; };
    out.push_back(
        {Severity::Note, "rope",
         fmt::format("long-context scaling: {} in {}, {} in {}; the head follows the "
                     "fine-tune's",
                     shown(b.rope_scaling), base.path, shown(f.rope_scaling), finetune.path),
         ""});
  }
}

void check_oddities(const GraftInput& input, Findings& out) {
  for (const std::string& oddity : input.oddities) {
    out.push_back({Severity::Doubt, "norms", fmt::format("{}: {}", input.path, oddity),
                   "take a checkpoint in the official form; --force norms goes on as it is"});
  }
}

void compare_tokenizers(const GraftInput& base, const GraftInput& finetune, Findings& out) {
  const TokenizerMatch match = match_tokenizers(base, finetune);
  for (const std::string& text : match.differences) {
    out.push_back({Severity::Doubt, "tokenizer", text,
                   "the head would guess other tokens than are meant: " + other_base(finetune) +
                       ", or graft all the same with --force tokenizer"});
  }
  for (const std::string& text : match.notes) {
    out.push_back({Severity::Note, "tokenizer", text, ""});
  }
}

}  // namespace

std::span<const char* const> doubt_topics() { return kDoubtTopics; }

std::vector<Finding> check_head(const GraftInput& base) {
  Findings out;
  check_structure(base, out);
  check_numbers(base, out);
  check_norms(base, base, out);
  check_oddities(base, out);
  return out;
}

std::vector<Finding> check_fit(const GraftInput& base, const GraftInput& finetune) {
  Findings out;
  compare_shapes(base, finetune, out);
  check_norms(base, finetune, out);
  check_oddities(finetune, out);
  compare_tokenizers(base, finetune, out);
  if (finetune.config && finetune.config->quantization_method) {
    out.push_back({Severity::Note, "type",
                   fmt::format("{}: its config says that weights are packed ({}); the head is "
                               "added as it is in the base model",
                               finetune.path, printable(*finetune.config->quantization_method)),
                   ""});
  }
  return out;
}

bool forbids(const std::vector<Finding>& findings, const std::set<std::string>& forced) {
  return std::ranges::any_of(findings, [&forced](const Finding& finding) {
    return finding.severity == Severity::Refusal ||
           (finding.severity == Severity::Doubt && !forced.contains(finding.topic));
  });
}

}  // namespace foretoken::convert
