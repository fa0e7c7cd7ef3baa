import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { describe, it } from "node:test";
import type { ChangeEvent, FollowedMessage, FollowedSession } from "coexistence-journeys";
import { readEvents, type StreamEvent } from "../src/event_stream.js";
import { appendItems, foldChange, foldSession, mergePatch } from "../src/folding.js";

describe("a merge patch", () => {
  // The examples of RFC 7396, appendix A.
  const examples: [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [["a", "b"], ["c", "d"], ["c", "d"]],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of examples) {
    it(`makes ${JSON.stringify(result)} of ${JSON.stringify(target)} and ${JSON.stringify(patch)}`, () => {
      assert.deepEqual(mergePatch(target, patch), result);
    });
  }

  it("takes no key for anything else", () => {
    const patch: unknown = JSON.parse('{"__proto__": {"a": 1}, "constructor": {"b": null}}');
    assert.equal(JSON.stringify(mergePatch({}, patch)), '{"__proto__":{"a":1},"constructor":{}}');
  });
});

describe("an append", () => {
  it("adds items, and replaces the first one with the same id", () => {
    const before = { items: [{ id: "a", n: 1 }, { id: "a", n: 2 }, { id: 3 }] };
    const items = [{ id: "a", n: 3 }, { id: "b" }, { id: "b", n: 4 }, { id: 3 }, "text"];
    assert.deepEqual(appendItems(before, { items, others: [1] }), {
      items: [{ id: "a", n: 3 }, { id: "a", n: 2 }, { id: 3 }, { id: "b", n: 4 }, { id: 3 }, "text"],
      others: [1],
    });
    assert.equal(before.items.length, 3);
  });
});

describe("the transcript of a follower", () => {
  const at = (second: number) => `2026-01-27T10:05:0${second}.000000Z`;
  const message = (id: string, created: number, text: string): FollowedMessage => ({
    ...{ id, role: "user", author: "user", revision: 1, created_at: at(created), updated_at: at(created) },
    body: { text },
  });
  const start = { session: { context: {}, title: null }, messages: [message("b", 1, "b")], older: "cursor" };
  const followed = foldSession(start as unknown as Parameters<typeof foldSession>[0]);

  function fold(second: number, change: object, ...messages: FollowedMessage[]): FollowedSession {
    return foldChange(followed, { change, messages, applied_at: at(second) } as unknown as ChangeEvent);
  }

  it("has new messages at its end, and replaced ones in their place", () => {
    const folded = fold(2, {}, message("b", 1, "B"), message("c", 2, "c"));
    assert.deepEqual(folded.messages.map(({ id, body }) => [id, body]), [["b", { text: "B" }], ["c", { text: "c" }]]);
  });

  it("leaves out a message that was replaced before its first one", () => {
    assert.deepEqual(fold(2, {}, message("a", 0, "A")).messages, followed.messages);
  });

  it("drops messages that are removed, and those that are gone by now", () => {
    assert.deepEqual(fold(2, { remove_messages: ["b", "unknown"] }).messages, []);
    assert.deepEqual(fold(2, {}, { id: "b", body: null }, { id: "c", body: null }).messages, []);
  });

  it("keeps a message without a body that was too large", () => {
    const { body: _, ...truncated } = message("c", 2, "");
    assert.deepEqual(fold(2, {}, { ...truncated, truncated: true }).messages[1], { ...truncated, truncated: true });
  });
});

describe("a stream", () => {
  async function read(...chunks: string[]): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    for await (const event of readEvents(Readable.from(chunks))) events.push(event);
    return events;
  }

  it("is read alike however it is cut into pieces", async () => {
    const stream = ': a comment\n\nevent: change\nid: 7\ndata: {"a":\ndata: "ü: b"}\n\nevent:end\r\ndata:{}\r\n\r\n';
    const events = [
      { name: "", data: "" },
      { name: "change", data: '{"a":\n"ü: b"}' },
      { name: "end", data: "{}" },
    ];
    assert.deepEqual(await read(stream), events);
    assert.deepEqual(await read(...stream), events);
  });

  it("has no event that has not come in whole", async () => {
    assert.deepEqual(await read("event: change\nid: 1\ndata: {}\n"), []);
  });
});
