// Checkpoints and command lines for tests of the toolchain through the program.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "program.h"

namespace foretoken::tests {

using Words = std::vector<std::string>;

/// A new folder, removed with all it holds when this goes.
class ScratchFolder {
 public:
  ScratchFolder() : path_(::testing::TempDir() + "foretoken-toolchain-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Makes a checkpoint of the tiny shape; `flags` as make_checkpoint takes them.
inline void make_tiny_checkpoint(const std::string& folder, const std::string& flags = "") {
  const std::string command =
      fmt::format("'{}' tiny '{}' {} > '{}.log' 2>&1", MAKE_CHECKPOINT, folder, flags, folder);
  if (std::system(command.c_str()) != 0) {
    throw std::runtime_error(command + "\n" + read_file(folder + ".log"));
  }
}

/// A base model with its head, and a fine-tune without one and without a tower; two shards each.
struct TinyCheckpoints {
  ScratchFolder folder;
  std::string base = folder / "base";
  std::string finetune = folder / "finetune";
  TinyCheckpoints() {
    make_tiny_checkpoint(base, "--seed 1 --shard-bytes 9000000");
    make_tiny_checkpoint(finetune, "--seed 2 --no-mtp --no-vision --shard-bytes 7000000");
  }
};

/// The three steps as a user types them.
inline Words graft_words(const std::string& base, const std::string& finetune,
                         const std::string& out) {
  return {"graft", "--base", base, "--finetune", finetune, "--out", out};
}
inline Words convert_words(const std::string& folder, const std::string& out,
                           const std::string& type = "bf16") {
  return {"convert", folder, "--outfile", out, "--outtype", type};
}
inline Words quantize_words(const std::string& in, const std::string& out,
                            const std::string& type) {
  return {"quantize", in, out, type, "2"};
}
inline Words release_words(const std::string& base, const std::string& finetune,
                           const std::string& out) {
  return {"release", "--base",      base,     "--finetune", finetune,       "--out", out,
          "--types", "BF16,Q4_K_M", "--name", "Tiny",       "--no-measure", "-t",    "2"};
}

/// Every file below a folder: its path from there, and its bytes (in texts, the folder's own path
/// is written FOLDER).
using FolderContent = std::map<std::string, std::string>;

inline FolderContent read_folder(const std::string& folder) {
  FolderContent out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::string bytes = read_file(entry.path());
    if (entry.path().extension() == ".md") {
      for (std::size_t at = 0; (at = bytes.find(folder, at)) != std::string::npos;) {
        bytes.replace(at, folder.size(), "FOLDER");
      }
    }
    out[std::filesystem::relative(entry.path(), folder).string()] = std::move(bytes);
  }
  return out;
}

/// Whether `err` is one sentence to a user: one line that begins with the program's name, after
/// what had to be noted before.
inline bool is_one_sentence(std::string err) {
  while (err.starts_with("note: ")) err.erase(0, err.find('\n') + 1);
  return err.starts_with("foretoken: ") && err.find('\n') == err.size() - 1;
}

}  // namespace foretoken::tests
