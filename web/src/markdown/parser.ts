// How Markdown of a model is read. A model's text is a stranger's text: HTML in it is shown as text,
// pictures are links and never fetched.
import { Marked, type TokenizerAndRendererExtension } from "marked";
import { highlight } from "./highlight.ts";

const escapes: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => escapes[character]!);
}

// Formulas are shown as they were written: Markdown would take their underscores and stars for
// emphasis, and a typesetter with its fonts would be larger than the rest of the page.
const formula: TokenizerAndRendererExtension = {
  name: "formula",
  level: "inline",
  start: (text) => text.search(/\\[([]|\$\$/),
  tokenizer(text) {
    const match = /^(?:\\\(([^]+?)\\\)|\\\[([^]+?)\\\]|\$\$([^]+?)\$\$)/.exec(text);
    if (!match) return undefined;
    return { type: "formula", raw: match[0], text: (match[1] ?? match[2] ?? match[3] ?? "").trim() };
  },
  renderer: (token) => `<span class="formula">${escapeHtml(String(token.text))}</span>`,
};

export const markdown = new Marked({
  gfm: true,
  breaks: true,
  extensions: [formula],
  renderer: {
    html: ({ text, block }) =>
      block ? `<p class="source">${escapeHtml(text.trim())}</p>` : escapeHtml(text),
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    code({ text, lang }) {
      const language = /^[\w+#-]*/.exec(lang ?? "")![0].toLowerCase();
      const inner = highlight(text, language) ?? escapeHtml(text);
      return `<pre><code class="language-${escapeHtml(language)}">${inner}\n</code></pre>`;
    },
  },
});
