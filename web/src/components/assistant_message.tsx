// A reply: thinking, text, tool calls, how it ended and what it cost. While it is being written, its
// run has the newest state.
import type { Message } from "../model/types.ts";
import { deleteMessage } from "../store/conversations.ts";
import { retry, runs, type Run } from "../store/generation.ts";
import { tintDrafts } from "../store/settings.ts";
import { BranchSwitch } from "./branch_switch.tsx";
import { copyText } from "./clipboard.ts";
import { IconButton } from "./icons.tsx";
import { Markdown } from "./markdown.tsx";
import { PromptProgressView } from "./prompt_progress.tsx";
import { ReplyStatsView } from "./reply_stats.tsx";
import { Thinking } from "./thinking.tsx";
import { ToolCalls } from "./tool_calls.tsx";

interface Props {
  message: Message;
  siblings: Message[];
  run: Run | undefined;
  last: boolean;
}

export function AssistantMessage({ message: stored, siblings, run, last }: Props) {
  const message = run ? run.message.value : stored;
  const streaming = run !== undefined;
  const drafts = tintDrafts.value ? message.contentDrafts : undefined;
  const silent = !message.content && !message.reasoning && !message.toolCalls?.length;
  return (
    <article class="message assistant" aria-label="Reply" aria-busy={streaming}>
      {streaming && silent && <PromptProgressView progress={run.progress.value} />}
      {message.reasoning && <Thinking message={message} run={run} />}
      {message.content && (
        <Markdown text={message.content} drafts={drafts ?? []} streaming={streaming} />
      )}
      {message.toolCalls && message.toolCalls.length > 0 && (
        <ToolCalls message={message} streaming={streaming} answerable={last} />
      )}
      {!streaming && <Ending message={message} />}
      <ReplyStatsView message={message} streaming={streaming} />
      {!streaming && <Tools message={message} siblings={siblings} />}
    </article>
  );
}

function Ending({ message }: { message: Message }) {
  switch (message.state) {
    case "error":
      return (
        <p class="ending error" role="alert">
          {message.error ?? "The reply failed."}{" "}
          <button type="button" onClick={() => void retry(message)}>
            Try again
          </button>
        </p>
      );
    case "length":
      return <p class="ending">Cut at the limit of tokens.</p>;
    case "stopped":
    case "streaming": // the page was closed meanwhile
      return <p class="ending">Stopped.</p>;
    case "done":
      return null;
  }
}

function Tools({ message, siblings }: { message: Message; siblings: Message[] }) {
  const busy = runs.value.has(message.conversation);
  return (
    <div class="message-tools">
      <BranchSwitch message={message} siblings={siblings} disabled={busy} />
      <IconButton icon="copy" label="Copy the reply" onClick={() => void copyText(message.content)} />
      <IconButton
        icon="retry"
        label="Another reply"
        disabled={busy}
        onClick={() => void retry(message)}
      />
      <IconButton
        icon="trash"
        label="Delete this and what follows"
        disabled={busy}
        onClick={() => void deleteMessage(message.id)}
      />
    </div>
  );
}
