// Ctrl+K: all chats, found by title or by anything said in them.
import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { openConversation, search, type Found } from "../store/conversations.ts";
import { Dialog } from "./dialog.tsx";
import { closeDrawer } from "./sidebar.tsx";

const open = signal(false);
const kTypingMs = 120;

export function openSearch(): void {
  open.value = true;
}

export function SearchDialog() {
  return (
    <Dialog open={open} label="Search chats" class="search-dialog">
      <Search />
    </Dialog>
  );
}

function Search() {
  const text = useSignal("");
  const found = useSignal<Found[]>([]);
  const chosen = useSignal(0);
  useEffect(() => {
    let current = true;
    const timer = setTimeout(
      () =>
        void search(text.value).then((results) => {
          if (!current) return;
          found.value = results;
          chosen.value = 0;
        }),
      text.value === "" ? 0 : kTypingMs,
    );
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text.value]);

  const pick = (index: number) => {
    const result = found.value[index];
    if (!result) return;
    open.value = false;
    closeDrawer();
    void openConversation(result.conversation.id);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      const last = found.value.length - 1;
      chosen.value = Math.max(0, Math.min(last, chosen.value + step));
      document.getElementById(`found-${chosen.value}`)?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && !event.isComposing) {
      pick(chosen.value);
    }
  };
  return (
    <>
      <input
        class="search-field"
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="found"
        aria-activedescendant={`found-${chosen.value}`}
        aria-label="Search chats"
        placeholder="Search chats"
        autoFocus
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <ul class="found" id="found" role="listbox" aria-label="Chats">
        {found.value.map(({ conversation, excerpt }, i) => (
          <li
            key={conversation.id}
            id={`found-${i}`}
            role="option"
            aria-selected={i === chosen.value}
            onClick={() => pick(i)}
          >
            <span>{conversation.title}</span>
            {excerpt && <small>{excerpt}</small>}
          </li>
        ))}
        {found.value.length === 0 && <li class="hint">No chat has that.</li>}
      </ul>
    </>
  );
}
