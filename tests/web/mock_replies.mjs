// What the mock server's model says, by a word in the last message. A reply is a list of tokens of
// thinking, text and tool calls.

const words = (text) => text.match(/\s*\S+|\s+$/g) ?? [];
const content = (text) => words(text).map((content) => ({ content }));
const reasoning = (text) => words(text).map((reasoning_content) => ({ reasoning_content }));

const story = `Once there was a fox who kept a small notebook of everything the wind said. On quiet
mornings she read it aloud to the river, and the river, which had heard it all before, listened
**politely** anyway.`;

const formatted = `## Reversing a string

Python strings support *slicing*, so the shortest way is a slice with a negative step:

\`\`\`python
def reverse(text: str) -> str:
    """Return the characters of text in reverse order."""
    return text[::-1]


print(reverse("foretoken"))  # nekoterof
\`\`\`

A few alternatives:

1. \`"".join(reversed(text))\` reads well and works on any sequence.
2. A loop is slower, but shows the idea.

| Way | Lines | Speed |
|---|---:|---:|
| slice | 1 | 1.0× |
| reversed | 1 | 2.4× |

- [x] shortest
- [ ] slowest

> All of them cut grapheme clusters apart: see [Unicode](https://example.com/unicode).

The cost is \\(O(n)\\).`;

export const attack = `<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2">
<img src="https://evil.example/pixel.png">
![pixel](https://evil.example/pixel.png)
[click](javascript:window.hacked=3)
[data](data:text/html,<script>window.hacked=4</script>)
<a href="https://evil.example/" onclick="window.hacked=5">text</a>
<style>body { display: none }</style>
<iframe srcdoc="<script>parent.hacked = 6</script>"></iframe>
<svg><animate onbegin=window.hacked=7 attributeName=x dur=1s></svg>
<form action="https://evil.example/"><button>send</button></form>

\`\`\`html"><img src=x onerror=window.hacked=8>
</code></pre><script>window.hacked = 9</script>
\`\`\`

The end of the attack.`;

/** @returns {{deltas: object[], finish?: string, delay?: number}} */
export function replyTo(text, { thinking, tools, answersTool }) {
  if (answersTool) return { deltas: content(`The tool said: ${text}`) };
  if (/\battack\b/.test(text)) return { deltas: content(attack) };
  if (/\bslow\b/.test(text)) return { deltas: content('tick '.repeat(4000)), delay: 15 };
  if (/\bcode\b|Python/.test(text)) return { deltas: content(formatted), delay: 4 };
  if (/\bweather\b/.test(text) && tools) {
    const call = (index, more) => ({ tool_calls: [{ index, ...more }] });
    return {
      deltas: [
        ...content('I will look.'),
        call(0, { id: 'call_1', type: 'function', function: { name: 'get_weather' } }),
        call(0, { function: { arguments: '{"city": "Gr' } }),
        call(0, { function: { arguments: 'az", "days": 2}' } }),
      ],
      finish: 'tool_calls',
    };
  }
  const deltas = content(/\bfox\b/.test(text) ? story : `You said: ${text}`);
  if (/\bthink\b/.test(text) || thinking) {
    deltas.unshift(...reasoning('The user wants an answer. Let me weigh *both* sides of it first.'));
    return { deltas, delay: 20 };
  }
  return { deltas, finish: /\bcut\b/.test(text) ? 'length' : 'stop', delay: 4 };
}
