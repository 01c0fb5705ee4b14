// For screen readers: where a reply is, in few words. The text itself would be read token by token.
import { useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { currentId } from "../store/conversations.ts";
import { runs } from "../store/generation.ts";

export function Spoken() {
  const said = useSignal("");
  const before = useRef(false);
  const run = currentId.value === null ? undefined : runs.value.get(currentId.value);
  const message = run?.message.value;
  const state = !message ? "" : message.content ? "Answering" : message.reasoning ? "Thinking" : "Waiting";
  useEffect(() => {
    if (state !== "") said.value = state;
    else if (before.current) said.value = "Reply finished";
    before.current = state !== "";
  }, [state]);
  return (
    <div class="visually-hidden" aria-live="polite">
      {said.value}
    </div>
  );
}
