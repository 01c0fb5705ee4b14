// The program: picks the subcommand, runs it, turns exceptions into one sentence and a status.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <system_error>

#include "base/error.h"
#include "command.h"
#include "help_format.h"
#include "llama_flags.h"
#include "serve/argument_error.h"

int main(int argc, char** argv) {
  using namespace foretoken;
  CLI::App app{"Foretoken: gives Qwen3.5 fine-tunes their MTP head back and runs them fast."};
  app.name("foretoken");
  app.formatter(std::make_shared<tools::HelpFormatter>());
  app.set_version_flag("--version", FORETOKEN_VERSION);
  app.require_subcommand(1);
  std::map<const CLI::App*, tools::Run> runs;
  const auto add = [&](const char* name, const char* summary, tools::Run (*declare)(CLI::App&)) {
    CLI::App* sub = app.add_subcommand(name, summary);
    runs[sub] = declare(*sub);
  };
  // One line per subcommand, in the order of the help text.
  add("run", "Answer a prompt, continue a text, or chat", tools::add_run);
  add("bench", "Speed of prompts, decoding and drafting, in llama-bench's table", tools::add_bench);
  add("eval", "Numbers for comparing engines and files: logits, text, perplexity", tools::add_eval);
  add("convert", "Make a GGUF file of a Hugging Face checkpoint", tools::add_convert);
  add("graft", "Give a fine-tune the MTP head of its base model back", tools::add_graft);
  add("imatrix", "Measure what goes into each weight, for quantizing well", tools::add_imatrix);
  add("inspect", "Show what is in a GGUF file", tools::add_inspect);
  add("quantize", "Make a smaller file of a model, as llama-quantize does", tools::add_quantize);
  add("release", "From base and fine-tune to a finished set of files with a model card",
      tools::add_release);
  add("serve", "Serve llama-server's, OpenAI's and Anthropic's APIs, and a chat page",
      tools::add_serve);
  add("tokenize", "Text to token ids and back", tools::add_tokenize);

  try {
    std::vector<std::string> arguments = tools::normalise_flags(argc, argv);
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    if (!chosen.empty() && chosen.front()->get_name() == "serve") {
      return tools::explain_serve_error(app, *chosen.front(), error);
    }
    const int status = app.exit(error);
    return status == 0 ? 0 : 2;
  }
  try {
    return runs.at(app.get_subcommands().front())();
  } catch (const Cancelled& cancelled) {
    fmt::print(stderr, "foretoken: {}\n", cancelled.what());
    return 130;
  } catch (const Error& error) {
    fmt::print(stderr, "foretoken: {}\n", error.what());
    return 1;
  } catch (const std::system_error& error) {  // standard output is full or gone
    fmt::print(stderr, "foretoken: {}\n", error.what());
    return 1;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "foretoken: out of memory; try a smaller context (-c) or a smaller file\n");
    return 1;
  }
}
