// How --help looks: groups of options as plain headings, texts wrapped to a column of their own.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace foretoken::tools {

class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_expanded(const CLI::App* sub) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace foretoken::tools
