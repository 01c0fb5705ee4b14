#include "eval/bench_prompts.h"

#include <array>

namespace foretoken::eval {
namespace {

constexpr std::array<BenchPrompt, 9> kPrompts = {{
    {"code",
     "Write a Python class RingBuffer with a fixed capacity. It needs the methods push, pop, peek, "
     "__len__ and __iter__ (oldest element first). Pushing into a full buffer drops the oldest "
     "element; popping from an empty one raises IndexError. Add type hints and a short docstring "
     "to each method, and end with three assert statements that show how it behaves when full."},
    {"cpp",
     "Write a C++20 function that takes a std::string_view holding lines of the form key=value and "
     "returns a std::map<std::string, std::string>. Blank lines and lines starting with # are "
     "skipped, spaces around keys and values are trimmed, and a line without an equals sign makes "
     "the function throw std::invalid_argument with the line's number. Use no regular "
     "expressions."},
    {"concept",
     "Explain to a curious twelve-year-old why the sky is blue during the day, red at sunset and "
     "black on the Moon. Use one everyday comparison and avoid formulas."},
    {"summary",
     "Summarise the following report in three bullet points, one sentence each.\n\n"
     "The harbour bridge was closed for eleven days in March after divers found that two of its "
     "fourteen piers had lost more of their footing than the last inspection predicted. Engineers "
     "traced the damage to a sandbank that had moved after the winter storms and turned the "
     "current against the northern shore. Crews filled the hollows with four thousand tonnes of "
     "crushed rock and installed sensors that report the depth of the river bed every hour. The "
     "work cost a little under three million crowns, half of what a detour over the summer would "
     "have cost the town's businesses. The council now wants the bed surveyed twice a year instead "
     "of every fifth year, and it has asked the two towns upstream to share the expense, since the "
     "sand comes from their side. They have until October to answer."},
    {"question",
     "A recipe for four people needs 300 grams of rice, two onions and 0.8 litres of broth. How "
     "much of each is needed for ten people, and why may the cooking time stay nearly the same?"},
    {"translation",
     "Translate this paragraph into German and into French, keeping its friendly tone: \"Thank you "
     "for your patience. Our small workshop repairs every violin by hand, and good glue refuses to "
     "be hurried. Yours has been waiting for the right piece of spruce, which arrived this "
     "morning. You can pick it up next Friday after four o'clock, and please bring the bow as "
     "well.\""},
    {"creative",
     "Begin a short story in which a lighthouse keeper finds that the beam has started to light up "
     "things that have not happened yet. Write in the first person, in the past tense, with at "
     "least one line of dialogue."},
    {"math",
     "Show step by step that the sum of the first n odd numbers is n squared: first by induction, "
     "then with a picture described in words. Finally compute 1 + 3 + 5 + ... + 199."},
    {"review",
     "Write a detailed review of an imaginary electric cargo bicycle after six months of daily use "
     "with two children. Use the headings Frame, Motor, Brakes, Rain, Repairs and Verdict, with "
     "several sentences under each, and mention both what was better and what was worse than "
     "promised."},
}};

}  // namespace

std::span<const BenchPrompt> bench_prompts() { return kPrompts; }

}  // namespace foretoken::eval
