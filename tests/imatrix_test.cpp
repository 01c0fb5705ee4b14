// Importance matrices measured on small models: which weights get an entry, that the sums are those
// of the inputs a forward pass written out here feeds them, and that threads and batches change
// nothing.
#include "eval/imatrix.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "base/error.h"
#include "eval/bundled_text.h"
#include "eval/imatrix_statistics.h"
#include "random_model.h"
#include "tiny_model.h"

namespace foretoken {
namespace {

using ::testing::HasSubstr;

constexpr int kChunk = 64;

eval::ObservedEngine observe(const std::string& path, int n_threads, bool reference = false) {
  return eval::ObservedEngine([&](engine::WrapOps wrap) {
    engine::EngineOptions options;
    options.model_path = path;
    options.n_threads = n_threads;
    options.backend.reference = reference;
    options.wrap_ops = std::move(wrap);
    return std::make_unique<engine::Engine>(options);
  });
}

std::vector<TokenId> some_tokens(int n) {
  std::vector<TokenId> out(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = (i * 131 + i / 7) % 1500;
  return out;
}

gguf::ImatrixFile measure(eval::ObservedEngine& observed, const std::vector<TokenId>& tokens,
                          const eval::ImatrixOptions& options) {
  eval::collect_imatrix(observed, tokens, options);
  return eval::make_imatrix(observed.recorder(), options.chunk_size, "text");
}

gguf::ImatrixFile measure(const std::string& path, const std::vector<TokenId>& tokens,
                          const eval::ImatrixOptions& options, int n_threads = 1) {
  eval::ObservedEngine observed = observe(path, n_threads);
  return measure(observed, tokens, options);
}

void expect_equal(const gguf::ImatrixFile& a, const gguf::ImatrixFile& b) {
  ASSERT_EQ(a.entries.size(), b.entries.size());
  for (const auto& [name, entry] : a.entries) {
    ASSERT_TRUE(b.entries.contains(name)) << name;
    EXPECT_EQ(entry.count, b.entries.at(name).count) << name;
    EXPECT_EQ(entry.sums, b.entries.at(name).sums) << name;
  }
}

// ---- Which weights, how often ----

TEST(Imatrix, CoversEveryMatrixOfEveryBlockAndTheMtpHead) {
  const std::string path = testing::tiny_model("tiny-paw-BF16.gguf");
  const gguf::ImatrixFile file = measure(path, some_tokens(3 * kChunk + 5), {.chunk_size = kChunk});
  std::map<std::string, std::size_t> expected;  // name -> columns
  const gguf::File model = gguf::File::open(path);
  for (const gguf::TensorInfo& tensor : model.tensors()) {
    const bool matrix = tensor.shape.size() == 2 && !tensor.name.ends_with("conv1d.weight");
    if (matrix && tensor.name.starts_with("blk.")) expected[tensor.name] = tensor.n_cols();
  }
  ASSERT_EQ(file.entries.size(), expected.size());
  for (const auto& [name, n_columns] : expected) {
    ASSERT_TRUE(file.entries.contains(name)) << name;
    const gguf::ImatrixEntry& entry = file.entries.at(name);
    EXPECT_EQ(entry.sums.size(), n_columns) << name;
    // A chunk of the head is one pair shorter: the last token has no successor in it.
    const bool head = name.starts_with("blk.8.");
    EXPECT_EQ(entry.count, static_cast<std::uint64_t>(3 * (head ? kChunk - 1 : kChunk))) << name;
    EXPECT_GT(*std::max_element(entry.sums.begin(), entry.sums.end()), 0.0F) << name;
  }
  EXPECT_EQ(file.chunk_count, 3U);
  EXPECT_EQ(file.chunk_size, static_cast<std::uint32_t>(kChunk));
  EXPECT_EQ(file.datasets, std::vector<std::string>{"text"});
}

TEST(Imatrix, TakesTheOutputMatrixOnlyWhenAsked) {
  const std::string path = testing::tiny_model("tiny-paw-BF16.gguf");
  eval::ImatrixOptions options{.chunk_size = kChunk};
  EXPECT_FALSE(measure(path, some_tokens(kChunk), options).entries.contains("output.weight"));
  options.process_output = true;
  for (const bool perplexity : {false, true}) {
    options.perplexity = perplexity;
    const gguf::ImatrixFile file = measure(path, some_tokens(2 * kChunk), options);
    ASSERT_TRUE(file.entries.contains("output.weight"));
    EXPECT_EQ(file.entries.at("output.weight").count, 2U * kChunk);
  }
}

TEST(Imatrix, AModelWithoutAHeadHasNoEntriesForOne) {
  testing::RandomModel model;
  model.n_mtp_layers = 0;
  model.tied = true;
  const testing::TemporaryFile file("imatrix_plain.gguf");
  testing::write_random_model(model, file.path);
  const gguf::ImatrixFile out =
      measure(file.path, some_tokens(kChunk), {.chunk_size = kChunk, .process_output = true});
  EXPECT_EQ(out.entries.size(), 3U * 8U + 7U);  // three delta nets, one attention layer
  for (const auto& [name, entry] : out.entries) EXPECT_TRUE(name.starts_with("blk.")) << name;
}

// ---- The sums ----

struct Sums {
  std::vector<double> values;
  void add(const std::vector<double>& row) {
    values.resize(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) values[i] += row[i] * row[i];
  }
};

std::vector<float> read_tensor(const gguf::File& file, const std::string& name) {
  const gguf::TensorInfo& info = file.require_tensor(name);
  std::vector<float> out(info.n_elements());
  quant::dequantize_row(info.type, file.data(info).data(), out.data(), out.size());
  return out;
}

std::vector<double> rms_norm(std::span<const float> x, std::span<const float> weight) {
  double mean = 0.0;
  for (const float value : x) mean += static_cast<double>(value) * value;
  mean /= static_cast<double>(x.size());
  std::vector<double> out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = x[i] / std::sqrt(mean + 1e-6) * weight[i];
  return out;
}

void expect_close(const gguf::ImatrixFile& file, const std::string& name, const Sums& expected) {
  ASSERT_TRUE(file.entries.contains(name)) << name;
  const std::vector<float>& got = file.entries.at(name).sums;
  ASSERT_EQ(got.size(), expected.values.size()) << name;
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected.values[i], 1e-4 * expected.values[i] + 1e-6) << name << " " << i;
  }
}

// The first layer reads normed embeddings and the head's joining matrix the norms of embedding and
// hidden row: both can be written down without any kernel.
TEST(Imatrix, SumsAreTheSquaresOfWhatTheMatricesRead) {
  const testing::TemporaryFile temporary("imatrix_sums.gguf");
  testing::write_random_model({}, temporary.path);
  const std::vector<TokenId> tokens = some_tokens(kChunk);
  const gguf::ImatrixFile file =
      measure(temporary.path, tokens, {.chunk_size = kChunk, .n_batch = 48});

  const gguf::File model = gguf::File::open(temporary.path);
  const std::vector<float> embedding = read_tensor(model, "token_embd.weight");
  const std::size_t width = model.require_tensor("token_embd.weight").n_cols();
  const auto row = [&](TokenId token) {
    return std::span(embedding).subspan(static_cast<std::size_t>(token) * width, width);
  };
  Sums first_layer;
  const std::vector<float> norm = read_tensor(model, "blk.0.attn_norm.weight");
  for (const TokenId token : tokens) first_layer.add(rms_norm(row(token), norm));
  for (const char* name : {"attn_qkv", "attn_gate", "ssm_alpha", "ssm_beta"}) {
    expect_close(file, fmt::format("blk.0.{}.weight", name), first_layer);
  }

  // Hidden rows of the trunk, from a session of an engine that nobody watches.
  engine::Engine engine(
      {.model_path = temporary.path, .n_threads = 1, .backend = {}, .progress = {}});
  engine::Session session(engine, {.n_context = kChunk, .n_batch = kChunk, .kv_types = {}});
  session.prefill(tokens);
  Sums joined;
  const std::vector<float> embed_norm = read_tensor(model, "blk.4.nextn.enorm.weight");
  const std::vector<float> hidden_norm = read_tensor(model, "blk.4.nextn.hnorm.weight");
  for (std::size_t p = 0; p + 1 < tokens.size(); ++p) {
    std::vector<double> pair = rms_norm(row(tokens[p + 1]), embed_norm);
    const std::vector<double> hidden =
        rms_norm({session.batch_hidden() + p * width, width}, hidden_norm);
    pair.insert(pair.end(), hidden.begin(), hidden.end());
    joined.add(pair);
  }
  expect_close(file, "blk.4.nextn.eh_proj.weight", joined);
}

// The reference kernels compute everything else another way: in double, from unpacked weights.
TEST(Imatrix, AgreesWithTheReferenceKernels) {
  const testing::TemporaryFile temporary("imatrix_reference.gguf");
  testing::write_random_model({}, temporary.path);
  const std::vector<TokenId> tokens = some_tokens(kChunk);
  const gguf::ImatrixFile fast = measure(temporary.path, tokens, {.chunk_size = kChunk});
  eval::ObservedEngine observed = observe(temporary.path, 1, true);
  const gguf::ImatrixFile slow = measure(observed, tokens, {.chunk_size = kChunk});
  ASSERT_EQ(fast.entries.size(), slow.entries.size());
  for (const auto& [name, entry] : slow.entries) {
    EXPECT_EQ(fast.entries.at(name).count, entry.count) << name;
    // Keys and values are rounded to 16 bits in both and may fall to different sides: 2^-11 of a
    // value, twice that of its square, and as much again for what comes after.
    EXPECT_LT(testing::relative_error(fast.entries.at(name).sums, entry.sums), 2e-3) << name;
  }
}

TEST(Imatrix, DoesNotDependOnThreadsOrBatches) {
  const std::string path = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  const std::vector<TokenId> tokens = some_tokens(2 * 100);
  const gguf::ImatrixFile one = measure(path, tokens, {.chunk_size = 100, .n_batch = 100});
  for (const int n_batch : {7, 33, 512}) {
    expect_equal(one, measure(path, tokens, {.chunk_size = 100, .n_batch = n_batch}, 3));
  }
  expect_equal(one, measure(path, tokens, {.chunk_size = 100, .perplexity = false}, 2));
}

TEST(Imatrix, WatchingChangesNoLogits) {
  const std::string path = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  const std::vector<TokenId> tokens = some_tokens(40);
  const auto last_logits = [&](engine::Engine& engine) {
    engine::Session session(engine, {.n_context = 64, .n_batch = 64, .kv_types = {}});
    session.prefill(tokens);
    const auto logits = session.last_logits();
    return std::vector<float>(logits.begin(), logits.end());
  };
  engine::Engine plain({.model_path = path, .n_threads = 1, .backend = {}, .progress = {}});
  eval::ObservedEngine observed = observe(path, 1);
  observed.recorder().watch(observed.engine().weights().file(),
                            [](std::string_view) { return true; });
  EXPECT_EQ(last_logits(observed.engine()), last_logits(plain));
}

// ---- Parts of a text ----

TEST(Imatrix, PartsOfATextAddUpToTheWhole) {
  const std::string path = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  const std::vector<TokenId> tokens = some_tokens(3 * kChunk);
  eval::ObservedEngine observed = observe(path, 1);
  const gguf::ImatrixFile whole = measure(observed, tokens, {.chunk_size = kChunk});
  gguf::ImatrixFile sum = measure(observed, tokens, {.chunk_size = kChunk, .max_chunks = 1});
  EXPECT_EQ(sum.chunk_count, 1U);
  gguf::merge_imatrix(sum, measure(observed, tokens, {.chunk_size = kChunk, .first_chunk = 1}));
  EXPECT_EQ(sum.chunk_count, 3U);
  for (const auto& [name, entry] : whole.entries) {
    EXPECT_EQ(sum.entries.at(name).count, entry.count) << name;
    EXPECT_LT(testing::relative_error(sum.entries.at(name).sums, entry.sums), 1e-6) << name;
  }
}

TEST(Imatrix, PerplexityOnTheWayIsThatOfTheText) {
  eval::ObservedEngine observed = observe(testing::tiny_model("tiny-base-BF16.gguf"), 2);
  const std::vector<TokenId> tokens =
      observed.engine().tokenizer().encode(eval::bundled_text(), {.parse_special = false});
  const eval::Perplexity on_the_way =
      eval::collect_imatrix(observed, tokens, {.chunk_size = 256, .max_chunks = 4});
  engine::Session session(observed.engine(), {.n_context = 256, .n_batch = 256, .kv_types = {}});
  const eval::Perplexity alone =
      eval::measure_perplexity(session, std::span(tokens).first(4 * 256));
  EXPECT_EQ(on_the_way.n_scored, alone.n_scored);
  EXPECT_DOUBLE_EQ(on_the_way.value, alone.value);
}

TEST(Imatrix, RefusesWhatCannotBeMeasured) {
  const auto refusal = [](std::size_t n_tokens, const eval::ImatrixOptions& options) {
    try {
      eval::count_chunks(n_tokens, options);
    } catch (const RequestError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(refusal(511, {}), HasSubstr("the text has 511 tokens"));
  EXPECT_THAT(refusal(1024, {.first_chunk = 2}), HasSubstr("2 whole chunks of 512"));
  EXPECT_THAT(refusal(1024, {.chunk_size = 0}), HasSubstr("too short"));
  EXPECT_THAT(refusal(1024, {.chunk_size = -7}), HasSubstr("too short"));
  EXPECT_THAT(refusal(1024, {.first_chunk = -1}), HasSubstr("negative"));
  EXPECT_THAT(refusal(1024, {.max_chunks = 0}), HasSubstr("nothing to do"));
  EXPECT_EQ(eval::count_chunks(1535, {}), 2);
  EXPECT_EQ(eval::count_chunks(5120, {.first_chunk = 3, .max_chunks = 100}), 7);
}

TEST(Imatrix, StopsWhenToldTo) {
  eval::ObservedEngine observed = observe(testing::tiny_model("tiny-paw-Q4_K_M.gguf"), 1);
  int n_calls = 0;
  EXPECT_THROW(eval::collect_imatrix(observed, some_tokens(4 * kChunk), {.chunk_size = kChunk},
                                     [&](int done, int total, const eval::Perplexity&) {
                                       ++n_calls;
                                       EXPECT_EQ(total, 4);
                                       return done < 2;
                                     }),
               Cancelled);
  EXPECT_EQ(n_calls, 2);
}

// ---- Statistics ----

TEST(ImatrixStatistics, AreThoseOfTheMeansOverColumns) {
  gguf::ImatrixFile file;
  file.chunk_size = 2;
  file.entries["blk.0.attn_q.weight"] = {{4.0F, 4.0F, 4.0F, 4.0F}, 4};
  file.entries["blk.1.attn_q.weight"] = {{8.0F, 0.0F, 0.0F, 0.0F}, 4};
  file.entries["output.weight"] = {{1.0F, 3.0F}, 1};
  file.entries["blk.2.attn_q.weight"] = {{1.0F, 1.0F, 1.0F, 1.0F}, 0};  // never used
  const std::vector<eval::ImatrixStatistics> rows = eval::compute_statistics(file);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].name, "blk.0.attn_q.weight");  // the larger total first
  EXPECT_EQ(rows[0].layer, 0);
  EXPECT_EQ(rows[0].tensor, "attn_q");
  EXPECT_DOUBLE_EQ(rows[0].total, 4.0);
  EXPECT_DOUBLE_EQ(rows[0].deviation, 0.0);
  EXPECT_DOUBLE_EQ(rows[0].active, 1.0);
  EXPECT_DOUBLE_EQ(rows[0].entropy, 2.0);
  EXPECT_DOUBLE_EQ(rows[0].entropy_share, 1.0);
  EXPECT_DOUBLE_EQ(rows[0].cosine_below, 0.0);
  EXPECT_EQ(rows[1].layer, 1);
  EXPECT_DOUBLE_EQ(rows[1].total, 2.0);
  EXPECT_DOUBLE_EQ(rows[1].mean, 0.5);
  EXPECT_DOUBLE_EQ(rows[1].deviation, std::sqrt(0.75));
  EXPECT_DOUBLE_EQ(rows[1].active, 0.25);
  EXPECT_DOUBLE_EQ(rows[1].outliers, 0.25);
  EXPECT_DOUBLE_EQ(rows[1].entropy, 0.0);
  EXPECT_DOUBLE_EQ(rows[1].cosine_below, 0.5);
  EXPECT_EQ(rows[2].layer, -1);
  EXPECT_EQ(rows[2].tensor, "output");
  EXPECT_DOUBLE_EQ(rows[2].least, 1.0);
  EXPECT_DOUBLE_EQ(rows[2].most, 3.0);
}

}  // namespace
}  // namespace foretoken
