// The line above the conversation: what it is called, which model answers, what is shown.
import { currentConversation } from "../store/conversations.ts";
import { modelName, props, serverState, type ServerState } from "../store/server.ts";
import { showPanel, tintDrafts } from "../store/settings.ts";
import { IconButton } from "./icons.tsx";
import { toggleSidebar } from "./sidebar.tsx";

const stateName: Record<ServerState, string> = {
  unknown: "Connecting",
  ready: "Ready",
  loading: "Loading the model",
  unreachable: "Server not reachable",
  locked: "Needs an API key",
};

export function Header() {
  const state = serverState.value;
  const speculative = props.value?.speculative?.mtp_present;
  return (
    <header class="header">
      <IconButton icon="menu" label="Show or hide the list of chats" onClick={toggleSidebar} />
      <h1 class="title">{currentConversation.value?.title ?? "New chat"}</h1>
      <span class={`model state-${state}`} title={stateName[state]}>
        <span class="state-dot" aria-hidden="true" />
        <span class="model-name">{state === "ready" ? modelName.value || "Ready" : stateName[state]}</span>
        {state === "ready" && speculative && <span class="badge">MTP</span>}
      </span>
      <IconButton
        icon="tint"
        label="Tint what came from accepted drafts"
        pressed={tintDrafts.value}
        onClick={() => (tintDrafts.value = !tintDrafts.value)}
      />
      <IconButton
        icon="gauge"
        label="Show the engine's numbers"
        pressed={showPanel.value}
        onClick={() => (showPanel.value = !showPanel.value)}
      />
    </header>
  );
}
