// What the user chose, kept in the browser's local storage and read back with care: a value of the
// wrong type counts as not chosen.
import { effect, signal, type Signal } from "@preact/signals";
import { kDefaultChatSettings, type ChatSettings } from "../api/request.ts";

export type Theme = "system" | "light" | "dark";

export const chatSettings = stored("foretoken.chat", kDefaultChatSettings, readChatSettings);
export const apiKey = stored("foretoken.apiKey", "", readString);
export const theme = stored<Theme>("foretoken.theme", "system", (value) =>
  value === "light" || value === "dark" ? value : "system",
);
/** Tint what came from accepted drafts. */
export const tintDrafts = stored("foretoken.tint", true, (value) => value !== false);
export const showPanel = stored("foretoken.panel", false, (value) => value === true);
export const showSidebar = stored("foretoken.sidebar", true, (value) => value !== false);

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset.theme;
  else root.dataset.theme = theme.value;
});

export function updateChatSettings(change: Partial<ChatSettings>): void {
  chatSettings.value = { ...chatSettings.value, ...change };
}

function stored<T>(key: string, initial: T, read: (value: unknown) => T): Signal<T> {
  let start = initial;
  try {
    const text = localStorage.getItem(key);
    if (text !== null) start = read(parse(text));
  } catch {
    // Storage is switched off: nothing is remembered.
  }
  const state = signal(start);
  let first = true;
  effect(() => {
    const value = state.value;
    if (first) {
      first = false;
      return;
    }
    try {
      localStorage.setItem(key, typeof value === "string" ? value : JSON.stringify(value));
    } catch {
      // As above, or full.
    }
  });
  return state;
}

// Strings are stored as they are (public/theme.js reads one), everything else as JSON.
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function readString(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function readChatSettings(value: unknown): ChatSettings {
  const settings: Record<string, unknown> = { ...kDefaultChatSettings };
  if (value === null || typeof value !== "object") return kDefaultChatSettings;
  for (const [name, initial] of Object.entries(kDefaultChatSettings)) {
    const found = (value as Record<string, unknown>)[name];
    const fits = initial === null ? typeof found === "number" : typeof found === typeof initial;
    if (fits) settings[name] = found;
  }
  return settings as unknown as ChatSettings;
}
