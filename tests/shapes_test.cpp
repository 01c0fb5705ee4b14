// Every shape the architecture allows runs: tied and untied heads, any interval of full attention,
// one to three value heads a key head, other head widths, no MTP head or several, any tensor type
// on any matrix. Fast kernels against readable ones, and drafts against none.
#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/generate.h"
#include "random_model.h"

namespace foretoken {
namespace {

using testing::RandomModel;
using testing::TemporaryFile;

std::vector<TokenId> some_tokens(int n) {
  std::mt19937 random(3);
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (TokenId& id : out) id = static_cast<TokenId>(random() % 2000);
  return out;
}

std::vector<float> logits(const std::string& path, bool reference) {
  engine::EngineOptions options;
  options.model_path = path;
  options.n_threads = 2;
  options.backend.reference = reference;
  engine::Engine engine(options);
  engine::SessionOptions session_options;
  session_options.n_context = 128;
  session_options.kv_types = {quant::Type::F32, quant::Type::F32};
  engine::Session session(engine, session_options);
  session.prefill(some_tokens(40));
  const std::span<const float> out = session.last_logits();
  return {out.begin(), out.end()};
}

std::vector<TokenId> greedy(engine::Engine& engine, int depth) {
  engine::SessionOptions session_options;
  session_options.n_context = 128;
  engine::Session session(engine, session_options);
  session.prefill(some_tokens(30));
  sampling::SamplingParams sampling;
  sampling.temperature = 0.0F;
  engine::SpeculationOptions speculation;
  speculation.type = engine::SpeculationOptions::Type::Auto;
  speculation.limits.n_max = depth;
  speculation.adaptive = false;
  engine::Generator generator(session, sampling, speculation);
  EXPECT_EQ(generator.drafts(), depth > 0 && engine.mtp_head() != nullptr);
  generator.observe_prompt();
  return generator.generate({.max_tokens = 32, .ignore_end = true}).tokens;
}

void check_lossless(const std::string& path) {
  engine::Engine engine({.model_path = path, .n_threads = 2, .backend = {}, .progress = {}});
  const auto expected = greedy(engine, 0);
  EXPECT_EQ(greedy(engine, 3), expected);
  EXPECT_EQ(greedy(engine, 8), expected);
}

struct Shape {
  const char* name;
  RandomModel model;
};

class Shapes : public ::testing::TestWithParam<Shape> {};

TEST_P(Shapes, FastKernelsMatchReadableOnesAndDraftsChangeNothing) {
  const TemporaryFile file(std::string(GetParam().name) + ".gguf");
  testing::write_random_model(GetParam().model, file.path);
  EXPECT_LT(testing::relative_error(logits(file.path, false), logits(file.path, true)), 1e-4);
  check_lossless(file.path);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Shapes,
    ::testing::Values(
        Shape{"plain", {}}, Shape{"tied", {.tied = true}},
        Shape{"interval_two", {.n_layers = 5, .interval = 2}},
        Shape{"all_attention", {.n_layers = 2, .interval = 1}},
        Shape{"all_delta_net", {.n_layers = 3, .interval = 8}},
        Shape{"interval_without_flags", {.n_layers = 6, .interval = 3, .recurrent_flags = false}},
        Shape{"no_head", {.n_mtp_layers = 0}}, Shape{"two_heads", {.n_mtp_layers = 2}},
        Shape{"one_value_head_a_key_head", {.n_k_heads = 4, .n_v_heads = 4}},
        Shape{"three_value_heads_a_key_head", {.n_k_heads = 2, .n_v_heads = 6, .d_k = 32}},
        Shape{"wide_heads",
              {.n_heads = 4,
               .n_kv_heads = 1,
               .head_dim = 256,
               .n_rot = 64,
               .sections = {11, 11, 10},
               .d_k = 128}},
        Shape{"odd_widths",
              {.d_model = 96,
               .d_ff = 352,
               .n_heads = 3,
               .n_kv_heads = 3,
               .head_dim = 32,
               .n_rot = 8,
               .sections = {2, 1, 1},
               .d_k = 48}}),
    [](const auto& param) { return param.param.name; });

TEST(Shapes, AnyTypeOnAnyMatrix) {
  using quant::Type;
  const std::vector<Type> types = {Type::F32,  Type::F16,    Type::BF16,   Type::Q8_0,
                                   Type::Q4_0, Type::Q4_1,   Type::Q5_0,   Type::Q5_1,
                                   Type::Q2_K, Type::Q3_K,   Type::Q4_K,   Type::Q5_K,
                                   Type::Q6_K, Type::IQ4_NL, Type::IQ4_XS, Type::MXFP4};
  for (unsigned seed = 1; seed <= 6; ++seed) {
    RandomModel model;
    model.seed = seed;
    model.type = [&](std::mt19937& random) { return types[random() % types.size()]; };
    const TemporaryFile file("types_" + std::to_string(seed) + ".gguf");
    testing::write_random_model(model, file.path);
    check_lossless(file.path);
  }
}

TEST(Shapes, LongContextTakesMemoryOnlyAsItFills) {
  engine::Engine engine({.model_path = testing::tiny_model("tiny-paw-Q4_K_M.gguf"),
                         .n_threads = 2,
                         .backend = {},
                         .progress = {}});
  engine::SessionOptions options;
  options.n_context = 262144;
  engine::Session session(engine, options);
  session.prefill(some_tokens(20));
  EXPECT_EQ(session.room(), 262144 - 20);
}

}  // namespace
}  // namespace foretoken
