// What a new conversation shows: a greeting and a few things to try.
import { contextSize, modelName, props, serverState } from "../store/server.ts";
import { formatCount } from "../model/format.ts";
import { fillComposer } from "./composer.tsx";
import { openSettings } from "./settings_dialog.tsx";

const suggestions = [
  "Write a Python function that reverses a string.",
  "Tell me a short story about a fox.",
  "Explain speculative decoding in three sentences.",
  "Make a table of the planets and their moons.",
];

export function Welcome() {
  const state = serverState.value;
  const facts = [
    props.value?.model_ftype,
    contextSize.value && `${formatCount(contextSize.value)} tokens of context`,
    props.value?.speculative?.mtp_present && "drafts its own next tokens",
  ].filter(Boolean);
  return (
    <div class="welcome">
      <h2>{state === "ready" && modelName.value ? `Chat with ${modelName.value}` : "Good to see you"}</h2>
      {state === "loading" && (
        <p class="waiting">
          <span class="spinner" aria-hidden="true" /> The model is being loaded. You can write already.
        </p>
      )}
      {state === "unreachable" && <p>The server is not reachable. This page goes on trying.</p>}
      {state === "locked" && (
        <p>
          This server wants an API key.{" "}
          <button type="button" class="link" onClick={openSettings}>
            Enter it in the settings
          </button>
        </p>
      )}
      {state === "ready" && facts.length > 0 && <p class="facts">{facts.join(" · ")}</p>}
      <ul class="suggestions">
        {suggestions.map((text) => (
          <li key={text}>
            <button type="button" onClick={() => fillComposer(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
