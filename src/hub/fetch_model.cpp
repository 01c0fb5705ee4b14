#include "hub/fetch_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/output_file.h"
#include "base/text.h"
#include "hub/http_get.h"
#include "release/sha256.h"

namespace foretoken::hub {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxList = std::size_t{64} << 20;
constexpr int kMaxPages = 100;

std::string escape_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// Paths of the list become paths on this machine, so none may climb out of its folder.
bool is_safe_path(const std::string& path) {
  if (path.empty() || path.size() > 1024 || path.front() == '/' ||
      path != printable(path, path.size())) {  // no control characters, no backslashes
    return false;
  }
  std::istringstream parts(path);
  for (std::string part; std::getline(parts, part, '/');) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

[[noreturn]] void refuse_status(int status, const std::string& url, const ModelName& name,
                                bool has_token) {
  if (status == 401 || status == 403) {
    throw RequestError(fmt::format(
        "{}: access refused ({}); the repository is private, gated or misspelt{}", name.repository,
        status, has_token ? "" : ": give a token with -hft or HF_TOKEN"));
  }
  if (status == 404) {
    throw RequestError(fmt::format("{}: no such repository or file on the hub", name.repository));
  }
  throw IoError(fmt::format("{}: the hub answered with status {}; try again later", url, status));
}

class Fetcher {
 public:
  Fetcher(ModelName name, const FetchOptions& options) : name_(std::move(name)), options_(options) {
    std::string folder = name_.repository;
    folder.replace(folder.find('/'), 1, "--");
    home_ = fs::path(options.folder) / folder;
  }

  std::vector<RemoteFile> list() {
    if (options_.offline) return kept_list();
    std::vector<RemoteFile> files;
    std::string url = fmt::format("{}/api/models/{}/tree/main?recursive=true", options_.endpoint,
                                  name_.repository);
    for (int page = 0; !url.empty(); ++page) {
      if (page == kMaxPages) {
        throw FormatError(fmt::format("{}: the list of files does not end", url));
      }
      std::string body;
      // The hub names the next page's address, and the token is for nobody else.
      const bool is_hub = url.starts_with(options_.endpoint + "/");
      const std::string token = is_hub ? options_.token : "";
      const GetResult result = http_get({url, token}, [&](std::span<const std::byte> bytes, int) {
        if (body.size() + bytes.size() > kMaxList) {
          throw FormatError(fmt::format("{}: the list of files is too long", url));
        }
        body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        return true;
      });
      if (result.status != 200) refuse_status(result.status, url, name_, !options_.token.empty());
      for (RemoteFile& file : parse_file_list(body, url)) files.push_back(std::move(file));
      url = result.next_page;
    }
    keep_list(files);
    return files;
  }

  std::string fetch(const RemoteFile& file) {
    const fs::path path = home_ / file.path;
    if (fs::exists(path) && fs::file_size(path) == file.size_bytes) return path.string();
    if (options_.offline) {
      throw RequestError(
          fmt::format("{} of {} is not on this machine, and --offline forbids to "
                      "fetch it",
                      quoted(file.path), name_.repository));
    }
    fs::create_directories(path.parent_path());
    const std::string unfinished = path.string() + ".unfinished";
    download(file, path.string(), unfinished);
    return path.string();
  }

 private:
  void download(const RemoteFile& file, const std::string& path, const std::string& unfinished) {
    const std::string url = fmt::format("{}/{}/resolve/main/{}", options_.endpoint,
                                        name_.repository, escape_path(file.path));
    OutputFile out(path, unfinished);
    std::size_t done = fs::exists(unfinished) ? fs::file_size(unfinished) : 0;
    if (done > file.size_bytes) done = 0;
    bool resumed = done > 0;
    if (done < file.size_bytes) {
      const GetResult result =
          http_get({url, options_.token, done}, [&](std::span<const std::byte> bytes, int status) {
            if (status == 200 && resumed) done = 0;  // the server has no ranges
            resumed = false;
            if (bytes.size() > file.size_bytes - done) {
              throw FormatError(fmt::format("{}: more than the {} bytes the hub announced", url,
                                            file.size_bytes));
            }
            out.write_at(done, bytes);
            done += bytes.size();
            return !options_.progress || options_.progress(done, file.size_bytes, file.path);
          });
      if (result.status != 200 && result.status != 206) {
        refuse_status(result.status, url, name_, !options_.token.empty());
      }
    }
    if (done != file.size_bytes) {
      throw IoError(fmt::format("{}: ended after {} of {} bytes; the next start goes on from there",
                                url, done, file.size_bytes));
    }
    check(file, unfinished);
    out.commit();
  }

  static void check(const RemoteFile& file, const std::string& unfinished) {
    if (file.sha256.empty()) return;
    const std::string found = release::to_hex(release::sha256_of_file(unfinished));
    if (found == file.sha256) return;
    fs::remove(unfinished);
    throw FormatError(fmt::format(
        "{}: what was downloaded has SHA-256 {} but the hub says {}; it was dropped, try again",
        file.path, found, file.sha256));
  }

  void keep_list(const std::vector<RemoteFile>& files) const {
    Json list = Json::array();
    for (const RemoteFile& file : files) {
      Json entry = {{"type", "file"}, {"path", file.path}, {"size", file.size_bytes}};
      if (!file.sha256.empty()) {
        entry["lfs"] = {{"oid", file.sha256}, {"size", file.size_bytes}};
      }
      list.push_back(std::move(entry));
    }
    const std::string text = list.dump(1);
    fs::create_directories(home_);
    OutputFile out((home_ / "files.json").string());
    out.write(std::as_bytes(std::span(text)));
    out.commit();
  }

  std::vector<RemoteFile> kept_list() const {
    const fs::path path = home_ / "files.json";
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    if (!stream) {
      throw RequestError(fmt::format("{} was never fetched to {}; start once without --offline",
                                     name_.repository, options_.folder));
    }
    return parse_file_list(text.str(), path.string());
  }

  ModelName name_;
  const FetchOptions& options_;
  fs::path home_;
};

}  // namespace

std::vector<RemoteFile> parse_file_list(std::string_view json, const std::string& source) {
  const Json list = Json::parse(json, nullptr, false);
  if (!list.is_array()) {
    throw FormatError(fmt::format("{}: expected a JSON list of files", source));
  }
  std::vector<RemoteFile> out;
  for (const Json& entry : list) {
    if (!entry.is_object() || entry.value("type", Json()) != "file") continue;
    const Json path = entry.value("path", Json());
    const Json size = entry.value("size", Json());
    if (!path.is_string() || !size.is_number_unsigned() || !is_safe_path(path)) {
      throw FormatError(fmt::format("{}: an entry of the list has no usable path or size", source));
    }
    RemoteFile file{path, size, ""};
    const Json lfs = entry.value("lfs", Json());
    if (lfs.is_object() && lfs.value("oid", Json()).is_string()) {
      file.sha256 = lfs["oid"].get<std::string>();
      if (file.sha256.starts_with("sha256:")) file.sha256.erase(0, 7);
    }
    out.push_back(std::move(file));
  }
  std::sort(out.begin(), out.end(),
            [](const RemoteFile& a, const RemoteFile& b) { return a.path < b.path; });
  return out;
}

FetchedModel fetch_model(std::string_view name, std::string_view file,
                         const FetchOptions& options) {
  const ModelName parsed = parse_model_name(name);
  Fetcher fetcher(parsed, options);
  const ChosenFiles chosen = choose_files(fetcher.list(), parsed, file);
  FetchedModel out;
  for (const RemoteFile& part : chosen.model) {
    const std::string path = fetcher.fetch(part);
    if (out.model_path.empty()) out.model_path = path;
  }
  if (options.want_projector && chosen.projector) {
    out.projector_path = fetcher.fetch(*chosen.projector);
  }
  return out;
}

}  // namespace foretoken::hub
