#include "convert/graft.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/output_file.h"
#include "convert/graft_parts.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;

/// By the name in a checkpoint: mtp.fc, mtp.layers.0..., mtp.norm, mtp.pre_fc...
constexpr std::array kCheckpointOrder = {
    "nextn.eh_proj.weight",
    "attn_norm.weight",
    "ffn_down.weight",
    "ffn_gate.weight",
    "ffn_up.weight",
    "post_attention_norm.weight",
    "attn_k_norm.weight",
    "attn_k.weight",
    "attn_output.weight",
    "attn_q_norm.weight",
    "attn_q.weight",
    "attn_v.weight",
    "nextn.shared_head_norm.weight",
    "nextn.enorm.weight",
    "nextn.hnorm.weight",
};

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path inner = fs::weakly_canonical(fs::absolute(path));
  const fs::path outer = fs::weakly_canonical(fs::absolute(folder));
  const auto [end_of_outer, rest] =
      std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end_of_outer == outer.end();
}

/// An input must never be what is written, nor contain it.
void check_output(const GraftInput& input, const std::string& out) {
  std::error_code error;
  if (fs::is_directory(input.path, error)) {
    if (!is_inside(out, input.path)) return;
    throw RequestError(
        fmt::format("{}: the output lies in the folder {}, which is read; give "
                    "another place",
                    out, input.path));
  }
  for (int i = 0; input.is_gguf() && i < input.file->n_files(); ++i) {
    if (!fs::equivalent(out, input.file->path(i), error) || error) continue;
    throw RequestError(
        fmt::format("{}: is read, so it cannot be written; give another --out", out));
  }
  if (fs::equivalent(out, input.path, error) && !error) {
    throw RequestError(
        fmt::format("{}: is read, so it cannot be written; give another --out", out));
  }
}

/// A tensor source for a plain stretch of bytes, so that copying has one implementation.
TensorSource bytes_source(const FileRange& range) {
  TensorSource out;
  out.name = range.path;
  out.shape = {range.size};
  out.type = quant::Type::I8;
  out.range = range;
  return out;
}

void check_finetune(const GraftInput& finetune, bool base_has_head, const GraftOptions& options,
                    std::vector<Finding>& out) {
  if (!finetune.has_trunk) {
    out.push_back({Severity::Refusal, "model",
                   fmt::format("{}: holds no layers of a model", finetune.path),
                   "give the fine-tune with --finetune and the model with the head with --base"});
  }
  if (options.replace || (finetune.head.empty() && finetune.extra.empty())) return;
  out.push_back({Severity::Refusal, "replace",
                 fmt::format("{}: has {} MTP tensors already", finetune.path,
                             finetune.head.size() + finetune.extra.size()),
                 base_has_head
                     ? "nothing needs to be done if it is whole; --replace puts the base "
                       "model's head in its place"
                     : "and the base model has none: are --base and --finetune swapped?"});
}

void append(std::vector<Finding>& to, std::vector<Finding> from) {
  for (Finding& finding : from) {
    const bool known = std::ranges::any_of(
        to, [&finding](const Finding& present) { return present.what == finding.what; });
    if (!known) to.push_back(std::move(finding));
  }
}

GraftPlan plan_extract(const GraftInput& base, const GraftOptions& options) {
  GraftPlan plan;
  plan.title = fmt::format("MTP head of {} alone", base.path);
  plan.findings = check_head(base);
  plan.allowed = !forbids(plan.findings, options.force);
  if (!plan.allowed) return plan;
  const bool wants_gguf = options.out.ends_with(".gguf");
  if (!wants_gguf && !options.out.ends_with(".safetensors")) {
    throw RequestError(
        fmt::format("{}: a head alone is a file; expected a name that ends in .gguf "
                    "or .safetensors",
                    options.out));
  }
  if (!wants_gguf && base.is_gguf()) {
    throw RequestError(fmt::format(
        "{}: the head of a GGUF file cannot become a checkpoint's, whose norms are stored with "
        "other rounding; take the base model's checkpoint, or give a name that ends in .gguf",
        options.out));
  }
  if (wants_gguf) {
    plan_gguf_extract(base, options, plan);
  } else {
    plan_checkpoint_extract(base, options, plan);
  }
  return plan;
}

}  // namespace

ComposedFile new_file(std::string name, std::string_view text) {
  ComposedFile out;
  out.name = std::move(name);
  out.size = text.size();
  out.pieces.emplace_back().bytes.resize(text.size());
  std::memcpy(out.pieces.back().bytes.data(), text.data(), text.size());
  return out;
}

ComposedFile copy_of_file(std::string name, const std::string& path, std::size_t size) {
  ComposedFile out;
  out.name = std::move(name);
  out.size = size;
  out.pieces.emplace_back().range = {path, 0, size};
  return out;
}

void write_composed(const ComposedFile& file, const std::string& path, ThreadPool& pool,
                    const WriteProgress& progress) {
  OutputFile out(path);
  if (file.size > 0) out.reserve(file.size);
  std::size_t before = 0;
  const auto report = [&](std::size_t done, std::size_t /*total*/) {
    return !progress || progress(before + done, file.size);
  };
  for (const ComposedFile::Piece& piece : file.pieces) {
    out.write_at(piece.offset, piece.bytes);
    before += piece.bytes.size();
    if (piece.range.size == 0) continue;
    const TensorOutput target{quant::Type::I8, {}, &out, piece.offset};
    write_tensor(bytes_source(piece.range), std::span(&target, 1), pool, report);
    before += piece.range.size;
  }
  out.commit();
}

std::vector<const HeadTensor*> in_checkpoint_order(const GraftInput& base) {
  std::vector<const HeadTensor*> out;
  for (const HeadTensor& tensor : base.head) out.push_back(&tensor);
  std::ranges::stable_sort(out, {}, [](const HeadTensor* tensor) {
    return std::ranges::find(kCheckpointOrder, tensor->key) - kCheckpointOrder.begin();
  });
  return out;
}

GraftPlan plan_graft(const GraftOptions& options) {
  const GraftInput base = open_graft_input(options.base);
  check_output(base, options.out);
  if (options.finetune.empty()) return plan_extract(base, options);
  const GraftInput finetune = open_graft_input(options.finetune);
  check_output(finetune, options.out);

  GraftPlan plan;
  plan.title = fmt::format("MTP head of {} into {}", base.path, finetune.path);
  plan.findings = check_head(base);
  append(plan.findings, check_fit(base, finetune));
  check_finetune(finetune, !base.head.empty(), options, plan.findings);
  plan.allowed = !forbids(plan.findings, options.force);
  if (base.is_gguf() && !finetune.is_gguf()) {
    throw RequestError(fmt::format(
        "{}: a GGUF file's head cannot go into a checkpoint, whose norms are stored with other "
        "rounding; take the base model's checkpoint, or convert the fine-tune to GGUF first",
        base.path));
  }
  if (!plan.allowed) return plan;
  if (finetune.is_gguf()) {
    plan_gguf_graft(base, finetune, options, plan);
  } else {
    plan_checkpoint_graft(base, finetune, options, plan);
  }
  return plan;
}

}  // namespace foretoken::convert
