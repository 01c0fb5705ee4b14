// `foretoken tokenize`: text to token ids, and with --decode back.
//
// Needs only a vocabulary: a model file, a vocabulary-only GGUF file, or a Hugging Face directory.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "command.h"
#include "gguf/file.h"
#include "token_list.h"
#include "tokenizer/tokenizer.h"

namespace foretoken::tools {
namespace {

using tokenizer::Tokenizer;

struct TokenizeOptions {
  std::string model;
  std::string prompt;
  bool has_prompt = false;
  std::string file = "-";
  bool no_parse_special = false;
  bool decode = false;
  bool pieces = false;
};

Tokenizer load_tokenizer(const std::string& path) {
  std::error_code ignored;  // a path that cannot be examined is opened as a file, which reports it
  if (std::filesystem::is_directory(path, ignored)) return Tokenizer::from_directory(path);
  return Tokenizer::from_gguf(gguf::File::open(path));
}

void print_text(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void print_ids(std::span<const TokenId> ids) {
  std::string list = "[";
  for (const TokenId id : ids) {
    if (list.size() > 1) list += ", ";
    list += std::to_string(id);
  }
  print_text(list + "]\n");
}

/// One token per line: id, a tab, its text as a JSON string (bytes that are no character by
/// themselves are shown as \xNN).
void print_pieces(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    const std::string piece(tokenizer.piece(id));
    std::string shown;
    try {
      shown = nlohmann::json(piece).dump();
    } catch (const nlohmann::json::exception&) {
      shown = "\"";
      for (const char byte : piece) {
        shown += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
      }
      shown += '"';
    }
    fmt::print("{}\t{}\n", id, shown);
  }
}

std::vector<TokenId> read_ids(const std::string& text, const std::string& what) {
  if (text.find_first_not_of("[], \t\r\n") == std::string::npos) return {};  // "[]"
  return parse_token_list(text, what);
}

int tokenize(const TokenizeOptions& options) {
  const Tokenizer tokenizer = load_tokenizer(options.model);
  const std::string input = options.has_prompt ? options.prompt : read_text_file(options.file);
  const std::string what = options.has_prompt    ? "-p"
                           : options.file == "-" ? "standard input"
                                                 : options.file;
  const std::vector<TokenId> ids =
      options.decode ? read_ids(input, what)
                     : tokenizer.encode(input, {.parse_special = !options.no_parse_special});
  if (options.pieces) {
    print_pieces(tokenizer, ids);
  } else if (options.decode) {
    print_text(tokenizer.decode(ids));
  } else {
    print_ids(ids);
  }
  if (std::fflush(stdout) != 0) throw IoError("standard output: cannot write");
  return 0;
}

}  // namespace

Run add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  app.add_option("-m,--model", options->model,
                 "GGUF file (vocabulary-only ones too) or Hugging Face directory")
      ->required()
      ->type_name("PATH");
  auto* prompt =
      app.add_option("-p,--prompt", options->prompt, "the text, or with --decode the ids")
          ->type_name("TEXT");
  app.add_option("-f,--file", options->file,
                 "read from a file; '-', the default, is standard input")
      ->type_name("FILE")
      ->excludes(prompt);
  app.add_flag("--no-parse-special", options->no_parse_special,
               "control tokens in the text are plain text");
  app.add_flag("--decode", options->decode,
               "ids to text; the ids as [1, 2, 3] or separated by commas or spaces");
  app.add_flag("--pieces", options->pieces, "one line per token: id and text");
  return [options, prompt] {
    options->has_prompt = prompt->count() > 0;
    return tokenize(*options);
  };
}

}  // namespace foretoken::tools
