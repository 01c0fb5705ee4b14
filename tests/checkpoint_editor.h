// A small checkpoint held in memory, to be changed at will and written again: what tests of the
// toolchain break on purpose.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/half.h"
#include "program.h"
#include "safetensors/checkpoint.h"
#include "safetensors/writer.h"

namespace foretoken::tests {

struct EditableTensor {
  safetensors::DType type = safetensors::DType::BF16;
  std::vector<std::size_t> shape;
  std::vector<std::byte> data;

  std::vector<float> bf16() const {
    std::vector<float> out(data.size() / 2);
    for (std::size_t i = 0; i < out.size(); ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, data.data() + 2 * i, 2);
      out[i] = foretoken::bf16_to_f32(bits);
    }
    return out;
  }
  /// Replaces every number of a BF16 tensor.
  void map_bf16(const std::function<float(float)>& change) {
    const std::vector<float> numbers = bf16();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::uint16_t bits = foretoken::f32_to_bf16(change(numbers[i]));
      std::memcpy(data.data() + 2 * i, &bits, 2);
    }
  }
};

/// Weights by name, config.json, and the folder's other files.
struct EditableCheckpoint {
  std::map<std::string, EditableTensor> tensors;
  nlohmann::ordered_json config;
  std::map<std::string, std::string> files;

  static EditableCheckpoint read(const std::string& folder) {
    EditableCheckpoint out;
    const auto checkpoint = safetensors::Checkpoint::open(folder);
    for (const safetensors::TensorRef& tensor : checkpoint.tensors()) {
      const auto data = checkpoint.data(tensor);
      out.tensors[tensor.name()] = {
          tensor.info->type, tensor.info->shape, {data.begin(), data.end()}};
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (name == "config.json") {
        out.config = nlohmann::ordered_json::parse(read_file(entry.path()));
      } else if (name.find("safetensors") == std::string::npos) {
        out.files[name] = read_file(entry.path());
      }
    }
    return out;
  }

  EditableTensor& at(const std::string& name) { return tensors.at(name); }
  nlohmann::ordered_json& text_config() { return config.at("text_config"); }

  void remove_head() {
    std::erase_if(tensors, [](const auto& entry) { return entry.first.starts_with("mtp."); });
  }

  /// Into a new folder, as one model.safetensors.
  void write(const std::string& folder) const {
    std::filesystem::create_directories(folder);
    safetensors::Writer writer;
    writer.set_metadata("format", "pt");
    for (const auto& [name, tensor] : tensors) {
      writer.add_tensor(name, tensor.type, tensor.shape, tensor.data);
    }
    writer.write(folder + "/model.safetensors");
    std::ofstream(folder + "/config.json", std::ios::binary) << config.dump(2);
    for (const auto& [name, text] : files) {
      std::ofstream(folder + "/" + name, std::ios::binary) << text;
    }
  }
};

}  // namespace foretoken::tests
