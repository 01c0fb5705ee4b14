// Where the user writes. Pictures can be dropped or pasted when the model sees.
import { signal } from "@preact/signals";
import { createRef } from "preact";
import { useEffect } from "preact/hooks";
import type { Image } from "../model/types.ts";
import { currentId, currentPath } from "../store/conversations.ts";
import { runs, send, stop } from "../store/generation.ts";
import { notify } from "../store/notices.ts";
import { hasVision, modelName } from "../store/server.ts";
import { chatSettings, updateChatSettings } from "../store/settings.ts";
import { editing } from "./editing.ts";
import { chooseFile, readImages } from "./files.ts";
import { Icon, IconButton } from "./icons.tsx";
import { TextArea } from "./text_area.tsx";

const text = signal("");
const images = signal<Image[]>([]);
const dropping = signal(false);
const field = createRef<HTMLTextAreaElement>();

export function focusComposer(): void {
  field.current?.focus();
}

export function fillComposer(suggestion: string): void {
  text.value = suggestion;
  focusComposer();
}

export function Composer() {
  useEffect(() => {
    focusComposer();
    return acceptDrops();
  }, []);
  const busy = currentId.value !== null && runs.value.has(currentId.value);
  const empty = text.value.trim() === "" && images.value.length === 0;
  return (
    <form class={`composer ${dropping.value ? "dropping" : ""}`} onSubmit={(e) => e.preventDefault()}>
      {images.value.length > 0 && <Attached />}
      <TextArea
        label="Message"
        placeholder={`Message ${modelName.value || "the model"}`}
        field={field}
        value={text.value}
        onInput={(value) => (text.value = value)}
        onEnter={submit}
        onUp={editLast}
        onPasteFiles={(files) => void attach(files)}
      />
      <div class="composer-tools">
        {hasVision.value && (
          <IconButton icon="image" label="Add a picture" onClick={() => void attachChosen()} />
        )}
        <ThinkingSwitch />
        <span class="spacer" />
        <span class="keys" aria-hidden="true">
          <kbd>Enter</kbd> sends · <kbd>Shift</kbd> <kbd>Enter</kbd> new line
        </span>
        {busy ? (
          <button type="button" class="send" aria-label="Stop (Esc)" title="Stop (Esc)" onClick={() => stop(currentId.value)}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="button" class="send" aria-label="Send" title="Send" disabled={empty} onClick={submit}>
            <Icon name="send" />
          </button>
        )}
      </div>
      {dropping.value && <div class="drop-here">Drop the picture here</div>}
    </form>
  );
}

function submit(): void {
  const said = text.value;
  const shown = images.value;
  const busy = currentId.value !== null && runs.value.has(currentId.value);
  if (busy || (said.trim() === "" && shown.length === 0)) return;
  text.value = "";
  images.value = [];
  void send(said, shown);
}

/** Up in an empty field: edit what was said last. */
function editLast(): void {
  const busy = currentId.value !== null && runs.value.has(currentId.value);
  const last = currentPath.value.findLast((message) => message.role === "user");
  if (last && !busy) editing.value = last.id;
}

const nextThinking = { "": "on", on: "off", off: "" } as const;
const thinkingName = { "": "Thinking: auto", on: "Thinking: on", off: "Thinking: off" };

function ThinkingSwitch() {
  const thinking = chatSettings.value.thinking;
  return (
    <button
      type="button"
      class={`chip ${thinking === "" ? "" : "chosen"}`}
      title="Whether the model thinks before it answers"
      onClick={() => updateChatSettings({ thinking: nextThinking[thinking] })}
    >
      {thinkingName[thinking]}
    </button>
  );
}

function Attached() {
  return (
    <div class="images attached">
      {images.value.map((image, i) => (
        <span class="attachment" key={i}>
          <img src={image.url} alt={image.name} />
          <IconButton
            icon="close"
            label={`Remove ${image.name}`}
            onClick={() => (images.value = images.value.filter((other) => other !== image))}
          />
        </span>
      ))}
    </div>
  );
}

async function attach(files: Iterable<File>): Promise<void> {
  if (!hasVision.value) {
    notify("This model does not see pictures.");
    return;
  }
  images.value = [...images.value, ...(await readImages(files))];
}

async function attachChosen(): Promise<void> {
  const file = await chooseFile("image/png,image/jpeg,image/webp,image/gif,image/bmp");
  if (file) await attach([file]);
  focusComposer();
}

/** The whole page takes drops, so that a picture that misses does not replace the page. */
function acceptDrops(): () => void {
  const holdsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const over = (event: DragEvent) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    dropping.value = hasVision.value;
  };
  const leave = (event: DragEvent) => {
    if (event.relatedTarget === null) dropping.value = false;
  };
  const drop = (event: DragEvent) => {
    dropping.value = false;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    void attach(event.dataTransfer!.files);
  };
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", leave);
  document.addEventListener("drop", drop);
  return () => {
    document.removeEventListener("dragover", over);
    document.removeEventListener("dragleave", leave);
    document.removeEventListener("drop", drop);
  };
}
