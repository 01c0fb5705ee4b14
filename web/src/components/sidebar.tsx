// The list of conversations, by age. On a narrow screen it is a drawer over the conversation.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { agePeriod } from "../model/format.ts";
import type { Conversation } from "../model/types.ts";
import {
  conversations,
  currentId,
  deleteConversation,
  everything,
  messagesOf,
  openConversation,
  renameConversation,
} from "../store/conversations.ts";
import { runs } from "../store/generation.ts";
import { notify } from "../store/notices.ts";
import { showSidebar, theme, type Theme } from "../store/settings.ts";
import { focusComposer } from "./composer.tsx";
import { importFile, saveChats } from "./files.ts";
import { Icon, IconButton } from "./icons.tsx";
import { openSearch } from "./search_dialog.tsx";
import { openSettings } from "./settings_dialog.tsx";

/** The drawer of a narrow screen; a wide one follows the setting instead. */
export const drawerOpen = signal(false);
const renaming = signal<string | null>(null);
const narrow = matchMedia("(max-width: 760px)");

export function closeDrawer(): void {
  drawerOpen.value = false;
}

export function toggleSidebar(): void {
  if (narrow.matches) drawerOpen.value = !drawerOpen.value;
  else showSidebar.value = !showSidebar.value;
}

export function Sidebar() {
  useEffect(() => {
    document.body.classList.toggle("drawer-open", drawerOpen.value);
  }, [drawerOpen.value]);
  return (
    <nav class="sidebar" aria-label="Conversations">
      <div class="sidebar-top">
        <span class="brand">
          <span class="brand-mark" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          Foretoken
        </span>
        <IconButton icon="search" label="Search chats (Ctrl+K)" onClick={openSearch} />
        <IconButton icon="close" label="Close the list" class="drawer-only" onClick={closeDrawer} />
      </div>
      <button type="button" class="new-chat" onClick={startNew}>
        <Icon name="plus" />
        New chat
      </button>
      <ConversationList />
      <div class="sidebar-foot">
        <IconButton icon="gear" label="Settings" onClick={openSettings} />
        <ThemeButton />
        <span class="spacer" />
        <IconButton icon="upload" label="Import chats" onClick={() => void importFile()} />
        <IconButton icon="download" label="Export all chats" onClick={() => void exportAll()} />
      </div>
    </nav>
  );
}

function startNew(): void {
  closeDrawer();
  void openConversation(null).then(focusComposer);
}

function ConversationList() {
  const now = Date.now();
  let period = "";
  return (
    <ul class="conversations">
      {conversations.value.length === 0 && <li class="hint">Chats stay in this browser.</li>}
      {conversations.value.map((conversation) => {
        const here = agePeriod(conversation.updated, now);
        const heading = here === period ? null : here;
        period = here;
        return (
          <>
            {heading && (
              <li class="period" key={heading}>
                {heading}
              </li>
            )}
            <Item key={conversation.id} conversation={conversation} />
          </>
        );
      })}
    </ul>
  );
}

function Item({ conversation }: { conversation: Conversation }) {
  const { id, title } = conversation;
  if (renaming.value === id) return <RenameItem conversation={conversation} />;
  const current = id === currentId.value;
  return (
    <li class={`conversation ${current ? "current" : ""}`}>
      <button
        type="button"
        class="conversation-open"
        aria-current={current ? "page" : undefined}
        onClick={() => {
          closeDrawer();
          void openConversation(id);
        }}
      >
        {runs.value.has(id) && <span class="busy-dot" title="Being answered" />}
        {title}
      </button>
      <span class="conversation-tools">
        <IconButton icon="pencil" label={`Rename ${title}`} onClick={() => (renaming.value = id)} />
        <IconButton icon="download" label={`Export ${title}`} onClick={() => void exportOne(conversation)} />
        <IconButton
          icon="trash"
          label={`Delete ${title}`}
          disabled={runs.value.has(id)}
          onClick={() => void deleteConversation(id)}
        />
      </span>
    </li>
  );
}

function RenameItem({ conversation }: { conversation: Conversation }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.select(), []);
  const finish = (keep: boolean) => {
    if (renaming.value !== conversation.id) return;
    renaming.value = null;
    if (keep && field.current) void renameConversation(conversation.id, field.current.value);
  };
  return (
    <li class="conversation current">
      <input
        ref={field}
        class="rename"
        aria-label="Name of this chat"
        defaultValue={conversation.title}
        onBlur={() => finish(true)}
        onKeyDown={(event) => {
          if (event.key === "Enter") finish(true);
          if (event.key === "Escape") {
            event.preventDefault();
            finish(false);
          }
        }}
      />
    </li>
  );
}

const themeOrder: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const themeIcon = { system: "screen", light: "sun", dark: "moon" } as const;
const themeName = { system: "as the system", light: "light", dark: "dark" };

function ThemeButton() {
  return (
    <IconButton
      icon={themeIcon[theme.value]}
      label={`Colours: ${themeName[theme.value]}`}
      onClick={() => (theme.value = themeOrder[theme.value])}
    />
  );
}

async function exportOne(conversation: Conversation): Promise<void> {
  saveChats(conversation.title, [{ conversation, messages: await messagesOf(conversation.id) }]);
}

async function exportAll(): Promise<void> {
  const all = await everything();
  if (all.length === 0) notify("There is nothing to export yet.");
  else saveChats("foretoken chats", all);
}
