#include "eval/bench_result.h"

#include <fmt/format.h>

namespace foretoken::eval {
namespace {

std::string throughput_name(const BenchTest& test) {
  std::string out;
  if (test.n_prompt > 0) out = fmt::format("pp{}", test.n_prompt);
  if (test.n_gen > 0) out += fmt::format("{}tg{}", out.empty() ? "" : "+", test.n_gen);
  return out;
}

std::string speculation_name(const BenchTest& test) {
  std::string out = fmt::format("spec{} t{:g}", test.n_gen, test.temperature);
  if (test.synthetic) out += " synthetic";
  if (!test.category.empty()) out += " " + test.category;
  return out;
}

}  // namespace

std::string BenchTest::name() const {
  std::string out;
  switch (kind) {
    case Kind::Throughput:
      out = throughput_name(*this);
      break;
    case Kind::Speculation:
      out = speculation_name(*this);
      break;
    case Kind::Verify:
      out = fmt::format("verify{}", n_prompt);
      break;
  }
  if (n_depth > 0) out += fmt::format(" @ d{}", n_depth);
  return out;
}

}  // namespace foretoken::eval
