// Lays out a release: opens, checks, chooses types and names, and computes where every byte will
// lie.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <list>
#include <map>
#include <numeric>
#include <system_error>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "convert/file_type.h"
#include "convert/general_metadata.h"
#include "convert/gguf_model.h"
#include "convert/graft_input.h"
#include "convert/head_check.h"
#include "convert/hf_model.h"
#include "convert/importance.h"
#include "convert/quantize_plan.h"
#include "release/release.h"

namespace foretoken::release {
namespace {

namespace fs = std::filesystem;
using convert::HfModel;
using convert::HfOutput;
using convert::TensorSource;
using quant::Type;

constexpr std::string_view kWeightsEnding = ".safetensors";

// What a plan's functions and pointers borrow from.
struct Held {
  std::list<HfModel> models;
  std::list<convert::QuantizeOptions> quantize_options;
};

std::string last_folder(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return fs::path(path).filename().string();
}

// A name that is safe in a file's, in JSON and in the card's commands: UTF-8, no folder in it, no
// spaces, nothing that a shell takes for its own, nothing hidden.
std::string file_stem(std::string_view name) {
  constexpr std::string_view kUnsafe = "/\\\"'`$&|;<>()*?[]{}!#~";
  std::string out;
  while (!name.empty()) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(name));
    const bool is_safe = length > 1 || (static_cast<unsigned char>(name[0]) - 0x21U < 0x5EU &&
                                        kUnsafe.find(name[0]) == std::string_view::npos);
    out += is_safe ? name.substr(0, length) : "-";
    name.remove_prefix(length);
  }
  while (!out.empty() && (out.front() == '.' || out.front() == '-')) out.erase(out.begin());
  return out.empty() ? "model" : out;
}

// Names, sizes and times of the files of some folders; what cannot be read is left to whoever opens
// it.
std::string state_of(std::span<const std::string> folders, std::string_view ending = "") {
  std::string text;
  for (const std::string& folder : folders) {
    std::vector<std::string> lines;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      const std::string name = entry->path().filename().string();
      std::error_code absent;
      if (!name.ends_with(ending) || !entry->is_regular_file(absent)) continue;
      lines.push_back(
          fmt::format("{} {} {}\n", name, fs::file_size(entry->path(), absent),
                      fs::last_write_time(entry->path(), absent).time_since_epoch().count()));
    }
    std::ranges::sort(lines);
    for (const std::string& line : lines) text += line;
  }
  return text;
}

// F32 and BF16 are what the converter writes; all others, F16 too, are what the quantizer makes of
// the BF16 file, which differs in the order of keys and tensors.
std::optional<Type> converter_type(const convert::FileType& type) {
  if (type.name == "F32" || type.name == "BF16") return type.base;
  return std::nullopt;
}

// The head must fit; every reason why not, in one sentence each.
void check_head(const ReleaseOptions& options, ReleasePlan& plan) {
  const convert::GraftInput base = convert::open_graft_input(options.base);
  const convert::GraftInput finetune = convert::open_graft_input(options.finetune);
  for (const auto* input : {&base, &finetune}) {
    if (input->checkpoint) continue;
    throw RequestError(fmt::format(
        "{}: release starts from checkpoint folders (config.json and safetensors); foretoken graft "
        "and foretoken quantize work on GGUF files",
        input->path));
  }
  if (!finetune.head.empty()) {
    throw RequestError(
        fmt::format("{}: has an MTP head already ({} tensors); nothing was lost. foretoken convert "
                    "and foretoken "
                    "quantize make its files; foretoken graft --replace puts in another head",
                    options.finetune, finetune.head.size()));
  }
  std::vector<convert::Finding> findings = convert::check_head(base);
  std::ranges::copy(convert::check_fit(base, finetune), std::back_inserter(findings));
  std::string refusals;
  for (const convert::Finding& finding : findings) {
    if (finding.severity == convert::Severity::Note || options.force.contains(finding.topic)) {
      plan.notes.push_back(finding.what);
      continue;
    }
    refusals += fmt::format("\n  {}: {}{}{}", finding.topic, finding.what,
                            finding.advice.empty() ? "" : "; ", finding.advice);
  }
  if (convert::forbids(findings, options.force)) {
    throw RequestError(fmt::format("{}: its MTP head does not fit {}:{}", options.base,
                                   options.finetune, refusals));
  }
  for (const convert::HeadTensor& tensor : base.head) {
    plan.card.n_head_parameters += std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                                   std::size_t{1}, std::multiplies<>());
  }
}

HfModel& open_text(const ReleaseOptions& options, Type type, Held& held) {
  convert::HfModelOptions how;
  how.output = HfOutput::Model;
  how.type = type;
  if (!options.name.empty()) how.model_name = options.name;
  how.head_folder = options.base;
  return held.models.emplace_back(convert::open_hf_model(options.finetune, how));
}

// Sources as a BF16 file would have them: what a file of floats keeps as F32 is F32 for the choice
// of types too.
std::vector<TensorSource> as_in_a_file(const HfModel& model) {
  const convert::FileTarget target = model.file_target("");
  std::vector<TensorSource> out = model.source.tensors;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (target.tensors[i].type != Type::F32 || out[i].type == Type::F32) continue;
    out[i].type = Type::F32;
    out[i].copy_rows = nullptr;
    out[i].range.reset();
  }
  return out;
}

// "owner/name" of a model's repository, or nothing.
std::string repository(const convert::Ancestor& model) {
  const std::string url = model.value("repo_url", "");
  const std::size_t name = url.rfind('/');
  if (name == std::string::npos || name == 0) return "";
  const std::size_t owner = url.rfind('/', name - 1);
  return owner == std::string::npos ? "" : url.substr(owner + 1);
}

class Planner {
 public:
  explicit Planner(const ReleaseOptions& options)
      : options_(options), held_(std::make_shared<Held>()) {}

  ReleasePlan plan() {
    plan_.out = options_.out;
    check_folders();
    const std::vector<convert::FileType> types = parse_types();
    check_head(options_, plan_);
    read_importances();
    HfModel& text = open_text(options_, Type::BF16, *held_);
    text_ = &text;
    plan_.name = file_stem(options_.name.empty() ? last_folder(options_.finetune) : options_.name);
    plan_.sources = as_in_a_file(text);
    n_text_ = plan_.sources.size();
    for (const convert::FileType& type : types) {
      if (const auto floats = converter_type(type)) {
        add_converted_file(type, *floats);
      } else {
        add_quantized_file(type);
      }
    }
    add_vision();
    finish();
    return std::move(plan_);
  }

 private:
  void check_folders() {
    std::error_code error;
    if (fs::exists(options_.out, error) && !fs::is_directory(options_.out, error)) {
      throw RequestError(fmt::format("{}: is a file; --out names a folder", options_.out));
    }
    for (const std::string& folder : {options_.base, options_.finetune}) {
      if (!fs::equivalent(options_.out, folder, error)) continue;
      throw RequestError(
          fmt::format("{}: is one of the checkpoints; --out names a folder of its own", folder));
    }
    const std::vector<std::string> folders = {options_.base, options_.finetune};
    sources_ = state_of(folders);
    plan_.check_sources = [folders, before = state_of(folders, kWeightsEnding)] {
      if (state_of(folders, kWeightsEnding) == before) return;
      throw IoError(
          fmt::format("{} or {}: weights have changed while they were read, so what was written "
                      "may be of both states; give the command again",
                      folders[0], folders[1]));
    };
  }

  std::vector<convert::FileType> parse_types() const {
    std::vector<convert::FileType> out;
    for (const std::string& name : options_.types) {
      const auto type = convert::find_file_type(name);
      if (!type) {
        throw RequestError(fmt::format(
            "--types: {} is no file type; for example BF16, Q8_0, Q4_K_M", quoted(name)));
      }
      const auto same = [&](const convert::FileType& other) { return other.name == type->name; };
      if (std::ranges::none_of(out, same)) out.push_back(*type);
    }
    if (out.empty()) throw RequestError("--types: give at least one, for example Q4_K_M");
    return out;
  }

  void read_importances() {
    if (options_.imatrix.empty()) return;
    imatrix_ = gguf::read_imatrix(options_.imatrix);
    importances_ = convert::make_importances(*imatrix_);
  }

  ReleaseFile& new_file(const std::string& name, std::string_view type) {
    ReleaseFile& file = plan_.files.emplace_back();
    file.path = (fs::path(options_.out) / name).string();
    file.type = type;
    return file;
  }

  // Declares source `i` as the next tensor of the file.
  static void declare(ReleaseFile& file, const TensorSource& source, std::size_t i, Type type,
                      const std::vector<float>* importance = nullptr) {
    if (file.place.size() <= i) {
      file.place.resize(i + 1, ReleaseFile::npos);
      file.types.resize(i + 1, Type::F32);
      file.importance.resize(i + 1, nullptr);
    }
    file.place[i] = file.n_tensors++;
    file.types[i] = type;
    file.importance[i] = importance;
    file.keys.declare_tensor(source.name, type, source.shape);
  }

  void add_converted_file(const convert::FileType& type, Type floats) {
    const HfModel& model = floats == Type::BF16 ? *text_ : open_text(options_, floats, *held_);
    convert::FileTarget target = model.file_target("");
    ReleaseFile& file = new_file(fmt::format("{}-{}.gguf", plan_.name, type.name), type.name);
    file.keys = std::move(target.keys);
    for (std::size_t i = 0; i < n_text_; ++i) {
      declare(file, plan_.sources[i], i, target.tensors[i].type);
    }
  }

  void add_quantized_file(const convert::FileType& type) {
    convert::ModelSource sorted;
    sorted.origin = options_.finetune;
    sorted.keys = text_->source.keys;
    std::vector<std::size_t> order(n_text_);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [this](std::size_t a, std::size_t b) {
      const TensorSource& x = plan_.sources[a];
      const TensorSource& y = plan_.sources[b];
      return std::pair(convert::layer_of(x.name), std::string_view(x.name)) <
             std::pair(convert::layer_of(y.name), std::string_view(y.name));
    });
    for (const std::size_t i : order) sorted.tensors.push_back(plan_.sources[i]);
    convert::QuantizeOptions& how = held_->quantize_options.emplace_back();
    how.file_type = type;
    how.recipe.protect_mtp = options_.protect_mtp;
    how.importances = importances_;
    const convert::QuantizePlan quantized = convert::plan_quantization(
        sorted, convert::read_model_facts(sorted.keys, sorted.origin), how);
    if (!quantized.problems.empty()) {
      throw RequestError(
          fmt::format("{} as {}: {}", options_.finetune, type.name, quantized.problems.front()));
    }
    if (!options_.imatrix.empty() && !quantized.without_importance.empty()) {
      plan_.notes.push_back(
          fmt::format("{}: {} tensors have no entry in {} and are quantized without, {} among them",
                      type.name, quantized.without_importance.size(), options_.imatrix,
                      quantized.without_importance.front()));
    }
    ReleaseFile& file = new_file(fmt::format("{}-{}.gguf", plan_.name, type.name), type.name);
    file.keys = sorted.keys;
    convert::set_quantization_keys(file.keys, type.id);
    if (imatrix_) {
      convert::set_importance_keys(file.keys, options_.imatrix, *imatrix_, importances_.size());
    }
    for (std::size_t k = 0; k < order.size(); ++k) {
      const convert::PlannedTensor& tensor = quantized.tensors[k];
      declare(file, plan_.sources[order[k]], order[k], tensor.choice.type, tensor.importance);
    }
  }

  // The fine-tune's tower or, when its export left it out, the base's.
  void add_vision() {
    if (!options_.vision) return;
    for (const std::string& folder : {options_.finetune, options_.base}) {
      if (!convert::read_hf_config(folder).vision) continue;
      convert::HfModelOptions how;
      how.output = HfOutput::Vision;
      how.type = options_.vision_type;
      if (!options_.name.empty()) how.model_name = options_.name;
      HfModel& model = held_->models.emplace_back(convert::open_hf_model(folder, how));
      convert::FileTarget target = model.file_target("");
      const std::string type(upper_name(options_.vision_type));
      ReleaseFile& file = new_file(fmt::format("mmproj-{}-{}.gguf", plan_.name, type), type);
      file.is_vision = true;
      file.keys = std::move(target.keys);
      for (const TensorSource& source : model.source.tensors) {
        const std::size_t i = plan_.sources.size();
        declare(file, source, i, target.tensors[i - n_text_].type);
        plan_.sources.push_back(source);
      }
      if (folder == options_.base) {
        plan_.notes.push_back(fmt::format("{} has no vision tower; the mmproj file is made from {}",
                                          options_.finetune, options_.base));
      }
      return;
    }
    plan_.notes.emplace_back("neither model has a vision tower; there will be no mmproj file");
  }

  static std::string upper_name(Type type) {
    std::string name(quant::type_info(type).name);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
    return name;
  }

  void finish() {
    for (ReleaseFile& file : plan_.files) {
      file.place.resize(plan_.sources.size(), ReleaseFile::npos);
      file.types.resize(plan_.sources.size(), Type::F32);
      file.importance.resize(plan_.sources.size(), nullptr);
    }
    fill_card();
    plan_.hash = hash();
    plan_.keep_alive = held_;
  }

  void fill_card() {
    Card& card = plan_.card;
    convert::MetadataSources from;
    from.folder = options_.finetune;
    from.n_params = text_->n_params;
    const convert::GeneralMetadata general = convert::collect_general_metadata(from);
    card.model = options_.name.empty() ? last_folder(options_.finetune) : options_.name;
    card.base = last_folder(options_.base);
    if (general.license) card.license = *general.license;
    if (general.base_models && !general.base_models->empty()) {
      card.base_repository = repository(general.base_models->front());
    }
    if (general.size_label) card.size = *general.size_label;
    card.n_parameters = text_->n_params;
    card.imatrix = options_.imatrix.empty() ? "" : fs::path(options_.imatrix).filename().string();
    card.protect_mtp = options_.protect_mtp;
    card.perplexity_text = perplexity_text();
    card.acceptance_prompts = acceptance_prompts();
    card.version = options_.version;
    card.command = options_.command;
    for (const ReleaseFile& file : plan_.files) {
      const gguf::Writer::Layout layout = file.keys.layout();
      std::size_t n_weights = 0;
      for (std::size_t i = 0; i < plan_.sources.size(); ++i) {
        if (file.place[i] == ReleaseFile::npos) continue;
        n_weights += plan_.sources[i].n_rows() * plan_.sources[i].n_cols();
      }
      const std::size_t n_bytes =
          std::accumulate(layout.sizes.begin(), layout.sizes.end(), std::size_t{0});
      card.files.push_back(
          {.name = fs::path(file.path).filename().string(),
           .type = file.type,
           .size_bytes = layout.file_bytes,
           .bits_per_weight = 8.0 * static_cast<double>(n_bytes) / static_cast<double>(n_weights),
           .sha256 = "",
           .is_vision = file.is_vision,
           .measured = {},
           .not_measured = ""});
    }
  }

  // The state of all source files, and every byte of the headers, which hold keys, types and
  // shapes.
  Sha256 hash() const {
    std::string text = fmt::format("foretoken release {}\n", options_.version) + sources_;
    for (const ReleaseFile& file : plan_.files) {
      text += fs::path(file.path).filename().string() + "\n";
      text += to_hex(sha256(file.keys.layout().header)) + "\n";
    }
    if (!options_.imatrix.empty()) text += to_hex(sha256_of_file(options_.imatrix)) + "\n";
    return sha256(text);
  }

  const ReleaseOptions& options_;
  std::shared_ptr<Held> held_;
  ReleasePlan plan_;
  std::string sources_;  // their state before the first of them was opened
  HfModel* text_ = nullptr;
  std::size_t n_text_ = 0;
  std::optional<gguf::ImatrixFile> imatrix_;
  convert::Importances importances_;
};

}  // namespace

ReleasePlan plan_release(const ReleaseOptions& options) { return Planner(options).plan(); }

}  // namespace foretoken::release
