import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { ChatSessions, JourneyError, type ChatContextChange, type Followed, type NewChatMessage } from "coexistence-journeys";
import { Gateway, serviceToken, TENANT, userToken } from "./gateways.js";

let gateway: Gateway;
before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway.kill());

const service = () => new ChatSessions({ url: gateway.url, token: serviceToken(), tenantId: TENANT });

async function newSession(user = randomUUID()): Promise<{ sessions: ChatSessions; id: string }> {
  const sessions = new ChatSessions({ url: gateway.url, token: userToken(user) });
  const { chat_session_id: id } = await sessions.initialize({ session_name: randomUUID() });
  return { sessions, id };
}

async function take(followed: AsyncGenerator<Followed>): Promise<Followed> {
  const { value, done } = await followed.next();
  assert.ok(!done);
  return value as Followed;
}

/** Follows up to a revision, or to the end. */
async function upTo(revision: number, followed: AsyncIterable<Followed>): Promise<Followed[]> {
  const seen: Followed[] = [];
  for await (const each of followed) {
    seen.push(each);
    if (each.event === "end" || each.session.revision >= revision) break;
  }
  return seen;
}

const revisionsOf = (seen: Followed[]) => seen.flatMap((each) => (each.event === "change" ? [each.change.revision] : []));
const upFrom = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, place) => first + place);

describe("a follower", () => {
  it("sees what an agent writes before its answer is there", async () => {
    const { sessions, id } = await newSession();
    const followed = sessions.follow(id);
    assert.equal((await take(followed)).event, "session");
    const shown = await fetch(`${gateway.url}/v1/chat-sessions/${id}/partials`, {
      method: "POST",
      headers: { authorization: `Bearer ${serviceToken()}`, "x-tenant-id": TENANT, "content-type": "application/json" },
      body: JSON.stringify({ message_id: "answer", text: "Thr" }),
    });
    assert.equal(shown.status, 204);
    const partial = await take(followed);
    assert.ok(partial.event === "partial");
    assert.deepEqual(partial.partial, { message_id: "answer", text: "Thr" });
    assert.equal(partial.session.revision, 0);
    await followed.return();
  });

  it("knows after each revision what a read of that revision answers", async () => {
    const { sessions, id } = await newSession();
    const changes = 40;
    const followed = sessions.follow(id);
    const seen = [await take(followed)];
    const following = upTo(changes, followed);
    const agents = ["guide", "liaison_finance"];
    for (let revision = 0; revision < changes; revision++) {
      if (revision % 10 === 9) await sessions.edit(id, { title: revision % 20 === 9 ? `title ${revision}` : "" });
      else await sessions.update(id, { ...randomChange(revision), active_agent: agents[randomInt(2)]! });
    }
    seen.push(...(await following));
    assert.deepEqual(revisionsOf(seen), upFrom(1, changes));
    for (const each of seen) {
      assert.notEqual(each.event, "end");
      if (each.event === "end") continue;
      const { revision, context, context_hash, active_agent } = await sessions.get(id, { at_revision: each.session.revision });
      const { session } = each;
      assert.deepEqual([session.revision, session.context_hash, session.active_agent], [revision, context_hash, active_agent]);
      assert.deepEqual(session.context, context);
    }
    const last = seen.at(-1)!;
    assert.notEqual(last.event, "end");
    if (last.event === "end") return;
    const { message_count, ...session } = await sessions.get(id);
    assert.deepEqual(last.session, session);
    const { messages } = await sessions.messages(id, { limit: 200 });
    assert.equal(messages.length, message_count);
    assert.deepEqual(last.messages, messages);
  });

  it("sees an archived session, and is told of a deletion at last", async () => {
    const { sessions, id } = await newSession();
    const followed = sessions.follow(id);
    assert.equal((await take(followed)).event, "session");
    await sessions.edit(id, { lifecycle_state: "ARCHIVED" });
    const archived = await take(followed);
    assert.ok(archived.event === "change" && archived.session.lifecycle_state === "ARCHIVED");
    await sessions.delete(id);
    assert.deepEqual(await take(followed), { event: "end", reason: "deleted" });
    assert.equal((await followed.next()).done, true);
  });

  it("is told if the session is no longer its own, while a service goes on", async () => {
    const { sessions, id } = await newSession();
    const [ofUser, ofService] = [sessions.follow(id), service().follow(id)];
    await Promise.all([take(ofUser), take(ofService)]);
    await service().edit(id, { new_user_id: "bob" });
    assert.deepEqual(await take(ofUser), { event: "end", reason: "not_found" });
    const given = await take(ofService);
    assert.ok(given.event === "change" && given.session.user_id === "bob");
    await ofService.return();
  });

  it("ends with its token, and goes on with a renewed one", async () => {
    const user = randomUUID();
    const { sessions, id } = await newSession(user);
    // A gateway allows for clocks that differ by 30 seconds.
    const expiring = userToken(user, -28);
    const forgetful = new ChatSessions({ url: gateway.url, token: expiring });
    const tokens = [expiring, userToken(user)];
    const renewing = new ChatSessions({ url: gateway.url, token: () => (tokens.length > 1 ? tokens.shift()! : tokens[0]!) });
    const followed = renewing.follow(id);
    await take(followed);
    const seen = await upTo(Infinity, forgetful.follow(id));
    assert.deepEqual(seen.at(-1), { event: "end", reason: "token_expired" });
    await sessions.update(id, { context: { renewed: true } });
    const change = await take(followed);
    assert.ok(change.event === "change" && change.session.revision === 1);
    await followed.return();
  });

  it("stops at once if it is aborted, whatever it waits for", async () => {
    const { sessions, id } = await newSession();
    const elsewhere = new ChatSessions({ url: "http://127.0.0.1:9", token: "any" });
    for (const followed of [sessions, elsewhere]) {
      const abortion = new AbortController();
      const seen = upTo(Infinity, followed.follow(id, { signal: abortion.signal }));
      setTimeout(() => abortion.abort(), 300);
      const began = Date.now();
      assert.deepEqual((await seen).map((each) => each.event), followed === sessions ? ["session"] : []);
      assert.ok(Date.now() - began < 2000);
    }
    assert.deepEqual(await upTo(Infinity, sessions.follow(id, { signal: AbortSignal.abort() })), []);
  });

  it("leaves a gateway that is silent", async (test) => {
    const { id } = await newSession();
    const silent = createServer((_, answer) => void answer.writeHead(200).write(": nothing new\n\n")).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const wait = setTimeout;
    test.mock.method(globalThis, "setTimeout", (end: () => void, ms: number) => wait(end, ms === 40_000 ? 200 : ms));
    const url = [`http://127.0.0.1:${port}`, gateway.url];
    const followed = new ChatSessions({ url, token: serviceToken(), tenantId: TENANT }).follow(id);
    assert.equal((await take(followed)).event, "session");
    await followed.return();
    silent.closeAllConnections();
    silent.close();
  });

  it("does not begin if there is no such session, or no gateway", async () => {
    const { id } = await newSession();
    const { sessions: another } = await newSession();
    await assert.rejects(take(another.follow(id)), (error) => error instanceof JourneyError && error.code === "SESSION_NOT_FOUND");
    const elsewhere = new ChatSessions({ url: "http://127.0.0.1:9", token: "any", deadlineMs: 200 });
    await assert.rejects(take(elsewhere.follow(id)), (error) => error instanceof JourneyError && error.code === "NO_ANSWER");
  });

  it("has every revision once, though its gateways are killed under it, and so has the writer", async () => {
    const other = await Gateway.start();
    const url = [gateway.url, other.url];
    const user = randomUUID();
    const writer = new ChatSessions({ url, token: userToken(user) });
    const { chat_session_id: id } = await writer.initialize({ session_name: "killed gateways" });
    const changes = 60;
    const followed = new ChatSessions({ url, token: userToken(user) }).follow(id);
    const seen = [await take(followed)];
    const following = upTo(changes, followed);
    for (let revision = 1; revision <= changes; revision++) {
      if (revision === 20) await gateway.kill();
      if (revision === 40) {
        gateway = await gateway.restart();
        await other.kill();
      }
      await writer.update(id, { context: { revision }, messages: [{ text: `${revision}` }] });
    }
    seen.push(...(await following));
    assert.deepEqual(seen.map((each) => each.event), ["session", ...upFrom(1, changes).map(() => "change")]);
    assert.deepEqual(revisionsOf(seen), upFrom(1, changes));
    const last = seen.at(-1)!;
    assert.ok(last.event === "change");
    assert.deepEqual(last.messages.map(({ body }) => body?.["text"]), upFrom(1, changes).map(String));
  });
});

function randomChange(revision: number): ChatContextChange {
  const key = () => ["a", "b", "list", "__proto__"][randomInt(4)]!;
  const value = () => [null, revision, "text", [revision, { id: "x" }], { deep: { [key()]: revision }, gone: null }][randomInt(5)]!;
  const context = Object.fromEntries([[key(), value()], [key(), value()]]);
  const messages: NewChatMessage[] = [{ id: `m${randomInt(8)}`, text: `${revision}` }, { text: `also ${revision}` }];
  switch (randomInt(5)) {
    case 0:
      return { context, append: { items: [{ id: `i${randomInt(3)}`, revision }, revision] } };
    case 1:
      return { context, merge_strategy: "replace", base_revision: revision };
    case 2:
      return { messages, remove_messages: [`m${randomInt(8)}`] };
    case 3:
      return { messages, context };
    default:
      return { context };
  }
}
