#include "serve/hub_model.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "hub/fetch_model.h"
#include "progress_bar.h"

namespace foretoken::tools {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string cache_folder() {
  if (const std::string folder = variable("LLAMA_CACHE"); !folder.empty()) return folder;
  if (const std::string folder = variable("XDG_CACHE_HOME"); !folder.empty()) {
    return folder + "/foretoken";
  }
  const std::string home = variable("HOME");
  if (home.empty()) {
    throw RequestError("-hf: there is no home folder to keep models in; set LLAMA_CACHE");
  }
  return home + "/.cache/foretoken";
}

}  // namespace

void fetch_hub_model(ServeOptions& options, const LogSink& log) {
  const ServeModelOptions& source = options.source;
  if (source.hub_repository.empty()) return;
  hub::FetchOptions fetch;
  if (const std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) {
    fetch.endpoint = endpoint;
    while (fetch.endpoint.ends_with('/')) fetch.endpoint.pop_back();
  }
  fetch.token = source.hub_token;
  fetch.folder = cache_folder();
  fetch.offline = source.offline;
  fetch.want_projector = source.projector_auto && source.projector.empty();
  ProgressBar bar("downloading");
  fetch.progress = [&](std::size_t done, std::size_t total, std::string_view) {
    bar.update_bytes(done, total);
    return true;
  };
  const hub::FetchedModel model = hub::fetch_model(source.hub_repository, source.hub_file, fetch);
  options.model.model = model.model_path;
  if (!model.projector_path.empty()) options.source.projector = model.projector_path;
  log(LogLevel::Info, fmt::format("model of {} is at {}", source.hub_repository, model.model_path));
}

}  // namespace foretoken::tools
