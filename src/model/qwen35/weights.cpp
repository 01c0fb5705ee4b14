#include "model/qwen35/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "gguf/validate.h"
#include "model/qwen35/tensor_map.h"

namespace foretoken::model::qwen35 {

/// Reads tensors out of the file; lives only while loading.
class Weights::Loader {
 public:
  Loader(Weights& weights, kernels::Ops& ops, ThreadPool& pool, const LoadProgress& progress)
      : weights_(weights), source_(&weights.file_), ops_(ops), pool_(pool), progress_(progress) {}

  void load() {
    const Config& c = weights_.config_;
    for (const auto& info : weights_.file_.tensors()) total_bytes_ += info.size_bytes;
    if (weights_.head_file_) {
      for (const auto& info : weights_.head_file_->tensors()) total_bytes_ += info.size_bytes;
    }
    weights_.embedding_ = &file().require_tensor("token_embd.weight");
    check_values(*weights_.embedding_);
    advance(*weights_.embedding_);
    weights_.output_norm_ = vector("output_norm.weight");
    const bool tied = file().find_tensor("output.weight") == nullptr;
    weights_.output_ = matrix(tied ? "token_embd.weight" : "output.weight");
    for (int i = 0; i < c.n_layers; ++i) {
      weights_.layers_.push_back(layer(i, c.is_recurrent[static_cast<std::size_t>(i)]));
    }
    if (weights_.head_file_) source_ = &*weights_.head_file_;
    if (c.n_mtp_layers > 0) weights_.mtp_ = mtp_head(c.n_layers);
    for (int extra = 1; extra < c.n_mtp_layers; ++extra) {
      for (const TensorSpec& spec : mtp_tensors(c, extra)) {
        if (const gguf::TensorInfo* info = file().find_tensor(spec.name)) check_values(*info);
      }
    }
  }

 private:
  const gguf::File& file() const { return *source_; }

  Layer layer(int index, bool recurrent) {
    const auto name = [&](const char* part) { return block_tensor(index, part); };
    Layer out;
    out.attn_norm = vector(name("attn_norm.weight"));
    if (recurrent) {
      DeltaNetWeights& mixer = out.delta_net.emplace();
      mixer.qkv = matrix(name("attn_qkv.weight"));
      mixer.gate = matrix(name("attn_gate.weight"));
      mixer.conv = vector(name("ssm_conv1d.weight"));
      mixer.dt_bias = vector(name("ssm_dt.bias"));
      mixer.a = vector(name("ssm_a"));
      mixer.beta = matrix(name("ssm_beta.weight"));
      mixer.alpha = matrix(name("ssm_alpha.weight"));
      mixer.norm = vector(name("ssm_norm.weight"));
      mixer.out = matrix(name("ssm_out.weight"));
    } else {
      AttentionWeights& mixer = out.attention.emplace();
      mixer.q = matrix(name("attn_q.weight"));
      mixer.k = matrix(name("attn_k.weight"));
      mixer.v = matrix(name("attn_v.weight"));
      mixer.out = matrix(name("attn_output.weight"));
      mixer.q_norm = vector(name("attn_q_norm.weight"));
      mixer.k_norm = vector(name("attn_k_norm.weight"));
    }
    out.ffn_norm = vector(name("post_attention_norm.weight"));
    out.ffn_gate = matrix(name("ffn_gate.weight"));
    out.ffn_up = matrix(name("ffn_up.weight"));
    out.ffn_down = matrix(name("ffn_down.weight"));
    return out;
  }

  MtpWeights mtp_head(int block) {
    const auto name = [&](const char* part) { return block_tensor(block, part); };
    MtpWeights out;
    out.eh_proj = matrix(name("nextn.eh_proj.weight"));
    out.embed_norm = vector(name("nextn.enorm.weight"));
    out.hidden_norm = vector(name("nextn.hnorm.weight"));
    out.layer = layer(block, false);
    const std::string head_norm = name("nextn.shared_head_norm.weight");
    if (file().find_tensor(head_norm)) {
      out.head_norm = vector(head_norm);
    } else {
      out.head_norm = AlignedBuffer<float>(weights_.output_norm_.size());
      std::memcpy(out.head_norm.data(), weights_.output_norm_.data(),
                  out.head_norm.size() * sizeof(float));
    }
    if (file().find_tensor(name("nextn.shared_head_head.weight"))) {
      out.own_output = matrix(name("nextn.shared_head_head.weight"));
    }
    out.own_embedding = file().find_tensor(name("nextn.embed_tokens.weight"));
    if (out.own_embedding) check_values(*out.own_embedding);
    return out;
  }

  MatrixPtr matrix(const std::string& name) {
    const gguf::TensorInfo& info = file().require_tensor(name);
    check_values(info);
    kernels::MatrixSource source;
    source.type = info.type;
    source.rows = static_cast<int>(info.n_rows());
    source.cols = static_cast<int>(info.n_cols());
    source.data = file().data(info).data();
    MatrixPtr packed = ops_.pack(source);
    weights_.packed_bytes_ += packed->size_bytes();
    advance(info);
    return packed;
  }

  // Norms, biases and the convolution: small, kept as f32.
  AlignedBuffer<float> vector(const std::string& name) {
    const gguf::TensorInfo& info = file().require_tensor(name);
    check_values(info);
    AlignedBuffer<float> out(info.n_elements());
    const std::size_t row_bytes = quant::row_bytes(info.type, info.n_cols());
    for (std::size_t row = 0; row < info.n_rows(); ++row) {
      quant::dequantize_row(info.type, file().data(info).data() + row * row_bytes,
                            out.data() + row * info.n_cols(), info.n_cols());
    }
    advance(info);
    return out;
  }

  // Scans scales (or float values) for NaN and infinity, in parallel over slices of whole rows.
  void check_values(const gguf::TensorInfo& info) {
    const std::size_t row_bytes = quant::row_bytes(info.type, info.n_cols());
    const auto n_rows = static_cast<int>(info.n_rows());
    const int grain = std::max(1, static_cast<int>((std::size_t{1} << 18) / row_bytes));
    std::atomic<bool> good{true};
    pool_.parallel_for(n_rows, grain, [&](int begin, int end, int) {
      gguf::TensorInfo slice = info;
      slice.shape = {static_cast<std::size_t>(end - begin), info.n_cols()};
      slice.offset += static_cast<std::size_t>(begin) * row_bytes;
      slice.size_bytes = slice.shape[0] * row_bytes;
      if (gguf::find_invalid_scale(file(), slice)) good.store(false, std::memory_order_relaxed);
    });
    if (good.load(std::memory_order_relaxed)) return;
    if (const auto found = gguf::find_invalid_scale(file(), info)) {
      throw FormatError(gguf::describe(file(), info, *found));
    }
  }

  void advance(const gguf::TensorInfo& info) {
    file().drop_pages(info);
    done_bytes_ += info.size_bytes;
    if (progress_) progress_(std::min(done_bytes_, total_bytes_), total_bytes_);
  }

  Weights& weights_;
  const gguf::File* source_;  // the model, then the head's own file where there is one
  kernels::Ops& ops_;
  ThreadPool& pool_;
  const LoadProgress& progress_;
  std::size_t done_bytes_ = 0;
  std::size_t total_bytes_ = 0;
};

Weights::Weights(gguf::File file, kernels::Ops& ops, ThreadPool& pool, const LoadProgress& progress,
                 std::optional<gguf::File> head)
    : file_(std::move(file)), head_file_(std::move(head)), config_(read_config(file_)) {
  check_tensors(file_, config_);
  if (head_file_) config_.n_mtp_layers = check_head_file(*head_file_, file_, config_);
  Loader(*this, ops, pool, progress).load();
}

void Weights::embed(std::span<const std::int32_t> tokens, float* out,
                    const gguf::TensorInfo* table) const {
  const gguf::TensorInfo& info = table != nullptr ? *table : *embedding_;
  const bool of_head = head_file_ && head_file_->find_tensor(info.name) == &info;
  const std::byte* data = (of_head ? *head_file_ : file_).data(info).data();
  const std::size_t width = info.n_cols();
  const std::size_t row_bytes = quant::row_bytes(info.type, width);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    quant::dequantize_row(info.type, data + static_cast<std::size_t>(tokens[t]) * row_bytes,
                          out + t * width, width);
  }
}

}  // namespace foretoken::model::qwen35
