#include "serve/options.h"

#include <fmt/format.h>

#include <cstdlib>

namespace foretoken::tools {
namespace {

template <class Visit>
void for_each_option(const CLI::App& app, Visit visit) {
  for (const CLI::Option* option : app.get_options()) visit(*option);
  for (const CLI::App* group : app.get_subcommands(nullptr)) for_each_option(*group, visit);
}

void let_last_win(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const bool single = option->get_items_expected_max() == 1;
    if (single && option->get_multi_option_policy() == CLI::MultiOptionPolicy::Throw) {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
  }
  for (CLI::App* group : app.get_subcommands(nullptr)) let_last_win(*group);
}

}  // namespace

void add_serve_options(CLI::App& app, ServeOptions& options) {
  add_serve_model_options(app, options);
  add_serve_context_options(app, options.context);
  add_serve_http_options(app, options.http);
  add_serve_chat_options(app, options);
  add_sampling_options(app, options.sampling);
  add_speculation_options(app, options.speculation, false);
  add_serve_log_options(app, options.log);
  add_serve_compatibility_options(app, options);
  let_last_win(app);
}

std::vector<std::string> repeated_options(const CLI::App& app) {
  std::vector<std::string> out;
  for_each_option(app, [&](const CLI::Option& option) {
    if (option.count() == 0) return;
    const bool last = option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeLast;
    if (last && option.count() > 1 && option.get_items_expected_max() == 1) {
      out.push_back(fmt::format("{} is given {} times; the last one counts",
                                option.get_name(false, true), option.count()));
    }
  });
  return out;
}

}  // namespace foretoken::tools
