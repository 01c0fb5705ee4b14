// Files out of the page and into it: exported chats, pictures.
import { exportText, importText } from "../model/transfer.ts";
import type { Image } from "../model/types.ts";
import { restore, type StoredConversation } from "../store/conversations.ts";
import { notify } from "../store/notices.ts";

export function saveChats(name: string, chats: StoredConversation[]): void {
  const blob = new Blob([exportText(chats)], { type: "application/json" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/[^\p{L}\p{N} _-]+/gu, "").trim().slice(0, 60) || "chat"}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Lets the user choose a file of chats and adds them. */
export async function importFile(): Promise<void> {
  const file = await chooseFile("application/json,.json");
  if (!file) return;
  try {
    const chats = importText(await file.text());
    await restore(chats);
    notify(chats.length === 1 ? "One chat imported." : `${chats.length} chats imported.`);
  } catch (error) {
    notify(error instanceof Error ? error.message : String(error));
  }
}

export function chooseFile(accept: string): Promise<File | null> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = accept;
    input.onchange = () => resolve(input.files?.[0] ?? null);
    input.oncancel = () => resolve(null);
    input.click();
  });
}

const kMaxImageBytes = 20 << 20;

/** Pictures among files, as data: URLs; says why another was left out. */
export async function readImages(files: Iterable<File>): Promise<Image[]> {
  const images: Image[] = [];
  for (const file of files) {
    if (!/^image\/(png|jpeg|webp|gif|bmp)$/.test(file.type)) {
      notify(`${file.name} is not a PNG, JPEG, WebP, GIF or BMP picture.`);
    } else if (file.size > kMaxImageBytes) {
      notify(`${file.name} is larger than 20 MB.`);
    } else {
      images.push({ name: file.name, url: await dataUrl(file) });
    }
  }
  return images;
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
