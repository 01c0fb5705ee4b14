// Checkpoints converted and run in the engine: what the model computes must not depend on how its
// checkpoint was spelled, and must follow the pairing of value heads with key heads.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "convert/hf_model.h"
#include "convert/test_checkpoint.h"
#include "convert/test_convert.h"
#include "engine/generate.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using convert::Prefixes;
using convert::TestCheckpoint;
using convert::TestFolder;
using convert::TestShape;
using convert::TestTensor;

std::vector<TokenId> some_tokens() {
  std::vector<TokenId> out;
  for (int i = 0; i < 24; ++i) out.push_back(static_cast<TokenId>(i * 37 % 256));
  return out;
}

/// Numbers as small as a trained model's, so that nothing saturates.
TestCheckpoint calm_checkpoint(const TestShape& shape) {
  TestCheckpoint out(shape, 5);
  for (auto& [name, tensor] : out.tensors) {
    const bool is_matrix = tensor.shape.size() == 2;
    const float scale = is_matrix ? 1.0F / 16.0F : 1.0F / 4.0F;
    for (float& x : tensor.numbers) x *= scale;
  }
  return out;
}

std::string convert_to_f32(const TestCheckpoint& checkpoint, const TestFolder& folder) {
  checkpoint.write(folder.path());
  convert::converted(folder.path(), folder / "out.gguf", {.type = quant::Type::F32});
  return folder / "out.gguf";
}

std::vector<float> logits(const TestCheckpoint& checkpoint) {
  const TestFolder folder;
  engine::EngineOptions engine_options;
  engine_options.model_path = convert_to_f32(checkpoint, folder);
  engine_options.n_threads = 2;
  engine_options.backend.reference = true;
  engine::Engine engine(engine_options);
  engine::SessionOptions options;
  options.n_context = 64;
  options.kv_types = {quant::Type::F32, quant::Type::F32};
  engine::Session session(engine, options);
  session.prefill(some_tokens());
  const std::span<const float> out = session.last_logits();
  return {out.begin(), out.end()};
}

/// Value head h of every delta net becomes what head old(h) was.
void move_value_heads(TestCheckpoint& checkpoint, const TestShape& shape,
                      const std::function<int(int)>& old) {
  const auto head = static_cast<std::size_t>(shape.d_head);
  const auto first = static_cast<std::size_t>(2 * shape.n_k_heads) * head;
  const auto d = static_cast<std::size_t>(shape.d_model);
  // `n` runs of blocks of `block` numbers behind `begin` in each.
  const auto move = [&](TestTensor& tensor, std::size_t n, std::size_t begin, std::size_t block) {
    const std::vector<float> before = tensor.numbers;
    const std::size_t run = before.size() / n;
    for (std::size_t r = 0; r < n; ++r) {
      for (int h = 0; h < shape.n_v_heads(); ++h) {
        for (std::size_t i = 0; i < block; ++i) {
          tensor.numbers[r * run + begin + static_cast<std::size_t>(h) * block + i] =
              before[r * run + begin + static_cast<std::size_t>(old(h)) * block + i];
        }
      }
    }
  };
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name.ends_with("in_proj_qkv.weight")) move(tensor, 1, first * d, head * d);
    if (name.ends_with("in_proj_z.weight")) move(tensor, 1, 0, head * d);
    if (name.ends_with("in_proj_a.weight") || name.ends_with("in_proj_b.weight")) {
      move(tensor, 1, 0, d);
    }
    if (name.ends_with("conv1d.weight")) move(tensor, 1, first * 4, head * 4);
    if (name.ends_with("A_log") || name.ends_with("dt_bias")) move(tensor, 1, 0, 1);
    if (name.ends_with("out_proj.weight")) move(tensor, d, 0, head);
  }
}

class ConvertedModel : public ::testing::TestWithParam<int> {
 protected:
  TestShape shape() const { return {.n_k_heads = 3, .ratio = GetParam()}; }
};

// The heads that share a key head may stand in any order among themselves.
TEST_P(ConvertedModel, ValueHeadsOfOneKeyHeadAreEqual) {
  const int ratio = GetParam();
  const TestCheckpoint checkpoint = calm_checkpoint(shape());
  TestCheckpoint moved = checkpoint;
  move_value_heads(moved, shape(), [ratio](int h) { return h / ratio * ratio + (h + 1) % ratio; });
  EXPECT_LT(testing::relative_error(logits(moved), logits(checkpoint)), 1e-5);
}

// Heads that change their key head make another model.
TEST_P(ConvertedModel, ValueHeadsOfDifferentKeyHeadsAreNot) {
  const int ratio = GetParam();
  const TestCheckpoint checkpoint = calm_checkpoint(shape());
  TestCheckpoint moved = checkpoint;
  const int n = shape().n_v_heads();
  move_value_heads(moved, shape(), [ratio, n](int h) { return (h + ratio) % n; });
  EXPECT_GT(testing::relative_error(logits(moved), logits(checkpoint)), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(ValueHeadsAKeyHead, ConvertedModel, ::testing::Values(1, 2, 3));

TEST(ConvertedModels, SpellingChangesNothing) {
  const TestShape shape{.ratio = 3, .tied = true};
  TestCheckpoint checkpoint = calm_checkpoint(shape);
  const std::vector<float> expected = logits(checkpoint);
  checkpoint.prefixes = Prefixes::Inner;
  checkpoint.n_files = 3;
  EXPECT_EQ(logits(checkpoint), expected);
}

TEST(ConvertedModels, DraftWithTheirHeadsAndLoseNothing) {
  const TestShape shape{.ratio = 2};
  const TestFolder folder;
  engine::Engine engine({.model_path = convert_to_f32(calm_checkpoint(shape), folder),
                         .n_threads = 2,
                         .backend = {},
                         .progress = {}});
  ASSERT_NE(engine.mtp_head(), nullptr);
  const auto generate = [&](int depth) {
    engine::SessionOptions options;
    options.n_context = 128;
    engine::Session session(engine, options);
    session.prefill(some_tokens());
    sampling::SamplingParams sampling;
    sampling.temperature = 0.0F;
    engine::SpeculationOptions speculation;
    speculation.type = engine::SpeculationOptions::Type::Auto;
    speculation.limits.n_max = depth;
    speculation.adaptive = false;
    engine::Generator generator(session, sampling, speculation);
    EXPECT_EQ(generator.drafts(), depth > 0);
    generator.observe_prompt();
    return generator.generate({.max_tokens = 24, .ignore_end = true}).tokens;
  };
  const std::vector<TokenId> expected = generate(0);
  EXPECT_EQ(expected.size(), 24U);
  EXPECT_EQ(generate(3), expected);
}

}  // namespace
}  // namespace foretoken
