// Markdown that may still be growing. Only pieces whose text changed are rendered again, which while
// streaming is the last one.
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { renderBlock, splitBlocks, type Block } from "../markdown/render.ts";
import { sliceRanges } from "../model/draft_ranges.ts";
import type { Ranges } from "../model/types.ts";
import { copyText } from "./clipboard.ts";

interface Props {
  text: string;
  /** Ranges of `text` to be marked. */
  drafts: Ranges;
  streaming: boolean;
}

export function Markdown({ text, drafts, streaming }: Props) {
  const blocks = useMemo(() => splitBlocks(text), [text]);
  return (
    <div class="markdown" onClick={copyCode}>
      {blocks.map((block, i) => (
        <BlockView
          key={i}
          block={block}
          drafts={sliceRanges(drafts, block.start, block.start + block.raw.length)}
          streaming={streaming}
        />
      ))}
    </div>
  );
}

function BlockView({ block, drafts, streaming }: { block: Block; drafts: Ranges; streaming: boolean }) {
  const place = useRef<HTMLDivElement>(null);
  // When streaming ends everything is rendered once more: a link's address may stand further below.
  useLayoutEffect(() => {
    place.current?.replaceChildren(renderBlock(block, drafts));
  }, [block.raw, block.token.type, drafts.join(), streaming]);
  return <div ref={place} />;
}

function copyCode(event: MouseEvent): void {
  const button = (event.target as Element).closest(".copy-code");
  const code = button?.closest(".code-block")?.querySelector("code")?.textContent;
  if (!button || code == null) return;
  void copyText(code.replace(/\n$/, "")).then((done) => {
    button.textContent = done ? "Copied" : "Not allowed";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
