// The model that -hf names, as a file on this machine.
#pragma once

#include "base/log.h"
#include "serve/options.h"

namespace foretoken::tools {

/// Downloads what is not here yet, with a progress bar on a terminal, and sets options.model.model
/// and, where the repository has one and none was given, options.source.projector. Does nothing
/// without -hf. Models are kept in $LLAMA_CACHE, else $XDG_CACHE_HOME/foretoken, else
/// ~/.cache/foretoken; HF_ENDPOINT names another hub. Throws as hub::fetch_model.
void fetch_hub_model(ServeOptions& options, const LogSink& log);

}  // namespace foretoken::tools
