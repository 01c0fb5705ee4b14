// Grafting through the library: every way it can go, with outputs compared byte for byte with what
// a conversion of the grafted checkpoint gives, and everything that does not fit, each named.
#include "convert/graft.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "checkpoint_editor.h"
#include "convert/gguf_model.h"
#include "convert/hf_model.h"
#include "gguf/file.h"
#include "tiny_model.h"
#include "tokenizer/hf_tokenizer_json.h"
#include "toolchain.h"

namespace foretoken::tests {
namespace {

namespace fs = std::filesystem;
using convert::GraftOptions;
using convert::GraftPlan;
using convert::Severity;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kFc = "mtp.fc.weight";
constexpr const char* kMtpQNorm = "mtp.layers.0.self_attn.q_norm.weight";
constexpr const char* kMtpKNorm = "mtp.layers.0.self_attn.k_norm.weight";

const TinyCheckpoints& checkpoints() {
  static const TinyCheckpoints made;
  return made;
}

void run(const GraftPlan& plan) {
  ASSERT_TRUE(plan.allowed) << (plan.findings.empty() ? "" : plan.findings.front().what);
  ThreadPool pool(2);
  plan.write(pool, {});
}

/// Plans and writes; the findings hold nothing up.
GraftPlan graft(const GraftOptions& options) {
  GraftPlan plan = convert::plan_graft(options);
  run(plan);
  return plan;
}

/// A GGUF file as the converter makes it, under a name that does not depend on the folder's.
void convert_checkpoint(const std::string& folder, const std::string& out,
                        convert::HfOutput output = convert::HfOutput::Model,
                        quant::Type type = quant::Type::BF16) {
  const convert::HfModel model =
      convert::open_hf_model(folder, {.output = output, .type = type, .model_name = "Tiny"});
  ThreadPool pool(2);
  convert::write_file(model.file_target(out), pool);
}

/// The findings of one topic, one a line.
std::string told(const GraftPlan& plan, const std::string& topic, Severity severity) {
  std::string out;
  for (const convert::Finding& finding : plan.findings) {
    if (finding.topic != topic || finding.severity != severity) continue;
    EXPECT_TRUE(severity == Severity::Note || !finding.advice.empty()) << finding.what;
    out += finding.what + "\n";
  }
  return out;
}

// ---- checkpoint into checkpoint

TEST(Graft, KeepsTheFineTuneAndAddsTheHead) {
  const ScratchFolder scratch;
  const std::string out = scratch / "out";
  graft({.base = checkpoints().base, .finetune = checkpoints().finetune, .out = out});
  const auto base = EditableCheckpoint::read(checkpoints().base);
  const auto finetune = EditableCheckpoint::read(checkpoints().finetune);
  const auto grafted = EditableCheckpoint::read(out);
  std::size_t n_head = 0;
  for (const auto& [name, tensor] : grafted.tensors) {
    const bool of_head = name.starts_with("mtp.");
    n_head += of_head;
    const EditableTensor& source = (of_head ? base : finetune).tensors.at(name);
    EXPECT_EQ(tensor.shape, source.shape) << name;
    EXPECT_TRUE(tensor.data == source.data) << name;
  }
  EXPECT_EQ(n_head, 15u);
  EXPECT_EQ(grafted.tensors.size(), finetune.tensors.size() + 15);
  EXPECT_EQ(grafted.files, finetune.files);
}

TEST(Graft, WritesAnIndexThatCountsTheHead) {
  const ScratchFolder scratch;
  const std::string out = scratch / "out";
  graft({.base = checkpoints().base, .finetune = checkpoints().finetune, .out = out});
  const auto index =
      nlohmann::ordered_json::parse(read_file(out + "/model.safetensors.index.json"));
  std::size_t size = 0;
  for (const auto& [name, tensor] : EditableCheckpoint::read(out).tensors) {
    size += tensor.data.size();
  }
  EXPECT_EQ(index.at("metadata").at("total_size").get<std::size_t>(), size);
  EXPECT_EQ(index.at("weight_map").at(kFc), "model_mtp.safetensors");
  const auto& map = index.at("weight_map").get_ref<const nlohmann::ordered_json::object_t&>();
  EXPECT_TRUE(std::ranges::is_sorted(map, {}, [](const auto& entry) { return entry.first; }));
}

TEST(Graft, GivesASingleFileAStandardName) {
  const ScratchFolder scratch;
  EditableCheckpoint::read(checkpoints().finetune).write(scratch / "finetune");
  graft({.base = checkpoints().base, .finetune = scratch / "finetune", .out = scratch / "out"});
  EXPECT_TRUE(fs::exists(scratch / "out/model-00001-of-00002.safetensors"));
  EXPECT_TRUE(fs::exists(scratch / "out/model-00002-of-00002.safetensors"));
  EXPECT_FALSE(fs::exists(scratch / "out/model.safetensors"));
  EXPECT_EQ(read_file(scratch / "out/model-00001-of-00002.safetensors"),
            read_file(scratch / "finetune/model.safetensors"));
  EXPECT_EQ(EditableCheckpoint::read(scratch / "out").tensors.size(),
            EditableCheckpoint::read(scratch / "finetune").tensors.size() + 15);
}

TEST(Graft, AnnouncesTheHeadAndLeavesTheConfigOtherwiseAsItIs) {
  for (const bool nested : {true, false}) {
    const ScratchFolder scratch;
    auto finetune = EditableCheckpoint::read(checkpoints().finetune);
    finetune.text_config().erase("mtp_num_hidden_layers");
    if (!nested) {
      auto text = finetune.text_config();
      text["architectures"] = {"Qwen3_5ForCausalLM"};
      finetune.config = text;
    }
    finetune.write(scratch / "finetune");
    graft({.base = checkpoints().base, .finetune = scratch / "finetune", .out = scratch / "out"});
    const std::string text = read_file(scratch / "out/config.json");
    auto expected = finetune.config;
    (nested ? expected["text_config"] : expected)["mtp_num_hidden_layers"] = 1;
    EXPECT_EQ(text, expected.dump(2));
  }
}

TEST(Graft, CarriesModelFilesAlongAndLeavesTrainingBehind) {
  const ScratchFolder scratch;
  fs::copy(checkpoints().finetune, scratch / "finetune");
  const std::string folder = scratch / "finetune/";
  for (const char* name : {"README.md", "assets/logo.svg", "optimizer.pt", "checkpoint-5/a.json",
                           ".git/HEAD", "pytorch_model.bin", "runs/x"}) {
    fs::create_directories(fs::path(folder + name).parent_path());
    std::ofstream(folder + name) << name;
  }
  fs::create_symlink("README.md", folder + "CARD.md");
  const GraftPlan plan =
      graft({.base = checkpoints().base, .finetune = folder, .out = scratch / "out"});
  EXPECT_EQ(read_file(scratch / "out/README.md"), "README.md");
  EXPECT_EQ(read_file(scratch / "out/CARD.md"), "README.md");
  EXPECT_EQ(read_file(scratch / "out/assets/logo.svg"), "assets/logo.svg");
  EXPECT_THAT(plan.left_out, ::testing::UnorderedElementsAre(".git", "checkpoint-5", "optimizer.pt",
                                                             "pytorch_model.bin", "runs"));
  for (const std::string& name : plan.left_out) EXPECT_FALSE(fs::exists(scratch / "out/" + name));
}

TEST(Graft, ReplacesAHeadWhereverItIs) {
  const ScratchFolder scratch;
  auto finetune = EditableCheckpoint::read(checkpoints().base);
  finetune.at(kFc).map_bf16([](float x) { return x * 0.5F; });
  finetune.write(scratch / "finetune");  // trunk and head in one file
  GraftOptions options{
      .base = checkpoints().base, .finetune = scratch / "finetune", .out = scratch / "out"};
  EXPECT_THAT(told(convert::plan_graft(options), "replace", Severity::Refusal), HasSubstr("15"));
  options.replace = true;
  graft(options);
  const auto base = EditableCheckpoint::read(checkpoints().base);
  const auto grafted = EditableCheckpoint::read(scratch / "out");
  EXPECT_EQ(grafted.tensors.size(), base.tensors.size());
  for (const auto& [name, tensor] : base.tensors) {
    EXPECT_TRUE(grafted.tensors.at(name).data == tensor.data) << name;
  }
  // And once more: the head's own shard goes.
  options = {.base = checkpoints().base, .finetune = scratch / "out", .out = scratch / "again"};
  options.replace = true;
  graft(options);
  EXPECT_EQ(EditableCheckpoint::read(scratch / "again").tensors.size(), base.tensors.size());
}

// ---- into GGUF

TEST(Graft, GgufEqualsTheConversionOfTheGraftedCheckpoint) {
  const ScratchFolder scratch;
  graft({.base = checkpoints().base, .finetune = checkpoints().finetune, .out = scratch / "hf"});
  convert_checkpoint(scratch / "hf", scratch / "expected.gguf");
  convert_checkpoint(checkpoints().base, scratch / "base.gguf");
  convert_checkpoint(checkpoints().finetune, scratch / "finetune.gguf",
                     convert::HfOutput::WithoutMtp);
  const std::string expected = read_file(scratch / "expected.gguf");
  graft({.base = scratch / "base.gguf",
         .finetune = scratch / "finetune.gguf",
         .out = scratch / "a.gguf"});
  EXPECT_TRUE(read_file(scratch / "a.gguf") == expected);
  graft({.base = checkpoints().base,
         .finetune = scratch / "finetune.gguf",
         .out = scratch / "b.gguf"});
  EXPECT_TRUE(read_file(scratch / "b.gguf") == expected);
}

TEST(Graft, HeadTypesFollowTheFileOrTheOption) {
  const ScratchFolder scratch;
  const std::string quantized = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  // The tiny model's own trunk is not the generated base's, so their tokenizers may differ.
  const std::set<std::string> force = {"tokenizer", "rope", "eps", "vocabulary"};
  struct Case {
    std::optional<quant::Type> option;
    quant::Type expected;
  };
  for (const auto& [option, expected] :
       {Case{std::nullopt, quant::Type::Q8_0}, Case{quant::Type::F16, quant::Type::F16},
        Case{quant::Type::F32, quant::Type::F32}}) {
    graft({.base = checkpoints().base,
           .finetune = quantized,
           .out = scratch / "out.gguf",
           .replace = true,
           .force = force,
           .head_type = option});
    const gguf::File file = gguf::File::open(scratch / "out.gguf");
    EXPECT_EQ(file.require_tensor("blk.8.attn_q.weight").type, expected);
    EXPECT_EQ(file.require_tensor("blk.8.nextn.eh_proj.weight").type, expected);
    EXPECT_EQ(file.require_tensor("blk.8.attn_q_norm.weight").type, quant::Type::F32);
  }
}

TEST(Graft, KeepsTheBytesOfQuantizedTensors) {
  const ScratchFolder scratch;
  const std::string quantized = testing::tiny_model("tiny-paw-Q4_K_M.gguf");
  const std::string bf16 = testing::tiny_model("tiny-base-BF16.gguf");
  graft({.base = bf16, .finetune = quantized, .out = scratch / "out.gguf", .replace = true});
  const gguf::File out = gguf::File::open(scratch / "out.gguf");
  const gguf::File trunk = gguf::File::open(quantized);
  const gguf::File head = gguf::File::open(bf16);
  ASSERT_EQ(out.tensors().size(), trunk.tensors().size());
  for (std::size_t i = 0; i < out.tensors().size(); ++i) {
    const gguf::TensorInfo& tensor = out.tensors()[i];
    // Also the same order: that of llama-quantize.
    EXPECT_EQ(tensor.name, trunk.tensors()[i].name);
    const gguf::File& source = tensor.name.starts_with("blk.8.") ? head : trunk;
    EXPECT_EQ(tensor.type, source.require_tensor(tensor.name).type);
    EXPECT_TRUE(
        std::ranges::equal(out.data(tensor), source.data(source.require_tensor(tensor.name))))
        << tensor.name;
  }
}

TEST(Graft, AModelsOwnHeadChangesNothing) {
  const ScratchFolder scratch;
  for (const char* name : {"tiny-paw-Q4_K_M.gguf", "tiny-paw-BF16.gguf"}) {
    const std::string path = testing::tiny_model(name);
    graft({.base = path, .finetune = path, .out = scratch / "out.gguf", .replace = true});
    EXPECT_TRUE(read_file(scratch / "out.gguf") == read_file(path)) << name;
  }
}

TEST(Graft, EqualsWhatLlamaCppMakesOfTheGraftedCheckpoint) {
  const std::string expected = testing::llama_made_file("graft-BF16.gguf");
  if (expected.empty()) GTEST_SKIP() << "llama.cpp's files of the tiny model are not here";
  const ScratchFolder scratch;
  graft({.base = testing::llama_made_file("base-BF16.gguf"),
         .finetune = testing::llama_made_file("finetune-noMTP-BF16.gguf"),
         .out = scratch / "out.gguf"});
  // It was named after its folder there.
  const gguf::File theirs = gguf::File::open(expected);
  gguf::Writer writer;
  for (const gguf::Entry& entry : theirs.metadata().entries()) {
    if (entry.key == "general.name") {
      writer.set_string("general.name", "Finetune");
    } else {
      writer.set_entry(entry);
    }
  }
  for (const gguf::TensorInfo& tensor : theirs.tensors()) writer.add_tensor(theirs, tensor);
  writer.write(scratch / "expected.gguf");
  EXPECT_TRUE(read_file(scratch / "out.gguf") == read_file(scratch / "expected.gguf"));
}

// ---- the head alone

TEST(Graft, AnExtractedHeadDoesWhatItsModelDoes) {
  const ScratchFolder scratch;
  graft({.base = checkpoints().base, .finetune = {}, .out = scratch / "head.safetensors"});
  const auto base = EditableCheckpoint::read(checkpoints().base);
  EXPECT_LT(fs::file_size(scratch / "head.safetensors"), 2'000'000u);
  const std::string head = scratch / "head.safetensors";
  for (const std::string& from : {checkpoints().base, head}) {
    graft({.base = from,
           .finetune = checkpoints().finetune,
           .out = scratch / (from == checkpoints().base ? "a" : "b")});
  }
  EXPECT_EQ(read_folder(scratch / "a"), read_folder(scratch / "b"));

  convert_checkpoint(checkpoints().base, scratch / "base.gguf");
  convert_checkpoint(checkpoints().finetune, scratch / "finetune.gguf",
                     convert::HfOutput::WithoutMtp);
  graft({.base = scratch / "base.gguf", .finetune = {}, .out = scratch / "head.gguf"});
  for (const char* from : {"base.gguf", "head.gguf"}) {
    graft({.base = scratch / from,
           .finetune = scratch / "finetune.gguf",
           .out = scratch / (std::string("with-") + from)});
  }
  EXPECT_TRUE(read_file(scratch / "with-base.gguf") == read_file(scratch / "with-head.gguf"));
}

TEST(Graft, AnExtractedGgufHeadEqualsTheConvertersHeadFile) {
  const ScratchFolder scratch;
  convert_checkpoint(checkpoints().base, scratch / "base.gguf");
  convert_checkpoint(checkpoints().base, scratch / "expected.gguf", convert::HfOutput::MtpHead);
  graft({.base = scratch / "base.gguf", .finetune = {}, .out = scratch / "head.gguf"});
  EXPECT_TRUE(read_file(scratch / "head.gguf") == read_file(scratch / "expected.gguf"));
}

// ---- what does not fit

class GraftFit : public ::testing::Test {
 protected:
  GraftFit()
      : base_(EditableCheckpoint::read(checkpoints().base)),
        finetune_(EditableCheckpoint::read(checkpoints().finetune)) {}

  /// Writes both sides and plans; nothing else is written.
  GraftPlan plan(const std::set<std::string>& force = {}) {
    const std::string base = scratch_ / fmt::format("base{}", n_);
    const std::string finetune = scratch_ / fmt::format("finetune{}", n_++);
    base_.write(base);
    finetune_.write(finetune);
    return convert::plan_graft(
        {.base = base, .finetune = finetune, .out = scratch_ / "out", .force = force});
  }

  void TearDown() override { EXPECT_FALSE(fs::exists(scratch_ / "out")); }

  ScratchFolder scratch_;
  EditableCheckpoint base_;
  EditableCheckpoint finetune_;
  int n_ = 0;
};

TEST_F(GraftFit, AFittingHeadRaisesNoDoubt) {
  const GraftPlan fitting = plan();
  EXPECT_TRUE(fitting.allowed);
  for (const convert::Finding& finding : fitting.findings) {
    EXPECT_EQ(finding.severity, Severity::Note) << finding.what;
  }
  EXPECT_FALSE(fs::exists(scratch_ / "out"));
}

TEST_F(GraftFit, NamesEveryMismatchInOneRun) {
  auto& config = finetune_.text_config();
  config["hidden_size"] = 512;
  config["num_attention_heads"] = 8;
  config["num_key_value_heads"] = 1;
  config["intermediate_size"] = 768;
  config["rms_norm_eps"] = 1e-5;
  config["rope_parameters"]["rope_theta"] = 10000;
  base_.tensors.erase("mtp.norm.weight");
  base_.at(kFc).map_bf16([](float) { return 0.0F; });
  const GraftPlan refused = plan();
  EXPECT_FALSE(refused.allowed);
  const std::string shapes = told(refused, "shape", Severity::Refusal);
  for (const char* what : {"hidden size differs: 256 in", "512 in", "attention heads",
                           "key/value heads", "feed-forward"}) {
    EXPECT_THAT(shapes, HasSubstr(what));
  }
  EXPECT_THAT(told(refused, "eps", Severity::Doubt), HasSubstr("1e-05"));
  EXPECT_THAT(told(refused, "rope", Severity::Doubt), HasSubstr("10000"));
  EXPECT_THAT(told(refused, "head", Severity::Refusal), HasSubstr("shared_head_norm"));
  EXPECT_THAT(told(refused, "damage", Severity::Refusal), HasSubstr(kFc));
}

TEST_F(GraftFit, DoubtsGiveWayWhenForcedAndRefusalsDoNot) {
  finetune_.text_config()["rms_norm_eps"] = 1e-5;
  EXPECT_FALSE(plan().allowed);
  EXPECT_FALSE(plan({"rope"}).allowed);
  EXPECT_TRUE(plan({"eps"}).allowed);
  base_.tensors.erase(kFc);
  EXPECT_FALSE(plan({"eps", "head"}).allowed);
}

TEST_F(GraftFit, RefusesDamagedHeads) {
  base_.at("mtp.layers.0.mlp.up_proj.weight").map_bf16([](float x) {
    return x > 0.1F ? std::numeric_limits<float>::quiet_NaN() : x;
  });
  base_.at(kMtpQNorm).map_bf16([](float x) { return x + std::numeric_limits<float>::infinity(); });
  const std::string found = told(plan(), "damage", Severity::Refusal);
  EXPECT_THAT(found, HasSubstr("mtp.layers.0.mlp.up_proj.weight"));
  EXPECT_THAT(found, HasSubstr(kMtpQNorm));
}

TEST_F(GraftFit, RefusesShapesAndTypesThatAreNotTheHeads) {
  auto& fc = base_.at(kFc);
  std::swap(fc.shape[0], fc.shape[1]);
  auto& gate = base_.at("mtp.layers.0.mlp.gate_proj.weight");
  gate.type = safetensors::DType::F8_E4M3;
  gate.data.resize(gate.data.size() / 2);
  const GraftPlan refused = plan();
  EXPECT_THAT(told(refused, "shape", Severity::Refusal), HasSubstr("[512, 256]"));
  EXPECT_THAT(told(refused, "type", Severity::Refusal), HasSubstr("F8_E4M3"));
}

TEST_F(GraftFit, DoubtsTensorsThatNoHeadHas) {
  base_.tensors["mtp.layers.0.self_attn.q_proj.weight_scale"] = base_.at(kMtpQNorm);
  EXPECT_THAT(told(plan(), "extra", Severity::Doubt), HasSubstr("weight_scale"));
  EXPECT_TRUE(plan({"extra"}).allowed);
}

TEST_F(GraftFit, RefusesABaseWithoutAHead) {
  base_.remove_head();
  const GraftPlan refused = plan({"tokenizer", "rope"});
  EXPECT_THAT(told(refused, "head", Severity::Refusal), HasSubstr("has no MTP head"));
}

TEST_F(GraftFit, DoubtsNormsThatAreShiftedAgainstTheTrunk) {
  for (const float shift : {1.0F, -1.0F}) {
    base_ = EditableCheckpoint::read(checkpoints().base);
    for (const char* name : {kMtpQNorm, kMtpKNorm}) {
      base_.at(name).map_bf16([shift](float x) { return x + shift; });
    }
    EXPECT_THAT(told(plan(), "norms", Severity::Doubt),
                HasSubstr(shift > 0 ? "too large by 1" : "too small by 1"));
  }
}

TEST_F(GraftFit, OneNormAloneSaysNothing) {
  base_.at(kMtpQNorm).map_bf16([](float x) { return x + 1.0F; });
  EXPECT_EQ(told(plan(), "norms", Severity::Doubt), "");
}

TEST_F(GraftFit, DoubtsCheckpointsThatWentThroughMlx) {
  for (auto& [name, tensor] : finetune_.tensors) {
    if (name.ends_with("conv1d.weight")) std::swap(tensor.shape[1], tensor.shape[2]);
  }
  EXPECT_THAT(told(plan(), "norms", Severity::Doubt), HasSubstr("MLX"));
}

TEST_F(GraftFit, DoubtsAHeadThatWasNeverTrained) {
  for (auto& [name, tensor] : base_.tensors) {
    if (name.starts_with("mtp.") && name.find("norm") != std::string::npos) {
      tensor.map_bf16([](float) { return 0.0F; });
    }
  }
  const GraftPlan doubted = plan();
  EXPECT_NE(told(doubted, "untrained", Severity::Doubt), "");
  EXPECT_EQ(told(doubted, "damage", Severity::Refusal), "");
}

TEST_F(GraftFit, DoubtsAnotherDepthOrOutput) {
  auto& layers = finetune_.text_config();
  layers["num_hidden_layers"] = 4;
  if (layers.contains("layer_types")) {
    auto& types = layers["layer_types"];
    types.erase(types.begin() + 4, types.end());
  }
  std::erase_if(finetune_.tensors,
                [](const auto& entry) { return entry.first.find("lm_head") != std::string::npos; });
  const GraftPlan doubted = plan();
  EXPECT_THAT(told(doubted, "layers", Severity::Doubt), HasSubstr("8 in"));
  EXPECT_THAT(told(doubted, "output", Severity::Doubt), HasSubstr("tied to the embedding"));
}

TEST_F(GraftFit, DoubtsAnotherVocabulary) {
  for (auto& [name, tensor] : finetune_.tensors) {
    if (!name.ends_with("embed_tokens.weight") && !name.ends_with("lm_head.weight")) continue;
    tensor.data.resize(tensor.data.size() / tensor.shape[0] * (tensor.shape[0] - 16));
    tensor.shape[0] -= 16;
  }
  const std::size_t n_base = std::ranges::find_if(base_.tensors, [](const auto& entry) {
                               return entry.first.ends_with("embed_tokens.weight");
                             })->second.shape[0];
  EXPECT_THAT(
      told(plan(), "vocabulary", Severity::Doubt),
      AllOf(HasSubstr(fmt::format("{} in", n_base)), HasSubstr(fmt::format("{} in", n_base - 16))));
  EXPECT_TRUE(plan({"vocabulary"}).allowed);
}

TEST_F(GraftFit, TellsEditedRotaryEmbeddingsFromLongContextScaling) {
  auto& rope = finetune_.text_config().at("rope_parameters");
  const auto original = rope;
  auto& sections = rope.at("mrope_section");
  sections[0] = sections[0].get<int>() - 1;
  sections[1] = sections[1].get<int>() + 1;
  EXPECT_THAT(told(plan(), "rope", Severity::Doubt), HasSubstr("sections"));
  rope = original;
  rope["partial_rotary_factor"] = original.at("partial_rotary_factor").get<double>() * 2;
  for (auto& section : rope.at("mrope_section")) section = section.get<int>() * 2;
  EXPECT_THAT(told(plan(), "shape", Severity::Refusal), HasSubstr("rotated dimensions"));
  rope = original;
  rope["rope_type"] = "yarn";
  rope["factor"] = 4.0;
  rope["original_max_position_embeddings"] = 1024;
  const GraftPlan scaled = plan();
  EXPECT_TRUE(scaled.allowed);
  EXPECT_THAT(told(scaled, "rope", Severity::Note), HasSubstr("yarn 4"));
}

TEST_F(GraftFit, RefusesAFineTuneThatIsAHeadAlone) {
  base_.write(scratch_ / "base");
  graft({.base = scratch_ / "base", .finetune = {}, .out = scratch_ / "head.safetensors"});
  const GraftPlan refused = convert::plan_graft({.base = scratch_ / "base",
                                                 .finetune = scratch_ / "head.safetensors",
                                                 .out = scratch_ / "out",
                                                 .replace = true});
  EXPECT_FALSE(refused.allowed);
  EXPECT_THAT(told(refused, "model", Severity::Refusal), HasSubstr("no layers"));
}

TEST_F(GraftFit, ComparesTokenizersByWhatTheySay) {
  auto tokenizer = nlohmann::ordered_json::parse(finetune_.files.at("tokenizer.json"));
  const auto set = [&] { finetune_.files["tokenizer.json"] = tokenizer.dump(); };
  // Another layout, the same merges.
  for (auto& merge : tokenizer["model"]["merges"]) {
    if (!merge.is_string()) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    } else {
      const auto text = merge.get<std::string>();
      merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
    }
  }
  set();
  EXPECT_EQ(told(plan(), "tokenizer", Severity::Doubt), "");
  EXPECT_EQ(told(plan(), "tokenizer", Severity::Note), "");
  // Two merges change places.
  std::swap(tokenizer["model"]["merges"][10], tokenizer["model"]["merges"][11]);
  set();
  EXPECT_THAT(told(plan(), "tokenizer", Severity::Doubt), HasSubstr("number 10"));
  std::swap(tokenizer["model"]["merges"][10], tokenizer["model"]["merges"][11]);
  // Two tokens change ids.
  std::swap(tokenizer["model"]["vocab"]["a"], tokenizer["model"]["vocab"]["b"]);
  set();
  EXPECT_THAT(told(plan(), "tokenizer", Severity::Doubt), HasSubstr("in 2 of"));
  EXPECT_TRUE(plan({"tokenizer"}).allowed);
}

TEST_F(GraftFit, AddedTokensAreWorthANote) {
  auto json = nlohmann::ordered_json::parse(finetune_.files.at("tokenizer.json"));
  auto token = json["added_tokens"].back();
  token["id"] = tokenizer::read_hf_vocabulary(checkpoints().finetune).spellings.size();
  token["content"] = "<|paw|>";
  json["added_tokens"].push_back(token);
  finetune_.files["tokenizer.json"] = json.dump();
  const GraftPlan noted = plan();
  EXPECT_TRUE(noted.allowed);
  EXPECT_THAT(told(noted, "tokenizer", Severity::Note), HasSubstr("<|paw|>"));
}

TEST_F(GraftFit, AMissingTokenizerIsNotedAndADamagedOneDoubted) {
  auto& text = finetune_.files["tokenizer.json"];
  text.resize(text.size() / 2);
  EXPECT_THAT(told(plan(), "tokenizer", Severity::Doubt), HasSubstr("damaged"));
  finetune_.files.erase("tokenizer.json");
  EXPECT_THAT(told(plan(), "tokenizer", Severity::Note), HasSubstr("could not be checked"));
}

// ---- outputs

TEST(GraftOutput, RefusesPlacesThatAreTaken) {
  const ScratchFolder scratch;
  const GraftOptions options{
      .base = checkpoints().base, .finetune = checkpoints().finetune, .out = scratch / "out"};
  fs::create_directories(options.out);
  EXPECT_TRUE(convert::plan_graft(options).allowed);  // an empty folder is no obstacle
  std::ofstream(options.out + "/x") << "x";
  EXPECT_THROW(convert::plan_graft(options), RequestError);
  auto inside = options;
  inside.out = checkpoints().finetune + "/out";
  EXPECT_THROW(convert::plan_graft(inside), RequestError);
  const std::string file = testing::tiny_model("tiny-base-BF16.gguf");
  EXPECT_THROW(
      convert::plan_graft(
          {.base = testing::tiny_model("tiny-paw-BF16.gguf"), .finetune = file, .out = file}),
      RequestError);
}

TEST(GraftOutput, AnInterruptionLeavesNothing) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "outputs");
  const GraftPlan plan = convert::plan_graft({.base = checkpoints().base,
                                              .finetune = checkpoints().finetune,
                                              .out = scratch / "outputs/out"});
  ThreadPool pool(2);
  EXPECT_THROW(
      plan.write(pool, [](std::size_t done, std::size_t total) { return done < total / 2; }),
      Cancelled);
  EXPECT_TRUE(fs::is_empty(scratch / "outputs"));
}

TEST(GraftOutput, AKilledRunLeavesNothingUnderTheNameAndTheNextCleansUp) {
  const ScratchFolder scratch;
  fs::create_directory(scratch / "outputs");
  const std::string out = scratch / "outputs/out";
  const Words words = graft_words(checkpoints().base, checkpoints().finetune, out);
  for (int i = 0; i < 20; ++i) {
    {
      RunningProgram program(words);
      ::usleep(static_cast<::useconds_t>(1500 * i));
      program.send(SIGKILL);
      program.wait();
    }
    // Whole, or not there under its name.
    if (fs::exists(out)) {
      EXPECT_EQ(EditableCheckpoint::read(out).tensors.size(),
                EditableCheckpoint::read(checkpoints().finetune).tensors.size() + 15);
      fs::remove_all(out);
    }
  }
  fs::create_directories(scratch / "outputs/.out.foretoken-part/deep");
  std::ofstream(scratch / "outputs/.out.foretoken-part/deep/left") << "over";
  EXPECT_EQ(run_program(words).status, 0);
  const auto n_entries = std::distance(fs::directory_iterator(scratch / "outputs"), {});
  EXPECT_EQ(n_entries, 1);
  EXPECT_FALSE(fs::exists(out + "/deep"));
}

// ---- the command

TEST(GraftCommand, ADryRunWritesNothingAndSaysWhatItWould) {
  const ScratchFolder scratch;
  Words words = graft_words(checkpoints().base, checkpoints().finetune, scratch / "out");
  words.insert(words.end(), {"--dry-run", "--json"});
  const Outcome outcome = run_program(words);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto plan = nlohmann::ordered_json::parse(outcome.out);
  EXPECT_EQ(plan.at("allowed"), true);
  EXPECT_EQ(plan.at("written"), false);
  EXPECT_EQ(plan.at("tensors").size(), 15u);
  EXPECT_TRUE(fs::is_empty(scratch.path()));

  words.pop_back();
  words.pop_back();
  EXPECT_EQ(run_program(words).status, 0);
  std::size_t bytes = 0;
  for (const auto& [name, content] : read_folder(scratch / "out")) bytes += content.size();
  EXPECT_EQ(plan.at("bytes").get<std::size_t>(), bytes);
}

TEST(GraftCommand, SaysWhatDoesNotFitWithStatus1) {
  const ScratchFolder scratch;
  // The wrong way round.
  const Outcome outcome =
      run_program(graft_words(checkpoints().finetune, checkpoints().base, scratch / "out"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("has no MTP head"));
  EXPECT_THAT(outcome.err, HasSubstr("swapped?"));
  EXPECT_FALSE(fs::exists(scratch / "out"));
}

TEST(GraftCommand, WrongCommandLinesHaveStatus2) {
  EXPECT_EQ(run_program({"graft", "--base", "x"}).status, 2);
  EXPECT_EQ(run_program({"graft", "--base", "x", "--out", "y", "--force", "nonsense"}).status, 2);
  EXPECT_EQ(run_program({"graft", "--base", "x", "--out", "y"}).status, 1);  // no --finetune
  EXPECT_THAT(run_program({"graft", "--help"}).out, HasSubstr("--dry-run"));
}

}  // namespace
}  // namespace foretoken::tests
