// Everything that can be chosen. Empty number fields mean the server's default, which is shown in
// them in grey.
import { signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { kDefaultChatSettings, toolsProblem, type ChatSettings } from "../api/request.ts";
import { props, watchServer } from "../store/server.ts";
import { apiKey, chatSettings, theme, tintDrafts, updateChatSettings, type Theme } from "../store/settings.ts";
import { Dialog } from "./dialog.tsx";
import { IconButton } from "./icons.tsx";

const open = signal(false);

export function openSettings(): void {
  open.value = true;
}

export function SettingsDialog() {
  return (
    <Dialog open={open} label="Settings" class="settings-dialog">
      <div class="dialog-head">
        <h2>Settings</h2>
        <IconButton icon="close" label="Close the settings" onClick={() => (open.value = false)} />
      </div>
      <div class="settings">
        <Prompting />
        <Sampling />
        <Speculation />
        <Tools />
        <Page />
        <button type="button" class="reset" onClick={() => (chatSettings.value = kDefaultChatSettings)}>
          Back to the server's defaults
        </button>
      </div>
    </Dialog>
  );
}

function Prompting() {
  const settings = chatSettings.value;
  return (
    <fieldset>
      <legend>Prompt and thinking</legend>
      <label class="wide">
        System prompt
        <textarea
          rows={3}
          value={settings.systemPrompt}
          onInput={(event) => updateChatSettings({ systemPrompt: event.currentTarget.value })}
        />
      </label>
      <label>
        Thinking
        <select
          value={settings.thinking}
          onChange={(event) =>
            updateChatSettings({ thinking: event.currentTarget.value as ChatSettings["thinking"] })
          }
        >
          <option value="">As the model's template says</option>
          <option value="on">On</option>
          <option value="off">Off</option>
        </select>
      </label>
      <NumberField name="thinkingBudget" label="Most tokens of thinking" min={0} step={1} hint="no limit" />
      <NumberField name="maxTokens" label="Most tokens of a reply" min={1} step={1} hint="no limit" />
    </fieldset>
  );
}

function Sampling() {
  return (
    <fieldset>
      <legend>Sampling</legend>
      <NumberField name="temperature" label="Temperature" min={0} max={5} step={0.05} wire="temperature" />
      <NumberField name="topP" label="Top p" min={0} max={1} step={0.01} wire="top_p" />
      <NumberField name="topK" label="Top k" min={0} step={1} wire="top_k" />
      <NumberField name="minP" label="Min p" min={0} max={1} step={0.01} wire="min_p" />
      <NumberField name="presencePenalty" label="Presence penalty" min={-2} max={2} step={0.1} wire="presence_penalty" />
      <NumberField name="frequencyPenalty" label="Frequency penalty" min={-2} max={2} step={0.1} wire="frequency_penalty" />
      <NumberField name="repeatPenalty" label="Repeat penalty" min={0} max={3} step={0.05} wire="repeat_penalty" />
      <NumberField name="seed" label="Seed" min={0} step={1} hint="random" />
    </fieldset>
  );
}

function Speculation() {
  const settings = chatSettings.value;
  return (
    <fieldset>
      <legend>Speculation</legend>
      <label class="check wide">
        <input
          type="checkbox"
          checked={settings.speculation}
          onChange={(event) => updateChatSettings({ speculation: event.currentTarget.checked })}
        />
        Draft tokens with the model's MTP head. The text stays the same, it comes faster.
      </label>
      {settings.speculation && (
        <NumberField
          name="draftMax"
          label="Most drafts per round"
          min={0}
          max={16}
          step={1}
          hint={props.value?.speculative?.n_max?.toString() ?? "the server's choice"}
        />
      )}
      <label class="check wide">
        <input
          type="checkbox"
          checked={tintDrafts.value}
          onChange={(event) => (tintDrafts.value = event.currentTarget.checked)}
        />
        Tint what came from accepted drafts
      </label>
    </fieldset>
  );
}

function Tools() {
  const problem = toolsProblem(chatSettings.value.tools);
  return (
    <fieldset>
      <legend>Tools</legend>
      <label class="wide">
        Functions the model may call, as a JSON array in OpenAI's form. Calls are shown; you type what
        they give.
        <textarea
          rows={4}
          class="code"
          spellcheck={false}
          aria-invalid={problem !== undefined}
          value={chatSettings.value.tools}
          onInput={(event) => updateChatSettings({ tools: event.currentTarget.value })}
        />
      </label>
      {problem && (
        <p class="problem wide" role="alert">
          {problem} Replies go without tools.
        </p>
      )}
    </fieldset>
  );
}

function Page() {
  return (
    <fieldset>
      <legend>This page</legend>
      <label>
        Colours
        <select
          value={theme.value}
          onChange={(event) => (theme.value = event.currentTarget.value as Theme)}
        >
          <option value="system">As the system</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
      <label>
        API key
        <input
          type="password"
          autoComplete="off"
          value={apiKey.value}
          onInput={(event) => (apiKey.value = event.currentTarget.value)}
          onChange={() => void watchServer()}
        />
      </label>
      <p class="hint wide">Settings, the key and all chats are kept in this browser only.</p>
    </fieldset>
  );
}

type NumberName = {
  [Name in keyof ChatSettings]: ChatSettings[Name] extends number | null ? Name : never;
}[keyof ChatSettings];

interface NumberFieldProps {
  name: NumberName;
  label: string;
  min: number;
  max?: number;
  step: number;
  /** Its name among the server's defaults. */
  wire?: string;
  hint?: string;
}

function NumberField({ name, label, min, max, step, wire, hint }: NumberFieldProps) {
  const stored = chatSettings.value[name];
  // What is being typed ("0.", "-") is not always a number yet, so it is kept as text.
  const text = useSignal(stored === null ? "" : String(stored));
  const read = (typed: string) => {
    const value = typed.trim() === "" ? NaN : Number(typed);
    return Number.isFinite(value) ? Math.min(max ?? value, Math.max(min, value)) : null;
  };
  const tidy = () => (text.value = chatSettings.value[name]?.toString() ?? "");
  useEffect(() => {
    if (read(text.value) !== stored) tidy(); // changed elsewhere
  }, [stored]);
  const fallback = wire && props.value?.default_generation_settings?.params?.[wire];
  const shown = typeof fallback === "number" ? String(Number(fallback.toFixed(4))) : hint;
  return (
    <label>
      {label}
      <input
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
        step={step}
        placeholder={shown ?? "server's default"}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
          updateChatSettings({ [name]: read(text.value) });
        }}
        onBlur={tidy}
      />
    </label>
  );
}
