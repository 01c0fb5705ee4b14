// Into a checkpoint folder: the fine-tune's shards as they are, one more shard with the head, the
// index written anew, one number of config.json set, everything else that belongs to a model
// carried along.
// Source: docs/graft.md, "Checkpoints"; docs/safetensors.md.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>

#include "base/error.h"
#include "convert/graft_parts.h"
#include "convert/hf_names.h"
#include "convert/json_edit.h"
#include "convert/json_node.h"
#include "convert/output_folder.h"
#include "safetensors/index_json.h"
#include "safetensors/writer.h"

namespace foretoken::convert {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kConfigName = "config.json";

bool is_head_tensor(const safetensors::TensorInfo& tensor) {
  return canonical_name(tensor.name).part == HfPart::Mtp;
}

/// A safetensors file composed of tensors that lie in other files.
class ShardComposer {
 public:
  void set_metadata(const std::string& key, const std::string& value) {
    writer_.set_metadata(key, value);
  }
  void add(const std::string& name, const safetensors::TensorInfo& tensor,
           const std::string& path) {
    writer_.declare_tensor(name, tensor.type, tensor.shape);
    ranges_.push_back({path, tensor.offset, tensor.size_bytes});
  }
  ComposedFile compose(std::string name) const {
    safetensors::Writer::Layout layout = writer_.layout();
    ComposedFile out;
    out.name = std::move(name);
    out.size = layout.file_bytes;
    out.pieces.emplace_back().bytes = std::move(layout.header);
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      out.pieces.push_back({layout.offsets[i], {}, ranges_[i]});
    }
    return out;
  }

 private:
  safetensors::Writer writer_;
  std::vector<FileRange> ranges_;
};

/// Files and folders that trainers leave beside a model, and weights in formats that do not get the
/// head.
bool is_left_out(const fs::path& path, bool is_folder) {
  const std::string name = path.filename().string();
  if (name.starts_with('.')) return true;
  if (is_folder) {
    constexpr std::array kFolders = {"runs", "wandb", "logs", "__pycache__", "original"};
    return std::ranges::find(kFolders, name) != kFolders.end() || name.starts_with("checkpoint-") ||
           name.starts_with("global_step");
  }
  constexpr std::array kEndings = {".safetensors", ".safetensors.index.json",
                                   ".bin",         ".bin.index.json",
                                   ".gguf",        ".pt",
                                   ".pth",         ".onnx",
                                   ".h5",          ".msgpack"};
  return name.starts_with("events.out.tfevents") || name == "trainer_state.json" ||
         std::ranges::any_of(kEndings, [&name](const char* end) { return name.ends_with(end); });
}

class CheckpointGraft {
 public:
  CheckpointGraft(const GraftInput& base, const GraftInput& finetune, GraftPlan& plan)
      : base_(base), finetune_(finetune), plan_(plan) {}

  std::vector<ComposedFile> plan() {
    add_shards();
    add_head();
    add_index();
    add_config();
    carry("");
    for (const ComposedFile& file : files_) plan_.size_bytes += file.size;
    return std::move(files_);
  }

 private:
  void add(ComposedFile file, std::string source, std::string note) {
    plan_.files.push_back({file.name, std::move(source), std::move(note), file.size});
    files_.push_back(std::move(file));
  }

  void note_tensor(const std::string& name, const std::string& file, std::size_t size_bytes,
                   std::size_t n_elements) {
    weight_map_[name] = file;
    total_size_ += size_bytes;
    total_parameters_ += n_elements;
  }

  /// The fine-tune's shards, without a head that one of them may hold.
  void add_shards() {
    const auto shards = finetune_.checkpoint->files();
    const auto keeps = [](const safetensors::File& shard) {
      return shard.tensors().empty() || !std::ranges::all_of(shard.tensors(), is_head_tensor);
    };
    const auto n_kept = std::ranges::count_if(shards, keeps);
    for (const safetensors::File& shard : shards) {
      if (!keeps(shard)) continue;
      std::string name = fs::path(shard.path()).filename().string();
      // Frameworks look for a file of this name before they look for an index.
      if (n_kept == 1 && name == "model.safetensors") {
        name = "model-00001-of-00002.safetensors";
        head_name_ = "model-00002-of-00002.safetensors";
      }
      for (const safetensors::TensorInfo& tensor : shard.tensors()) {
        if (is_head_tensor(tensor)) continue;
        note_tensor(tensor.name, name, tensor.size_bytes, tensor.n_elements());
      }
      names_.push_back(name);
      if (std::ranges::any_of(shard.tensors(), is_head_tensor)) {
        add_without_head(shard, name);
      } else {
        add(copy_of_file(name, shard.path(), shard.file_bytes()), shard.path(), "as it is");
      }
    }
  }

  void add_without_head(const safetensors::File& shard, const std::string& name) {
    ShardComposer composer;
    for (const auto& [key, value] : shard.metadata()) composer.set_metadata(key, value);
    for (const safetensors::TensorInfo& tensor : shard.tensors()) {
      if (!is_head_tensor(tensor)) composer.add(tensor.name, tensor, shard.path());
    }
    add(composer.compose(name), shard.path(), "without its old head");
  }

  /// In a shard of its own whose name sorts behind all others, as a conversion takes shards by
  /// name and the head comes last there.
  void add_head() {
    for (int i = 2; std::ranges::find(names_, head_name_) != names_.end(); ++i) {
      head_name_ = fmt::format("model_mtp-{}.safetensors", i);
    }
    ShardComposer composer;
    composer.set_metadata("format", "pt");
    for (const HeadTensor* tensor : in_checkpoint_order(base_)) {
      const std::string name = canonical_name(tensor->name).canonical;
      composer.add(name, *tensor->info, tensor->bytes.path);
      note_tensor(name, head_name_, tensor->bytes.size, tensor->info->n_elements());
      plan_.head.push_back({tensor->name, name, tensor->type, tensor->type, tensor->bytes.size});
    }
    add(composer.compose(head_name_), "", "the head");
  }

  void add_index() {
    ordered_json metadata = ordered_json::object();
    const fs::path path = fs::path(finetune_.path) / safetensors::kIndexFileName;
    if (finetune_.checkpoint->has_index()) {
      const ordered_json old = read_json_object(path.string());
      if (old.contains("metadata") && old["metadata"].is_object()) metadata = old["metadata"];
    }
    metadata["total_size"] = total_size_;
    if (metadata.contains("total_parameters")) metadata["total_parameters"] = total_parameters_;
    ordered_json index;
    index["metadata"] = std::move(metadata);
    // By name, as frameworks write it. The pairs are put in place directly: looking for an equal
    // key before each would take quadratic time.
    auto& map = (index["weight_map"] = ordered_json::object()).get_ref<ordered_json::object_t&>();
    for (const auto& [tensor, file] : weight_map_) map.push_back({tensor, ordered_json(file)});
    add(new_file(std::string(safetensors::kIndexFileName), index.dump(2) + "\n"), "", "rewritten");
  }

  void add_config() {
    const fs::path path = fs::path(finetune_.path) / kConfigName;
    if (finetune_.shape.n_mtp_layers == 1) {
      add(copy_of_file(kConfigName, path.string(), finetune_.config_text.size()), path.string(),
          "announces the head already");
      return;
    }
    const ordered_json config = parse_json_object(finetune_.config_text, path.string());
    const bool nested = config.contains("text_config") && config["text_config"].is_object();
    add(new_file(kConfigName, set_json_member(finetune_.config_text, nested ? "text_config" : "",
                                              "mtp_num_hidden_layers", "1", path.string())),
        path.string(), "mtp_num_hidden_layers set to 1");
  }

  /// The rest of the folder: tokenizer, templates, card.
  void carry(const std::string& inner) {
    std::error_code error;
    std::vector<fs::directory_entry> entries;
    const fs::path folder = fs::path(finetune_.path) / inner;
    for (fs::directory_iterator entry(folder, error), end; entry != end && !error;
         entry.increment(error)) {
      entries.push_back(*entry);
    }
    if (error) {
      throw IoError(
          fmt::format("{}: cannot list the folder: {}", folder.string(), error.message()));
    }
    std::ranges::sort(entries, {}, [](const auto& entry) { return entry.path().string(); });
    for (const fs::directory_entry& entry : entries) {
      carry_entry(entry, inner.empty() ? entry.path().filename().string()
                                       : inner + "/" + entry.path().filename().string());
    }
  }

  void carry_entry(const fs::directory_entry& entry, const std::string& name) {
    const bool is_known =
        std::ranges::any_of(plan_.files, [&](const FileMove& file) { return file.name == name; });
    const bool is_shard = std::ranges::any_of(
        plan_.files, [&](const FileMove& file) { return file.source == entry.path().string(); });
    if (is_known || is_shard || name == safetensors::kIndexFileName) return;
    // A link to a folder could lead anywhere, in a circle too; links to files are how caches work.
    const bool is_folder = entry.is_directory() && !entry.is_symlink();
    if (is_left_out(entry.path(), is_folder) || (!is_folder && !entry.is_regular_file())) {
      plan_.left_out.push_back(name);
      return;
    }
    if (is_folder) {
      carry(name);
      return;
    }
    add(copy_of_file(name, entry.path().string(), entry.file_size()), entry.path().string(),
        "carried along");
  }

  const GraftInput& base_;
  const GraftInput& finetune_;
  GraftPlan& plan_;
  std::vector<ComposedFile> files_;
  std::vector<std::string> names_;  // of the shards
  std::string head_name_ = "model_mtp.safetensors";
  std::map<std::string, std::string> weight_map_;
  std::size_t total_size_ = 0;
  std::size_t total_parameters_ = 0;
};

/// Progress over several files from the progress of each.
WriteProgress offset_progress(const WriteProgress& progress, std::size_t before, std::size_t total,
                              const std::string& out) {
  return [&progress, before, total, out](std::size_t done, std::size_t) {
    if (!progress || progress(before + done, total)) return true;
    throw Cancelled(fmt::format("{}: interrupted; nothing was written", out));
  };
}

}  // namespace

void plan_checkpoint_graft(const GraftInput& base, const GraftInput& finetune,
                           const GraftOptions& options, GraftPlan& plan) {
  require_free_folder(options.out);
  const auto files = std::make_shared<const std::vector<ComposedFile>>(
      CheckpointGraft(base, finetune, plan).plan());
  plan.write = [files, out = options.out, total = plan.size_bytes](ThreadPool& pool,
                                                                   const WriteProgress& progress) {
    OutputFolder folder(out);
    std::size_t done = 0;
    for (const ComposedFile& file : *files) {
      write_composed(file, folder.path_of(file.name), pool,
                     offset_progress(progress, done, total, out));
      done += file.size;
    }
    folder.commit();
  };
}

void plan_checkpoint_extract(const GraftInput& base, const GraftOptions& options, GraftPlan& plan) {
  ShardComposer composer;
  composer.set_metadata("format", "pt");
  // A head alone says nothing about eps or rotary embedding; with its config it can be checked
  // against a fine-tune later.
  composer.set_metadata(kConfigMetadataKey, base.config_text);
  for (const HeadTensor* tensor : in_checkpoint_order(base)) {
    const std::string name = canonical_name(tensor->name).canonical;
    composer.add(name, *tensor->info, tensor->bytes.path);
    plan.head.push_back({tensor->name, name, tensor->type, tensor->type, tensor->bytes.size});
  }
  const auto file = std::make_shared<const ComposedFile>(composer.compose(options.out));
  plan.size_bytes = file->size;
  plan.files.push_back({options.out, "", "the head alone", file->size});
  plan.write = [file, out = options.out](ThreadPool& pool, const WriteProgress& progress) {
    write_composed(*file, out, pool, offset_progress(progress, 0, file->size, out));
  };
}

}  // namespace foretoken::convert
