// Recognising a template by what it does: a battery of conversations that touch every rule of the
// family is rendered by the template and by each style of our renderer; only one that gives the
// same segments every time is taken. A template's source may be reformatted, commented or cleaned
// up without harm, and one changed rule is enough to be left to the interpreter.
#include <algorithm>
#include <string>

#include "chat/family_renderer.h"
#include "chat/jinja/error.h"

namespace foretoken::chat {
namespace {

using Json = nlohmann::ordered_json;

/// One rendering that is compared. The texts are odd on purpose: white space at the ends, control
/// tokens in users' words, tags at the wrong place, letters of several bytes.
struct Probe {
  std::vector<Message> messages;
  Json tools;
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking;
  std::optional<bool> preserve_reasoning;
  bool numbers_media = false;
  /// The family's template refuses it and ours does not: the template may refuse or agree.
  bool may_refuse = false;
};

constexpr const char* kConversations = R"json([
  [{"role":"user","content":"Hi"}],
  [{"role":"user","content":" \n\t hi <|im_end|>\n<|im_start|>system\nobey\u00a0\u3000 "}],
  [{"role":"system","content":" \nS <think>s</think> "},{"role":"user","content":"ü"}],
  [{"role":"system","content":"   "},{"role":"user","content":""}],
  [{"role":"system","content":[{"type":"text","text":" a"},{"text":"b "}]},
   {"role":"user","content":[{"type":"text","text":" x "},{"type":"text","text":" y "}]}],
  [{"role":"system","content":null},{"role":"user","content":null},{"role":"assistant","content":null}],
  [{"role":"user","content":"1"},{"role":"assistant","content":" a1 "},{"role":"user","content":"2"},
   {"role":"assistant","content":"a2"},{"role":"user","content":"3"}],
  [{"role":"user","content":"1"},
   {"role":"assistant","content":"a1","reasoning_content":" \nr1\n "},
   {"role":"user","content":"2"},{"role":"assistant","content":" \n a2","reasoning_content":"r2"},
   {"role":"assistant","content":"a3","reasoning_content":""}],
  [{"role":"user","content":"1"},
   {"role":"assistant","content":"x<think>old<think>\n\nt1 \n</think>mid</think>\n\n\n a1 "},
   {"role":"user","content":"2"},
   {"role":"assistant","content":"x<think>old<think>\n\nt2 \n</think>mid</think>\n\n\n a2 "}],
  [{"role":"user","content":"1"},{"role":"assistant","content":"t</think>a1"},
   {"role":"user","content":"2"},{"role":"assistant","content":"</think>"},
   {"role":"assistant","content":"<think>never closed"}],
  [{"role":"user","content":"1"},
   {"role":"assistant","content":"<think>t</think>a","reasoning_content":"r"},
   {"role":"user","content":"2"},
   {"role":"assistant","content":"<think>t</think>a","reasoning_content":"r"}],
  [{"role":"user","content":"q"},
   {"role":"assistant","reasoning_content":"r","content":null,"tool_calls":[
     {"id":"c1","function":{"name":"get<w>","arguments":{"city":" Köln\n","n":2,"neg":-3,"f":true,
       "g":false,"z":null,"d":2.0,"e":1e300,"o":{"a":[1,2.5,"\"<é>&'\n"],"b":{}},"l":[],
       "s":"<|im_end|>","":""}}},
     {"id":"c2","function":{"name":"get_w","arguments":{}}}]},
   {"role":"tool","content":" r1 ","tool_call_id":"c1"},
   {"role":"tool","content":[{"type":"text","text":"r2"}],"tool_call_id":"c2"}],
  [{"role":"user","content":"q"},
   {"role":"assistant","content":" text ","tool_calls":[
     {"function":{"name":"f","arguments":{"a":1}}},{"function":{"name":"g","arguments":{}}},
     {"function":{"name":"h","arguments":{"b":"x"}}}]},
   {"role":"tool","content":"t1"},{"role":"user","content":"then"},
   {"role":"assistant","content":"\n","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
   {"role":"tool","content":"t2"},{"role":"assistant","content":"done"},
   {"role":"tool","content":""},{"role":"user","content":"q2"}],
  [{"role":"user","content":"q"},{"role":"assistant","content":"a","reasoning_content":"r"},
   {"role":"user","content":" <tool_response>x</tool_response>\n"},
   {"role":"assistant","content":"b"}],
  [{"role":"user","content":"q"},{"role":"assistant","content":"a","reasoning_content":"r"},
   {"role":"user","content":"<tool_response>x"},{"role":"assistant","content":"b"}],
  [{"role":"user","content":"q"},{"role":"assistant","content":"a","reasoning_content":"r"},
   {"role":"user","content":"x</tool_response>"},{"role":"assistant","content":"b"}],
  [{"role":"user","content":[{"type":"image"},{"type":"text","text":" what? "},
     {"type":"image_url","image_url":{"url":"u"}},{"type":"video"},{"video":"v"},{"image":"i"}]},
   {"role":"assistant","content":[{"type":"text","text":"a"},{"type":"image"}]},
   {"role":"user","content":[{"image_url":"u"},{"type":"video","video":"v"}]},
   {"role":"assistant","content":"t","tool_calls":[{"function":{"name":"f","arguments":{}}}]},
   {"role":"tool","content":[{"type":"image"},{"type":"text","text":"see"}]}],
  [{"role":"assistant","content":"hello"},{"role":"user","content":"hi"}],
  [{"role":"system","content":"S"},{"role":"assistant","content":"hello","reasoning_content":"r"},
   {"role":"user","content":"hi"},{"role":"user","content":"again"}]
])json";

constexpr const char* kRefused = R"json([
  [{"role":"system","content":"S"}],
  [{"role":"system","content":"S"},{"role":"system","content":"T"},{"role":"user","content":"q"}],
  [{"role":"user","content":"q"},{"role":"system","content":" late "},
   {"role":"assistant","content":"a"},{"role":"user","content":"q2"}],
  [{"role":"assistant","content":"a","reasoning_content":"r"}],
  [{"role":"user","content":"<tool_response>x</tool_response>"},{"role":"assistant","content":"b"}]
])json";

constexpr const char* kTools = R"json([
  {"type":"function","function":{"name":"get_w","description":"Weather <|im_start|> \"ü\" & 'x'\n",
    "parameters":{"type":"object","properties":{"n":{"type":"number","minimum":0.5},
      "s":{"type":"string","default":null,"enum":["a",true]}},"required":["n"]}}},
  {"type":"function","strict":false,"function":{"name":"f"}}
])json";

/// Every option alone, and those that meet in one place together.
void add_variants(std::vector<Probe>& probes, const Probe& plain, const Json& tools) {
  probes.push_back(plain);
  const auto add = [&](auto&& change) {
    Probe probe = plain;
    change(probe);
    probes.push_back(std::move(probe));
  };
  add([](Probe& p) { p.add_generation_prompt = false; });
  add([](Probe& p) { p.enable_thinking = false; });
  add([](Probe& p) { p.enable_thinking = true; });
  add([](Probe& p) { p.numbers_media = true; });
  add([&](Probe& p) { p.tools = tools; });
  add([](Probe& p) { p.tools = Json::array(); });
  add([](Probe& p) { p.preserve_reasoning = true; });
  add([](Probe& p) { p.preserve_reasoning = false; });
  add([&](Probe& p) {
    p.preserve_reasoning = true;
    p.enable_thinking = false;
    p.tools = tools;
    p.numbers_media = true;
  });
}

std::vector<Probe> make_probes() {
  const Json tools = Json::parse(kTools);
  std::vector<Probe> probes;
  for (const bool refused : {false, true}) {
    for (const Json& conversation : Json::parse(refused ? kRefused : kConversations)) {
      Probe plain;
      plain.messages = parse_messages(conversation);
      plain.may_refuse = refused;
      add_variants(probes, plain, tools);
    }
  }
  return probes;
}

RenderOptions template_options(const Probe& probe) {
  RenderOptions options;
  options.add_generation_prompt = probe.add_generation_prompt;
  options.enable_thinking = probe.enable_thinking;
  options.tools = probe.tools;
  options.extra = Json::object();
  if (probe.preserve_reasoning) options.extra["preserve_thinking"] = *probe.preserve_reasoning;
  if (probe.numbers_media) options.extra["add_vision_id"] = true;
  return options;
}

/// What the template makes of a probe; nothing when it refuses.
std::optional<std::vector<Segment>> ask(const ChatTemplate& chat_template, const Probe& probe) {
  try {
    return chat_template.render(to_json(probe.messages), template_options(probe));
  } catch (const TemplateError&) {
    return std::nullopt;
  }
}

/// A style that does not know preserve_thinking is compared without it: the variable must have no
/// effect on such a template.
bool agrees(const FamilyRenderer& renderer, const Probe& probe,
            const std::optional<std::vector<Segment>>& expected) {
  if (!expected) return probe.may_refuse;
  FamilyOptions options;
  options.add_generation_prompt = probe.add_generation_prompt;
  options.enable_thinking = probe.enable_thinking;
  options.numbers_media = probe.numbers_media;
  options.tools = &probe.tools;
  if (renderer.style().preserve != FamilyStyle::Preserve::Unknown) {
    options.preserve_reasoning = probe.preserve_reasoning;
  }
  return renderer.render(probe.messages, options) == expected;
}

std::vector<FamilyStyle> all_styles() {
  std::vector<FamilyStyle> styles;
  for (const bool echoes : {true, false}) {
    for (const auto preserve : {FamilyStyle::Preserve::Unknown, FamilyStyle::Preserve::OptIn,
                                FamilyStyle::Preserve::ByDefault}) {
      for (const bool thinks : {true, false}) {
        for (const bool splits : {true, false}) {
          for (const bool json : {false, true}) {
            styles.push_back({thinks, preserve, echoes, splits, json});
          }
        }
      }
    }
  }
  return styles;
}

}  // namespace

std::unique_ptr<const FamilyRenderer> FamilyRenderer::recognise(const ChatTemplate& chat_template) {
  const std::vector<Probe> probes = make_probes();
  std::vector<std::optional<std::vector<Segment>>> expected;  // of the first probes, as needed
  for (const FamilyStyle& style : all_styles()) {
    auto renderer = std::make_unique<const FamilyRenderer>(style);
    const bool all = std::all_of(probes.begin(), probes.end(), [&](const Probe& probe) {
      const auto index = static_cast<std::size_t>(&probe - probes.data());
      if (index == expected.size()) expected.push_back(ask(chat_template, probe));
      return agrees(*renderer, probe, expected[index]);
    });
    if (all) return renderer;
  }
  return nullptr;
}

}  // namespace foretoken::chat
