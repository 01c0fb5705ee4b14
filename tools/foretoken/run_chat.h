// The interactive chat of `foretoken run`: a prompt, answers as they come, a few commands.
#pragma once

#include <string>

#include "dialogue.h"
#include "reply_printer.h"
#include "run_options.h"

namespace foretoken::tools {

/// How replies look where standard output goes.
ReplyPrinterOptions printer_options(const RunOptions& options);

/// Hands the parts of a reply to `printer`, which must outlive the result.
ReplySink print_to(ReplyPrinter& printer);

/// The line about speed and drafts on standard error, unless it was not wanted; then, in words, why
/// the answer is shorter than expected, where it is.
void print_report(const RunOptions& options, const ReplyReport& report, int n_context);

/// Talks until the user leaves. `opening` is said first where it is not empty. Returns the
/// program's exit status.
int run_chat(const RunOptions& options, Dialogue& dialogue, const engine::Session& session,
             const std::string& opening);

}  // namespace foretoken::tools
