import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageTree } from "../src/model/message_tree.ts";
import type { Message } from "../src/model/types.ts";

function message(id: string, parent: string | null, created: number): Message {
  return { id, parent, created, conversation: "c", role: "user", content: id, state: "done" };
}

// a1 - b1 - c1      a2 - b3
//    \ b2 - c2 - d1
//         \ c3
const tree = new MessageTree([
  message("d1", "c2", 7),
  message("a1", null, 1),
  message("b1", "a1", 2),
  message("c1", "b1", 3),
  message("b2", "a1", 4),
  message("c2", "b2", 5),
  message("c3", "b2", 8),
  message("a2", null, 9),
  message("b3", "a2", 10),
]);
const ids = (messages: Message[]) => messages.map((m) => m.id).join(" ");

test("a path runs from a first message to the leaf", () => {
  assert.equal(ids(tree.path("d1")), "a1 b2 c2 d1");
  assert.equal(ids(tree.path("a1")), "a1");
  assert.equal(ids(tree.path(null)), "");
  assert.equal(ids(tree.path("unknown")), "");
});

test("siblings are those of the same parent, oldest first", () => {
  assert.equal(ids(tree.siblings("b2")), "b1 b2");
  assert.equal(ids(tree.siblings("a2")), "a1 a2");
  assert.equal(ids(tree.siblings("d1")), "d1");
  assert.equal(ids(tree.siblings("unknown")), "");
});

test("stepping to a sibling shows its newest branch", () => {
  assert.equal(tree.neighbour("b1", 1), "c3");
  assert.equal(tree.neighbour("b2", -1), "c1");
  assert.equal(tree.neighbour("b2", 1), null);
  assert.equal(tree.neighbour("a1", -1), null);
  assert.equal(tree.neighbour("a1", 1), "b3");
});

test("a subtree is a message with all below it, parents first", () => {
  assert.equal(ids(tree.subtree("b2")), "b2 c2 c3 d1");
  assert.equal(ids(tree.subtree("unknown")), "");
});

test("deleting shows a sibling's branch, or else the parent", () => {
  assert.equal(tree.leafWithout("b2"), "c1");
  assert.equal(tree.leafWithout("b1"), "c3");
  assert.equal(tree.leafWithout("d1"), "c2");
  assert.equal(tree.leafWithout("a2"), "c3");
  assert.equal(new MessageTree([message("x", null, 1)]).leafWithout("x"), null);
});

test("messages made in the same millisecond have an order of their own", () => {
  const twins = [message("y", null, 1), message("x", null, 1)];
  assert.equal(ids(new MessageTree(twins).children(null)), "x y");
  assert.equal(ids(new MessageTree(twins.reverse()).children(null)), "x y");
});

test("damaged data hides nothing and ends every walk", () => {
  const orphan = new MessageTree([message("x", "gone", 1)]);
  assert.equal(ids(orphan.children(null)), "x");
  assert.equal(ids(orphan.path("x")), "x");
  const loop = new MessageTree([message("x", "y", 1), message("y", "x", 2)]);
  assert.equal(loop.path("x").length, 2);
  assert.equal(loop.subtree("x").length, 2);
  assert.ok(["x", "y"].includes(loop.newestLeaf("x")));
});
