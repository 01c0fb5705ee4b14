import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser, readSse, type SseRecord } from "../src/api/sse.ts";

const kStream =
  ": ping\n\n" +
  'data: {"a":"grün 🦊"}\n\n' +
  "event: message_stop\r\ndata: one\r\ndata:two\r\ndata:  three\r\n\r\n" +
  "id: 7\rdata: cr\r\r" +
  "event: nothing\n\n" +
  "data\n\n" +
  "data: [DONE]\n\n" +
  "data: without an end";
const kRecords: SseRecord[] = [
  { event: "message", data: '{"a":"grün 🦊"}' },
  { event: "message_stop", data: "one\ntwo\n three" },
  { event: "message", data: "cr" },
  { event: "message", data: "" },
  { event: "message", data: "[DONE]" },
];

function parse(pieces: Uint8Array[]): SseRecord[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

test("records are the same wherever the bytes are cut in two", () => {
  const bytes = new TextEncoder().encode(kStream);
  for (let cut = 0; cut <= bytes.length; ++cut) {
    assert.deepEqual(parse([bytes.slice(0, cut), bytes.slice(cut)]), kRecords, `cut at ${cut}`);
  }
});

test("records are the same byte by byte, and in pieces of every size", () => {
  const bytes = new TextEncoder().encode(kStream);
  for (let size = 1; size < 40; ++size) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.slice(at, at + size));
    assert.deepEqual(parse(pieces), kRecords, `pieces of ${size}`);
  }
});

test("a line without an end is refused", () => {
  const parser = new SseParser();
  const piece = new Uint8Array(1 << 20).fill(97);
  assert.throws(() => {
    for (let i = 0; i < 20; ++i) parser.push(piece);
  }, /line without end/);
});

test("bytes that are no UTF-8 become replacement characters", () => {
  const records = parse([Uint8Array.from([100, 97, 116, 97, 58, 0xff, 0xfe, 10, 10])]);
  assert.deepEqual(records, [{ event: "message", data: "\ufffd\ufffd" }]);
});

test("a body's records come one after the other, and the body is released", async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("data: 1\n\ndata: 2\n\n"));
    },
    cancel() {
      cancelled = true;
    },
  });
  for await (const record of readSse(body)) {
    if (record.data === "2") break;
  }
  assert.equal(cancelled, true);
});
