// Tools the model calls. The page runs nothing itself: whoever is here types what each call gave.
import { useSignal } from "@preact/signals";
import type { Message, ToolCall } from "../model/types.ts";
import { answerCalls } from "../store/generation.ts";
import { Icon } from "./icons.tsx";

interface Props {
  message: Message;
  streaming: boolean;
  /** Nothing follows the message yet: results may be given. */
  answerable: boolean;
}

export function ToolCalls({ message, streaming, answerable }: Props) {
  const results = useSignal<string[]>([]);
  const calls = message.toolCalls ?? [];
  const asking = answerable && !streaming;
  const answer = () => {
    void answerCalls(message, new Map(calls.map((call, i) => [call, results.value[i] ?? ""])));
  };
  return (
    <div class="tool-calls">
      {calls.map((call, i) => (
        <section class="tool-call" key={i} aria-label={`Call of ${call.name}`}>
          <div class="tool-name">
            <Icon name="tool" />
            {call.name || "…"}
          </div>
          <Arguments call={call} />
          {asking && (
            <label class="tool-result">
              Result
              <textarea
                rows={2}
                value={results.value[i] ?? ""}
                onInput={(event) => {
                  const changed = [...results.value];
                  changed[i] = event.currentTarget.value;
                  results.value = changed;
                }}
              />
            </label>
          )}
        </section>
      ))}
      {asking && (
        <button type="button" class="primary" onClick={answer}>
          {calls.length > 1 ? "Send the results" : "Send the result"}
        </button>
      )}
    </div>
  );
}

/** Arguments as a list when they are a JSON object, as they are while they still grow. */
function Arguments({ call }: { call: ToolCall }) {
  const known = parseObject(call.arguments);
  if (!known) return <pre class="tool-arguments">{call.arguments}</pre>;
  return (
    <dl class="tool-arguments">
      {Object.entries(known).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === "string" ? value : JSON.stringify(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Not whole yet.
  }
  return undefined;
}
