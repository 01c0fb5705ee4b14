#include "serve/argument_error.h"

#include <fmt/format.h>

#include <cstdio>

namespace foretoken::tools {

int explain_serve_error(const CLI::App& app, const CLI::App& serve, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  const std::vector<std::string> unknown = serve.remaining();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr && !unknown.empty()) {
    fmt::print(stderr, "error: invalid argument: {}\n", unknown.front());
  } else {
    fmt::print(stderr, "error: {}\n", error.what());
  }
  fmt::print(stderr, "foretoken serve --help lists every flag\n");
  return 1;
}

}  // namespace foretoken::tools
