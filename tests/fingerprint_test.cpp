// A model's fingerprint stays with the model and leaves with any change of its shape or weights.
#include "engine/fingerprint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "engine/engine.h"
#include "random_model.h"

namespace foretoken {
namespace {

using testing::RandomModel;
using testing::TemporaryFile;

std::uint64_t fingerprint(const std::string& path) {
  engine::Engine engine({.model_path = path, .n_threads = 1, .backend = {}, .progress = {}});
  return engine.fingerprint();
}

std::uint64_t fingerprint(const RandomModel& model) {
  const TemporaryFile file("fingerprint.gguf");
  testing::write_random_model(model, file.path);
  return fingerprint(file.path);
}

TEST(Fingerprint, DoesNotDependOnTheFilesName) {
  const std::string path = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  const TemporaryFile copy("copy_of_paw.gguf");
  std::filesystem::copy_file(path, copy.path);
  EXPECT_EQ(fingerprint(path), fingerprint(copy.path));
}

TEST(Fingerprint, TellsTypesAndFineTunesApart) {
  const std::set<std::uint64_t> all = {fingerprint(testing::tiny_model("tiny-paw-Q4_K_M.gguf")),
                                       fingerprint(testing::tiny_model("tiny-paw-BF16.gguf")),
                                       fingerprint(testing::tiny_model("tiny-base-BF16.gguf"))};
  EXPECT_EQ(all.size(), 3U);
}

TEST(Fingerprint, TellsShapesAndWeightsApart) {
  const std::vector<RandomModel> models = {
      {}, {.n_mtp_layers = 0}, {.interval = 2}, {.d_ff = 768}, {.seed = 2}};
  std::set<std::uint64_t> all;
  for (const RandomModel& model : models) all.insert(fingerprint(model));
  EXPECT_EQ(all.size(), models.size());
}

TEST(Fingerprint, SeesOneChangedBlockOfAMatrix) {
  const TemporaryFile file("one_block.gguf");
  testing::write_random_model({}, file.path);
  const std::uint64_t before = fingerprint(file.path);
  std::size_t at = 0;
  {
    const gguf::File model = gguf::File::open(file.path);
    const gguf::TensorInfo& tensor = model.require_tensor("blk.2.ffn_up.weight");
    at = tensor.offset + tensor.size_bytes / 3;  // where the fingerprint looks
  }
  std::fstream bytes(file.path, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(static_cast<std::streamoff>(at));
  bytes.put('\x11');
  bytes.close();
  EXPECT_NE(fingerprint(file.path), before);
}

}  // namespace
}  // namespace foretoken
