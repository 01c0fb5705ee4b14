// The chat page. It talks to the server it came from and to nobody else.
import { render } from "preact";
import { App } from "./components/app.tsx";
import { loadConversations } from "./store/conversations.ts";
import { readSpeculation, watchServer } from "./store/server.ts";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/messages.css";
import "./styles/markdown.css";
import "./styles/dialogs.css";

await loadConversations();
render(<App />, document.getElementById("app")!);
void watchServer();
void readSpeculation();
