/**
 * Goes through a session's life, and prints a line of JSON for each step.
 *
 *     node dist/main.js tour TENANT VECTORS    VECTORS is journeys/chat_session/idempotency_keys.json
 *     node dist/main.js read TENANT ID
 */

import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Client, Connection } from '@temporalio/client';
import { ChatSessions } from './chatSessions.js';
import { errorNames, findCode } from './codes.js';
import { type SessionOf, sessionId, workflowId } from './keys.js';

function print(step: string, facts: object): void {
  console.log(JSON.stringify({ step, ...facts }));
}

/** Derive every published ID; returns their number. */
async function checkVectors(file: string): Promise<number> {
  const vectors = JSON.parse(await readFile(file, 'utf8'));
  const cases: (SessionOf & { name: string; chat_session_id: string })[] = [
    ...vectors.session_keys.cases,
    ...vectors.named_session_keys.cases,
  ];
  for (const each of cases) {
    if (sessionId(each) !== each.chat_session_id) throw new Error(`derived another ID: ${each.name}`);
  }
  return cases.length;
}

/** Make a call that must be refused, and print where its code was found. */
async function refused(what: string, call: () => Promise<unknown>): Promise<void> {
  const error = await call().then(
    () => new Error(`${what} was not refused`),
    (error: unknown) => error,
  );
  const found = findCode(error);
  if (found === undefined) throw error;
  print('refused', { what, ...found });
}

async function tour(client: Client, sessions: ChatSessions, tenant: string, vectors: string): Promise<void> {
  print('derived', { cases: await checkVectors(vectors) });

  const of = { tenant_id: tenant, user_id: 'ada', session_name: `tour ${randomUUID()}` };
  const { chat_session_id: id, created } = await sessions.initialize(of);
  const again = await sessions.initialize(of);
  print('initialized', { id, created, again: again.created, derived: id === sessionId(of) });

  await sessions.signal(id, { context: { topic: 'invoices' }, idempotency_key: 'topic' });

  // Under one update ID, a run does an update once and answers every repetition with the first answer.
  const updateId = `update_chat_context/${randomUUID()}`;
  const hello = { messages: [{ text: 'Hello' }], author: 'guide', idempotency_key: 'hello' };
  const first = await sessions.update(id, hello, updateId);
  const repeated = await sessions.update(id, hello, updateId);
  print('updated', { revision: first.applied_revision, repeated: repeated.applied_revision });

  const live = await sessions.readLive(id);
  print('read live', { context: live.context, messages: live.message_count });

  // A journey that is cancelled stores what it has accepted, and sleeps.
  const journey = client.workflow.getHandle(workflowId(id));
  await journey.cancel();
  await journey.result();
  const asleep = await sessions.readLive(id).catch((error: Error) => error.name);
  const stored = await sessions.readStored(id);
  print('read asleep', { query: asleep, context: stored.context, messages: stored.message_count });

  // A signal or an update resumes it.
  await sessions.signal(id, { context: { paid: true }, idempotency_key: 'paid' });
  const resumed = await sessions.update(id, { active_agent: 'liaison_insights' });
  // The new run does not know the update ID of the run before. The ledger knows the idempotency key.
  const known = await sessions.update(id, hello, updateId);
  print('resumed', { revision: resumed.applied_revision, known: known.applied_revision, duplicate: known.duplicate });

  const stranger = 'nobody';
  await refused('a wrong type', () => sessions.update(id, { active_agent: 'boss' }));
  await refused('another user', () => sessions.update(id, { user_id: stranger }));
  await refused('a query of another tenant', () => sessions.readLive(id, stranger));
  await refused('a read of another tenant', () => sessions.readStored(id, stranger));
  await refused('a made-up ID', () => sessions.update(randomUUID(), {}));
  await refused('too much', () => sessions.update(id, { context: { text: 'x'.repeat(300_000) } }));
  await refused('an older base', () => sessions.update(id, { base_revision: 0 }));
  await refused('another change under a key', () =>
    sessions.update(id, { context: {}, idempotency_key: 'hello' }),
  );
  await sessions.setState(id, 'ARCHIVED');
  await refused('an archived session', () => sessions.update(id, {}));

  // A signal has no answer, so its code is found when the session is read.
  await sessions.signal(id, { context: {}, idempotency_key: 'too late' });
  const { refusals } = await sessions.readLive(id);
  print('refused', { what: 'a signal', ...refusals?.last[0], where: 'refusals of get_chat_session' });
}

async function read(sessions: ChatSessions, id: string): Promise<void> {
  try {
    print('read', { revision: (await sessions.readStored(id)).revision });
  } catch (error) {
    // No code means no answer in time: only the Python client has ENGINE_UNAVAILABLE.
    print('refused', findCode(error) ?? { code: null, where: errorNames(error) });
  }
}

const [command, tenant, argument] = process.argv.slice(2);
if (tenant === undefined || argument === undefined) {
  throw new Error('usage: main.js tour TENANT VECTORS | main.js read TENANT ID');
}
const connection = await Connection.connect({ address: process.env['TEMPORAL_ADDRESS'] ?? 'localhost:7233' });
const client = new Client({
  connection,
  namespace: process.env['TEMPORAL_NAMESPACE'] ?? 'default',
  workflow: { queryRejectCondition: 'NOT_OPEN' },
});
const sessions = new ChatSessions(client, process.env['JOURNEY_TASK_QUEUE'] ?? 'coexistence-journeys', tenant);
try {
  await client.withDeadline(Date.now() + 60_000, () =>
    command === 'read' ? read(sessions, argument) : tour(client, sessions, tenant, argument),
  );
} finally {
  await connection.close();
}
