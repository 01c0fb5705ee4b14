// Checkpoints that are damaged, contradict themselves or lie: `convert` and `graft` refuse each
// with status 1 and one sentence that names the file, and the tensor or member, and leave nothing.
#include <gmock/gmock.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "toolchain.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::HasSubstr;

constexpr const char* kShard1 = "model-00001-of-00002.safetensors";
constexpr const char* kShard2 = "model-00002-of-00002.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

const TinyCheckpoints& checkpoints() {
  static const TinyCheckpoints made;
  return made;
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Changes a JSON file in place.
void edit_json(const std::string& path, const std::function<void(ordered_json&)>& edit) {
  ordered_json json = ordered_json::parse(read_file(path));
  edit(json);
  write_file(path, json.dump());
}

/// Changes the header of a safetensors file; the data stays as it is.
void edit_header(const std::string& path, const std::function<void(ordered_json&)>& edit) {
  const std::string bytes = read_file(path);
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof(size));
  ordered_json header = ordered_json::parse(bytes.substr(sizeof(size), size));
  const std::string data = bytes.substr(sizeof(size) + size);
  edit(header);
  const std::string text = header.dump();
  size = text.size();
  std::string start(sizeof(size), '\0');
  std::memcpy(start.data(), &size, sizeof(size));
  write_file(path, start + text + data);
}

/// Overwrites the first bytes of a tensor's data.
void poke(const std::string& path, const std::string& tensor, const std::string& bytes) {
  std::string content = read_file(path);
  std::uint64_t size = 0;
  std::memcpy(&size, content.data(), sizeof(size));
  const auto header = ordered_json::parse(content.substr(sizeof(size), size));
  const auto begin = header.at(tensor).at("data_offsets").at(0).get<std::uint64_t>();
  content.replace(sizeof(size) + size + begin, bytes.size(), bytes);
  write_file(path, content);
}

/// The shard that holds a tensor.
std::string shard_of(const std::string& folder, const std::string& tensor) {
  const auto index = ordered_json::parse(read_file(folder + "/" + kIndex));
  return folder + "/" + index.at("weight_map").at(tensor).get<std::string>();
}

void set_config(const std::string& folder, const char* member, const ordered_json& value) {
  edit_json(folder + "/config.json",
            [&](ordered_json& json) { json["text_config"][member] = value; });
}

constexpr const char* kUp = "model.language_model.layers.2.mlp.up_proj.weight";

/// Which command has to notice.
enum class By { Both, Convert, Graft };

struct Damage {
  const char* name;
  By by;
  std::function<void(const std::string& folder)> apply;
  Words words;  ///< that the sentence must hold
};

std::ostream& operator<<(std::ostream& out, const Damage& damage) { return out << damage.name; }

std::vector<Damage> container_damages() {
  return {
      {"AShardOneByteShort",
       By::Both,
       [](const std::string& f) {
         fs::resize_file(f + "/" + kShard2, fs::file_size(f + "/" + kShard2) - 1);
       },
       {kShard2}},
      {"AnEmptyShard",
       By::Both,
       [](const std::string& f) { write_file(f + "/" + kShard2, ""); },
       {kShard2}},
      {"AHeaderLongerThanTheFile",
       By::Both,
       [](const std::string& f) {
         write_file(f + "/" + kShard1, std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}", 10));
       },
       {kShard1}},
      {"AShapeThatDoesNotFillItsBytes",
       By::Both,
       [](const std::string& f) {
         edit_header(shard_of(f, kUp), [](ordered_json& h) { h[kUp]["shape"] = {1024, 256}; });
       },
       {kUp, ".safetensors"}},
      {"AShapeThatOverflows",
       By::Both,
       [](const std::string& f) {
         edit_header(shard_of(f, kUp), [](ordered_json& h) {
           h[kUp]["shape"] = {4294967296, 4294967296};
         });
       },
       {kUp, ".safetensors"}},
      {"TensorsThatOverlap",
       By::Both,
       [](const std::string& f) {
         edit_header(shard_of(f, kUp), [](ordered_json& h) {
           const auto other = h["model.language_model.layers.2.mlp.gate_proj.weight"];
           h[kUp]["data_offsets"] = other["data_offsets"];
         });
       },
       {".safetensors", "proj.weight"}},
      {"AnUnknownType",
       By::Both,
       [](const std::string& f) {
         edit_header(shard_of(f, kUp), [](ordered_json& h) { h[kUp]["dtype"] = "F7"; });
       },
       {kUp, "F7"}},
      {"AnIndexThatLeavesTheFolder",
       By::Both,
       [](const std::string& f) {
         edit_json(f + "/" + kIndex,
                   [](ordered_json& j) { j["weight_map"][kUp] = "../../etc/passwd"; });
       },
       {kIndex, "../../etc/passwd"}},
      {"AnIndexWithATensorTooMany",
       By::Both,
       [](const std::string& f) {
         edit_json(f + "/" + kIndex, [](ordered_json& j) { j["weight_map"]["ghost"] = kShard1; });
       },
       {"ghost", kShard1}},
      {"AnIndexWithATensorTooFew",
       By::Both,
       [](const std::string& f) {
         edit_json(f + "/" + kIndex, [](ordered_json& j) { j["weight_map"].erase(kUp); });
       },
       {kUp}},
      {"AnIndexThatIsNoJson",
       By::Both,
       [](const std::string& f) { write_file(f + "/" + kIndex, "{\"weight_map\": {"); },
       {kIndex}},
      {"AMissingShard",
       By::Both,
       [](const std::string& f) { fs::remove(f + "/" + kShard2); },
       {kShard2}},
      {"AShardThatIsAFolder",
       By::Both,
       [](const std::string& f) {
         fs::remove(f + "/" + kShard2);
         fs::create_directory(f + "/" + kShard2);
       },
       {kShard2}},
  };
}

std::vector<Damage> model_damages() {
  return {
      {"NoConfig",
       By::Both,
       [](const std::string& f) { fs::remove(f + "/config.json"); },
       {"config.json"}},
      {"AConfigThatIsNoJson",
       By::Both,
       [](const std::string& f) { write_file(f + "/config.json", "hidden_size = 256\n"); },
       {"config.json"}},
      {"AnotherArchitecture",
       By::Both,
       [](const std::string& f) {
         edit_json(f + "/config.json", [](ordered_json& j) {
           j["model_type"] = "llama";
           j["architectures"] = {"LlamaForCausalLM"};
         });
       },
       {"config.json", "lama"}},
      {"ABillionLayers",
       By::Both,
       [](const std::string& f) { set_config(f, "num_hidden_layers", 1'000'000'000); },
       {"config.json", "num_hidden_layers"}},
      {"ANegativeWidth",
       By::Both,
       [](const std::string& f) { set_config(f, "hidden_size", -256); },
       {"config.json", "hidden_size"}},
      {"AWidthInWords",
       By::Both,
       [](const std::string& f) { set_config(f, "intermediate_size", "wide"); },
       {"config.json", "intermediate_size"}},
      {"HeadsThatDoNotDivide",
       By::Both,
       [](const std::string& f) { set_config(f, "linear_num_value_heads", 3); },
       {"config.json", "linear_num_value_heads"}},
      {"AWidthThatTheWeightsDoNotHave",
       By::Convert,
       [](const std::string& f) { set_config(f, "intermediate_size", 1024); },
       {"mlp.", "512", "1024"}},
      {"ATensorThatIsMissing",
       By::Convert,
       [](const std::string& f) {
         edit_header(shard_of(f, kUp), [](ordered_json& h) {
           h["model.language_model.layers.2.mlp.up_projection.weight"] = h[kUp];
           h.erase(kUp);
         });
         edit_json(f + "/" + kIndex, [](ordered_json& j) {
           j["weight_map"]["model.language_model.layers.2.mlp.up_projection.weight"] =
               j["weight_map"][kUp];
           j["weight_map"].erase(kUp);
         });
       },
       {"layers.2.mlp.up_proj"}},
      {"NotANumber",
       By::Convert,
       [](const std::string& f) { poke(shard_of(f, kUp), kUp, "\xC0\x7F"); },
       {"up"}},
      {"ATokenizerThatIsCut",
       By::Convert,
       [](const std::string& f) { fs::resize_file(f + "/tokenizer.json", 20000); },
       {"tokenizer.json"}},
      {"NoTokenizer",
       By::Convert,
       [](const std::string& f) { fs::remove(f + "/tokenizer.json"); },
       {"tokenizer.json"}},
      {"MoreTokensThanRows",
       By::Convert,
       [](const std::string& f) { set_config(f, "vocab_size", 1024); },
       {"1024", "2048"}},
  };
}

class HostileCheckpoint : public testing::TestWithParam<Damage> {
 protected:
  /// A copy of a good checkpoint with the damage done.
  std::string damaged(const std::string& good, const ScratchFolder& scratch) const {
    const std::string copy = scratch / "damaged";
    fs::copy(good, copy);
    GetParam().apply(copy);
    return copy;
  }

  static void expect_refusal(const Words& words, const std::string& out) {
    const Outcome outcome = run_program(words);
    EXPECT_EQ(outcome.status, 1) << outcome.err;
    EXPECT_TRUE(is_one_sentence(outcome.err)) << outcome.err;
    for (const std::string& word : GetParam().words) EXPECT_THAT(outcome.err, HasSubstr(word));
    EXPECT_FALSE(fs::exists(out));
  }
};

TEST_P(HostileCheckpoint, IsRefusedByConvertInOneSentence) {
  if (GetParam().by == By::Graft) return;
  const ScratchFolder scratch;
  const std::string folder = damaged(checkpoints().base, scratch);
  // Q8_0, so that numbers have to be looked at.
  expect_refusal(convert_words(folder, scratch / "out.gguf", "q8_0"), scratch / "out.gguf");
}

TEST_P(HostileCheckpoint, IsRefusedByGraftInOneSentence) {
  if (GetParam().by == By::Convert) return;
  const ScratchFolder scratch;
  const std::string folder = damaged(checkpoints().finetune, scratch);
  expect_refusal(graft_words(checkpoints().base, folder, scratch / "out"), scratch / "out");
}

std::string name_of(const testing::TestParamInfo<Damage>& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Container, HostileCheckpoint, testing::ValuesIn(container_damages()),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Model, HostileCheckpoint, testing::ValuesIn(model_damages()), name_of);

}  // namespace
}  // namespace foretoken::tests
