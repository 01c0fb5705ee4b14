// Markdown that may still be growing. Only pieces whose text changed are rendered again, which while
// streaming is the last one.
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { GrowingBlocks, splitBlocks, type Block } from "../markdown/blocks.ts";
import { renderBlock } from "../markdown/render.ts";
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
  const growing = useMemo(() => new GrowingBlocks(), []);
  // A finished text is read in one go: a link's address may stand further below.
  const blocks = useMemo(
    () => (streaming ? growing.update(text) : splitBlocks(text)),
    [text, streaming],
  );
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
  // Drafts of the same text only ever grow at their end.
  useLayoutEffect(() => {
    place.current?.replaceChildren(renderBlock(block, drafts));
  }, [block.raw, block.token.type, drafts.length, drafts.at(-1), streaming]);
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
