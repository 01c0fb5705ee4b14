#include "release/manifest.h"

#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "base/output_file.h"

namespace foretoken::release {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no word for what is no number, and the library writes null.
double read_number(const Json& in) {
  return in.is_null() ? std::numeric_limits<double>::quiet_NaN() : in.get<double>();
}

ManifestFile read_file(const Json& in) {
  ManifestFile out;
  out.size_bytes = in.at("size_bytes").get<std::size_t>();
  out.sha256 = in.value("sha256", "");
  out.not_measured = in.value("not_measured", "");
  if (!in.contains("perplexity")) return out;
  out.is_measured = true;
  out.measured.perplexity = read_number(in.at("perplexity"));
  out.measured.perplexity_error = read_number(in.at("perplexity_error"));
  for (const Json& row : in.at("acceptance")) {
    out.measured.acceptance.push_back(
        {.depth = row.at("depth").get<int>(),
         .accepted = read_number(row.at("accepted")),
         .tokens_per_round = read_number(row.at("tokens_per_round"))});
  }
  return out;
}

Json to_json(const ManifestFile& file) {
  Json out;
  out["size_bytes"] = file.size_bytes;
  if (!file.sha256.empty()) out["sha256"] = file.sha256;
  if (!file.not_measured.empty()) out["not_measured"] = file.not_measured;
  if (!file.is_measured) return out;
  out["perplexity"] = file.measured.perplexity.value_or(0.0);
  out["perplexity_error"] = file.measured.perplexity_error;
  out["acceptance"] = Json::array();
  for (const CardAcceptance& row : file.measured.acceptance) {
    out["acceptance"].push_back({{"depth", row.depth},
                                 {"accepted", row.accepted},
                                 {"tokens_per_round", row.tokens_per_round}});
  }
  return out;
}

}  // namespace

Manifest parse_manifest(std::string_view text) {
  Manifest out;
  try {
    const Json in = Json::parse(text);
    out.written = in.at("written").get<bool>();
    out.finished = in.at("finished").get<bool>();
    out.measured = in.at("measured").get<bool>();
    for (const auto& [name, file] : in.at("files").items()) out.files[name] = read_file(file);
    out.plan = in.at("plan").get<std::string>();
  } catch (const Json::exception&) {
    return {};
  }
  return out;
}

Manifest read_manifest(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return parse_manifest(std::string(std::istreambuf_iterator<char>(in), {}));
}

void write_manifest(const std::string& path, const Manifest& manifest) {
  Json out;
  out["plan"] = manifest.plan;
  out["written"] = manifest.written;
  out["finished"] = manifest.finished;
  out["measured"] = manifest.measured;
  out["files"] = Json::object();
  for (const auto& [name, file] : manifest.files) out["files"][name] = to_json(file);
  const std::string text = out.dump(2) + "\n";
  OutputFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace foretoken::release
