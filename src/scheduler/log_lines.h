// The lines about requests that people search logs for, in the words and field order of
// llama-server. Each function returns one line without its end.
#pragma once

#include <string>

#include "scheduler/request.h"

namespace foretoken::scheduler {

/// "prompt eval time = ...": tokens read, the cached ones not counted.
std::string prompt_time_line(const Timings& timings);
/// "eval time = ...": tokens generated; the first belongs to the prompt's time.
std::string eval_time_line(const Timings& timings);
std::string total_time_line(const Timings& timings);
/// "draft acceptance = 0.64479 (  167 accepted /   259 generated), mean len =  2.92", the mean over
/// rounds that drafted, the target's own token included. Requires draft_n > 0.
std::string draft_line(const Timings& timings);
/// "acc per pos = (0.805, 0.632)": share of rounds with drafts in which a position was accepted.
std::string positions_line(const Timings& timings);
/// While generating: tokens so far, tokens per second since the first and lately.
std::string progress_line(int n_generated, double rate, double recent_rate);
/// While a long prompt is read: tokens processed, share of the prompt that is in the slot.
std::string prompt_progress_line(int n_processed, double progress, double seconds, double rate);

}  // namespace foretoken::scheduler
