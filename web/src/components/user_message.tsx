// What the user said. Editing says it differently, on a branch of its own.
import { useSignal } from "@preact/signals";
import type { Message } from "../model/types.ts";
import { deleteMessage } from "../store/conversations.ts";
import { edit, runs } from "../store/generation.ts";
import { BranchSwitch } from "./branch_switch.tsx";
import { copyText } from "./clipboard.ts";
import { focusComposer } from "./composer.tsx";
import { IconButton } from "./icons.tsx";
import { TextArea } from "./text_area.tsx";
import { editing } from "./editing.ts";

export function UserMessage({ message, siblings }: { message: Message; siblings: Message[] }) {
  const busy = runs.value.has(message.conversation);
  const edited = editing.value === message.id;
  return (
    <article class={`message user ${edited ? "edited" : ""}`} aria-label="You">
      {message.images && message.images.length > 0 && (
        <div class="images">
          {message.images.map((image) => (
            <img key={image.url} src={image.url} alt={image.name} />
          ))}
        </div>
      )}
      {edited ? (
        <Editor message={message} />
      ) : (
        <>
          {message.content && <div class="bubble">{message.content}</div>}
          <div class="message-tools">
            <BranchSwitch message={message} siblings={siblings} disabled={busy} />
            <IconButton
              icon="pencil"
              label="Edit and ask again"
              disabled={busy}
              onClick={() => (editing.value = message.id)}
            />
            <IconButton icon="copy" label="Copy" onClick={() => void copyText(message.content)} />
            <IconButton
              icon="trash"
              label="Delete this and what follows"
              disabled={busy}
              onClick={() => void deleteMessage(message.id)}
            />
          </div>
        </>
      )}
    </article>
  );
}

function Editor({ message }: { message: Message }) {
  const text = useSignal(message.content);
  const close = () => {
    editing.value = null;
    focusComposer();
  };
  const send = () => {
    if (text.value.trim() === "" && !message.images?.length) return;
    close();
    void edit(message, text.value);
  };
  return (
    <div class="editor">
      <TextArea
        label="Edit your message"
        value={text.value}
        onInput={(value) => (text.value = value)}
        onEnter={send}
        onEscape={close}
        focused
      />
      <div class="editor-tools">
        <button type="button" onClick={close}>
          Cancel
        </button>
        <button type="button" class="primary" onClick={send}>
          Send
        </button>
      </div>
    </div>
  );
}
