// The page's frame: list on the left, conversation in the middle, the engine's numbers on the right,
// and the keys that work everywhere.
import { useEffect } from "preact/hooks";
import { currentId, openConversation } from "../store/conversations.ts";
import { stop } from "../store/generation.ts";
import { showPanel, showSidebar } from "../store/settings.ts";
import { Composer, focusComposer } from "./composer.tsx";
import { EnginePanel } from "./engine_panel.tsx";
import { Header } from "./header.tsx";
import { Notices } from "./notices.tsx";
import { SearchDialog, openSearch } from "./search_dialog.tsx";
import { SettingsDialog } from "./settings_dialog.tsx";
import { Sidebar, closeDrawer } from "./sidebar.tsx";
import { Spoken } from "./spoken.tsx";
import { Thread } from "./thread.tsx";

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const shape = `app ${showSidebar.value ? "with-sidebar" : ""} ${showPanel.value ? "with-panel" : ""}`;
  return (
    <div class={shape}>
      <Sidebar />
      <div class="scrim" onClick={closeDrawer} />
      <main class="main">
        <Header />
        <Thread />
        <Composer />
      </main>
      {showPanel.value && <EnginePanel />}
      <SettingsDialog />
      <SearchDialog />
      <Notices />
      <Spoken />
    </div>
  );
}

function onKey(event: KeyboardEvent): void {
  const command = event.ctrlKey || event.metaKey;
  if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openSearch();
  } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    void openConversation(null).then(focusComposer);
  } else if (event.key === "Escape" && !event.defaultPrevented) {
    // A dialog takes Escape for itself.
    if (!document.querySelector("dialog[open]")) stop(currentId.value);
  }
}
