// Each subcommand is one file with one `add_` function: it declares its options on `app` and
// returns what runs once they are parsed (the program's exit status).
//
// Exit status: 0 done; 1 the input is wrong (one sentence on standard error); 2 the command line is
// wrong; 130 interrupted.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace foretoken::tools {

using Run = std::function<int()>;

Run add_bench(CLI::App& app);     ///< speed, in llama-bench's table
Run add_convert(CLI::App& app);   ///< a checkpoint as a GGUF file
Run add_eval(CLI::App& app);      ///< logits, ids and perplexity, for comparing engines
Run add_graft(CLI::App& app);     ///< the head of a base model into a fine-tune
Run add_imatrix(CLI::App& app);   ///< what goes into each weight matrix
Run add_inspect(CLI::App& app);   ///< what is in a GGUF file
Run add_quantize(CLI::App& app);  ///< a model in smaller types
Run add_release(CLI::App& app);   ///< base and fine-tune to a finished set of files
Run add_run(CLI::App& app);       ///< an answer, a continued text, or a chat
Run add_serve(CLI::App& app);     ///< the HTTP server
Run add_tokenize(CLI::App& app);  ///< text to ids and back

}  // namespace foretoken::tools
