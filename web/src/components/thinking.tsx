// The model's thinking: open while it thinks, folded once it answers, until the reader says otherwise.
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { formatDuration } from "../model/format.ts";
import type { Message } from "../model/types.ts";
import { endThinking, type Run } from "../store/generation.ts";
import { tintDrafts } from "../store/settings.ts";
import { Icon } from "./icons.tsx";
import { Markdown } from "./markdown.tsx";

export function Thinking({ message, run }: { message: Message; run: Run | undefined }) {
  const chosen = useSignal<boolean | null>(null);
  const id = useId();
  const thinking = run?.builder.thinking ?? false;
  const open = chosen.value ?? thinking;
  const spent = run ? run.builder.thinkingMs(performance.now()) : message.stats?.thinkingMs;
  const time = spent === undefined ? "" : ` ${thinking ? "" : "for "}${formatDuration(spent)}`;
  const drafts = tintDrafts.value ? message.reasoningDrafts : undefined;
  return (
    <section class={`thinking ${thinking ? "active" : ""}`}>
      <div class="thinking-head">
        <button
          type="button"
          class="thinking-toggle"
          aria-expanded={open}
          aria-controls={id}
          onClick={() => (chosen.value = !open)}
        >
          <span class={`chevron ${open ? "open" : ""}`}>
            <Icon name="right" />
          </span>
          {thinking ? "Thinking" : "Thought"}
          {time}
        </button>
        {thinking && run && (
          <button type="button" class="chip" onClick={() => void endThinking(run)}>
            Answer now
          </button>
        )}
      </div>
      <div id={id} class="thinking-text" hidden={!open}>
        {open && <Markdown text={message.reasoning ?? ""} drafts={drafts ?? []} streaming={thinking} />}
      </div>
    </section>
  );
}
