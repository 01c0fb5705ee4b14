// What a tool gave back.
import type { Message } from "../model/types.ts";
import { Icon } from "./icons.tsx";

export function ToolMessage({ message, path }: { message: Message; path: Message[] }) {
  const call = path
    .flatMap((earlier) => earlier.toolCalls ?? [])
    .findLast((earlier) => earlier.id === message.toolCallId);
  return (
    <article class="message tool" aria-label="Tool result">
      <div class="tool-name">
        <Icon name="tool" />
        {call ? `${call.name} gave` : "Result"}
      </div>
      <pre class="tool-arguments">{message.content || "(nothing)"}</pre>
    </article>
  );
}
