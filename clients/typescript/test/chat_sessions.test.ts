import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { ChatSessions, JourneyError, type ConnectionOptions } from "coexistence-journeys";
import { Gateway, Proxy, serviceToken, TENANT, userToken } from "./gateways.js";

let gateway: Gateway;
before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway.kill());

const asUser = (user = randomUUID() as string, options: Partial<ConnectionOptions> = {}) =>
  new ChatSessions({ url: gateway.url, token: userToken(user), ...options });
const asService = (options: Partial<ConnectionOptions> = {}) =>
  new ChatSessions({ url: gateway.url, token: serviceToken(), tenantId: TENANT, ...options });

async function refusal(call: Promise<unknown>): Promise<Pick<JourneyError, "code" | "status" | "field" | "outcome">> {
  const error: unknown = await call.then(() => undefined, (reason: unknown) => reason);
  assert.ok(error instanceof JourneyError, String(error));
  const { code, status, field, outcome } = error;
  return { code, status, field, outcome };
}

describe("the operations", () => {
  it("create, change, read and delete a session", async () => {
    const sessions = asUser();
    const made = await sessions.initialize({ session_name: "invoices", title: "Invoices", context: { topic: "rent" } });
    assert.deepEqual([made.created, made.revision, made.title], [true, 0, "Invoices"]);
    assert.equal((await sessions.initialize({ session_name: "invoices" })).chat_session_id, made.chat_session_id);
    const id = made.chat_session_id;

    const patched = await sessions.update(id, { context: { topic: null, month: { name: "May" } }, active_agent: "liaison_finance" });
    assert.deepEqual([patched.applied_revision, patched.active_agent, patched.duplicate], [1, "liaison_finance", false]);
    const added = await sessions.addMessages(id, { messages: [{ id: "..", text: "one" }, { text: "two" }, { text: "three" }] });
    assert.deepEqual([added.message_count, added.message_ids?.length, added.message_ids?.[0]], [3, 3, ".."]);

    const last = await sessions.messages(id, { limit: 1 });
    assert.deepEqual(last.messages.map(({ body }) => body), [{ text: "three" }]);
    const rest = await sessions.messages(id, { before: last.older!, limit: 2 });
    assert.deepEqual([rest.messages.map(({ body }) => body), rest.older], [[{ text: "one" }, { text: "two" }], null]);
    assert.equal((await sessions.removeMessages(id, [".."])).message_count, 2);

    const edited = await sessions.edit(id, { title: "", lifecycle_state: "ARCHIVED" });
    assert.deepEqual([edited.title, edited.lifecycle_state], [null, "ARCHIVED"]);
    assert.deepEqual((await sessions.list({ lifecycle_state: "ARCHIVED" })).sessions.map((each) => each.chat_session_id), [id]);
    assert.equal((await refusal(sessions.latest())).code, "SESSION_NOT_FOUND");
    await sessions.edit(id, { lifecycle_state: "ACTIVE" });
    assert.equal((await sessions.latest()).chat_session_id, id);

    const now = await sessions.get(id);
    assert.deepEqual([now.context, now.revision], [{ month: { name: "May" } }, 5]);
    assert.deepEqual((await sessions.get(id, { at_revision: 0 })).context, { topic: "rent" });
    const history = await sessions.history(id, { after_revision: 1, limit: 2 });
    assert.deepEqual([history.entries.map((entry) => entry.revision), history.complete], [[2, 3], false]);

    await sessions.delete(id);
    assert.equal((await refusal(sessions.get(id))).code, "SESSION_NOT_FOUND");
  });

  it("act for the tenant and the user that a service names, whose IDs may be any text", async () => {
    const user = `Zoë ✓ ${randomUUID()}`;
    const made = await asService({ userId: user }).initialize();
    assert.equal(made.user_id, user);
    const given = await asService().edit(made.chat_session_id, { new_user_id: "bob" });
    assert.equal(given.user_id, "bob");
    assert.equal((await asUser("bob").get(made.chat_session_id)).user_id, "bob");
  });

  it("fail with code, status and field", async () => {
    const sessions = asUser();
    const { chat_session_id: id } = await sessions.initialize({ session_name: "errors" });
    const refused = { field: "", outcome: undefined };
    assert.deepEqual(await refusal(asUser().get(id)), { ...refused, code: "SESSION_NOT_FOUND", status: 404 });
    const stale = { ...refused, code: "REVISION_CONFLICT", status: 409, field: "base_revision" };
    assert.deepEqual(await refusal(sessions.update(id, { context: {}, base_revision: 7 })), stale);
    const unknown = { ...refused, code: "INVALID_PARAMETER", status: 400, field: "active_agent" };
    assert.deepEqual(await refusal(sessions.update(id, { active_agent: "nobody" })), unknown);
    const forged = { ...refused, code: "UNAUTHENTICATED", status: 401 };
    assert.deepEqual(await refusal(asUser("", { token: "forged" }).latest()), forged);
  });
});

describe("a call whose answer does not come", () => {
  async function behindProxy(run: (sessions: ChatSessions, proxy: Proxy) => Promise<void>): Promise<void> {
    const proxy = new Proxy(gateway.url);
    try {
      await proxy.listen();
      await run(asUser(randomUUID(), { url: proxy.url }), proxy);
    } finally {
      proxy.close();
    }
  }

  it("is sent again under one key, and applied once", async () => {
    await behindProxy(async (sessions, proxy) => {
      const { chat_session_id: id } = await sessions.initialize({ session_name: "lost answers" });
      proxy.keys.length = 0;
      proxy.mishaps.push("lost", "broken off", "outage");
      const added = await sessions.addMessages(id, { messages: [{ text: "once" }] });
      assert.deepEqual([added.applied_revision, added.message_count, added.duplicate], [1, 1, true]);
      assert.equal(proxy.keys.length, 4);
      assert.equal(new Set(proxy.keys).size, 1);

      proxy.mishaps.push("lost");
      const updated = await sessions.update(id, { append: { items: ["once"] } });
      assert.equal(updated.applied_revision, 2);
      const [first, second, ...others] = proxy.keys.slice(4);
      assert.ok(first === second && first !== proxy.keys[0] && others.length === 0);
      assert.deepEqual((await sessions.get(id)).context, { items: ["once"] });
    });
  });

  it("finds the session that it has created, and no session that it has deleted", async () => {
    await behindProxy(async (sessions, proxy) => {
      proxy.mishaps.push("lost");
      const made = await sessions.initialize();
      assert.equal((await sessions.latest()).chat_session_id, made.chat_session_id);
      proxy.mishaps.push("lost");
      await sessions.delete(made.chat_session_id);
      assert.equal((await refusal(sessions.delete(made.chat_session_id))).code, "SESSION_NOT_FOUND");
    });
  });

  it("fails with what a gateway has said, if it says no more", async () => {
    await behindProxy(async (_, proxy) => {
      const impatient = asUser(randomUUID(), { url: proxy.url, deadlineMs: 1800 });
      const told = { code: "DATABASE_UNAVAILABLE", status: 503, field: "" };
      proxy.mishaps.push("outage", "silent");
      assert.deepEqual(await refusal(impatient.update(randomUUID(), { context: {} })), { ...told, outcome: "unknown" });
      proxy.mishaps.push("outage", "silent");
      assert.deepEqual(await refusal(impatient.latest()), { ...told, outcome: "not accepted" });
    });
  });

  it("goes on at another gateway", async () => {
    const sessions = asUser(randomUUID(), { url: ["http://127.0.0.1:9", gateway.url] });
    assert.equal((await sessions.initialize({ session_name: "elsewhere" })).revision, 0);
  });

  it("fails at its deadline, and says what is known", async () => {
    const sessions = asUser(randomUUID(), { url: "http://127.0.0.1:9", deadlineMs: 300 });
    const began = Date.now();
    const id = randomUUID();
    const failed = { code: "NO_ANSWER", status: 0, field: "" };
    assert.deepEqual(await refusal(sessions.update(id, { context: {} })), { ...failed, outcome: "unknown" });
    assert.deepEqual(await refusal(sessions.get(id)), { ...failed, outcome: "not accepted" });
    assert.ok(Date.now() - began < 3000);
  });
});
