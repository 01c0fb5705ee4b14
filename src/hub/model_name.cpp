#include "hub/model_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/text.h"

namespace foretoken::hub {
namespace {

constexpr std::size_t kMaxName = 200;
constexpr std::size_t kMaxListed = 20;

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxName || text.front() == '.' || text.front() == '-') {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_projector(const RemoteFile& file) {
  return upper(base_name(file.path)).find("MMPROJ") != std::string::npos;
}

bool is_model(const RemoteFile& file) {
  const std::string name = upper(base_name(file.path));
  if (!name.ends_with(".GGUF")) return false;
  for (const char* other : {"MMPROJ", "IMATRIX", "-MTP-ONLY", "DRAFT"}) {
    if (name.find(other) != std::string::npos) return false;
  }
  return true;
}

// The type stands between separators: "Q8_0" is not in "model-IQ8_0.gguf".
bool names_type(const RemoteFile& file, std::string_view type) {
  const std::string name = upper(base_name(file.path));
  const std::string wanted = upper(type);
  for (std::size_t at = name.find(wanted); at != std::string::npos;
       at = name.find(wanted, at + 1)) {
    const auto separates = [&](std::size_t i) {
      return i >= name.size() ||
             (std::isalnum(static_cast<unsigned char>(name[i])) == 0 && name[i] != '_');
    };
    if ((at == 0 || separates(at - 1)) && separates(at + wanted.size())) return true;
  }
  return false;
}

// "x-00002-of-00005.gguf": {"x", 2, 5}; nothing for an unsplit file.
struct Part {
  std::string stem;
  int number = 0;
  int count = 0;
};
std::optional<Part> parse_part(std::string_view path) {
  constexpr std::string_view kPattern = "-00000-of-00000.gguf";
  if (path.size() <= kPattern.size()) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kPattern.size());
  int digits[2] = {0, 0};
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] != '0') {
      if (tail[i] != kPattern[i]) return std::nullopt;
      continue;
    }
    if (tail[i] < '0' || tail[i] > '9') return std::nullopt;
    int& number = digits[i < 8 ? 0 : 1];
    number = 10 * number + (tail[i] - '0');
  }
  return Part{std::string(path.substr(0, path.size() - kPattern.size())), digits[0], digits[1]};
}

// All parts of the model that `first` belongs to.
std::vector<RemoteFile> all_parts(const std::vector<RemoteFile>& files, const RemoteFile& first) {
  const std::optional<Part> part = parse_part(first.path);
  if (!part) return {first};
  std::vector<RemoteFile> out;
  for (int number = 1; number <= part->count; ++number) {
    const std::string path = fmt::format("{}-{:05}-of-{:05}.gguf", part->stem, number, part->count);
    const auto found = std::find_if(files.begin(), files.end(),
                                    [&](const RemoteFile& f) { return f.path == path; });
    if (found == files.end()) {
      throw RequestError(
          fmt::format("the repository lacks {}, a part of {}", quoted(path), quoted(first.path)));
    }
    out.push_back(*found);
  }
  return out;
}

std::string list_models(const std::vector<RemoteFile>& files) {
  std::string out;
  std::size_t n = 0;
  for (const RemoteFile& file : files) {
    if (!is_model(file)) continue;
    if (n++ == kMaxListed) return out + ", ...";
    out += (out.empty() ? "" : ", ") + printable(file.path);
  }
  return out.empty() ? "no GGUF file" : out;
}

const RemoteFile* find_model(const std::vector<RemoteFile>& files, std::string_view type) {
  for (const RemoteFile& file : files) {
    if (is_model(file) && names_type(file, type)) return &file;
  }
  return nullptr;
}

std::optional<RemoteFile> find_projector(const std::vector<RemoteFile>& files) {
  std::optional<RemoteFile> out;
  for (const char* type : {"F16", "BF16", "F32"}) {
    for (const RemoteFile& file : files) {
      if (is_projector(file) && names_type(file, type)) return file;
    }
  }
  for (const RemoteFile& file : files) {
    if (is_projector(file)) return file;
  }
  return out;
}

}  // namespace

ModelName parse_model_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view repository = text.substr(0, colon);
  const std::size_t slash = repository.find('/');
  const bool good = slash != std::string_view::npos && is_name(repository.substr(0, slash)) &&
                    is_name(repository.substr(slash + 1)) &&
                    (colon == std::string_view::npos || is_name(text.substr(colon + 1)));
  if (!good) {
    throw RequestError(fmt::format("-hf {}: not a repository; write USER/MODEL or USER/MODEL:QUANT",
                                   quoted(text)));
  }
  return {std::string(repository),
          colon == std::string_view::npos ? "" : std::string(text.substr(colon + 1))};
}

ChosenFiles choose_files(const std::vector<RemoteFile>& files, const ModelName& name,
                         std::string_view file) {
  const RemoteFile* chosen = nullptr;
  if (!file.empty()) {
    for (const RemoteFile& f : files) {
      if (f.path == file) chosen = &f;
    }
  } else if (!name.quant.empty()) {
    chosen = find_model(files, name.quant);
  } else {
    for (const char* type : {"Q4_K_M", "Q8_0"}) {
      if (chosen == nullptr) chosen = find_model(files, type);
    }
    const auto first = std::find_if(files.begin(), files.end(), is_model);
    if (chosen == nullptr && first != files.end()) chosen = &*first;
  }
  if (chosen == nullptr) {
    throw RequestError(
        fmt::format("{} has no {}; it has: {}", name.repository,
                    file.empty() ? (name.quant.empty() ? "GGUF file" : name.quant) : quoted(file),
                    list_models(files)));
  }
  return {all_parts(files, *chosen), find_projector(files)};
}

}  // namespace foretoken::hub
