/** Chat sessions by Temporal's TypeScript client alone: each message is a name and JSON. */

import { randomUUID } from 'node:crypto';
import { type Client, WithStartWorkflowOperation, WorkflowNotFoundError } from '@temporalio/client';
import { type SessionOf, sessionId, workflowId } from './keys.js';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The fields of `update_chat_context` that this service uses; `docs/schemas` has them all. */
export interface Change {
  user_id?: string;
  context?: { [name: string]: Json };
  messages?: { [name: string]: Json }[];
  active_agent?: string;
  base_revision?: number;
  idempotency_key?: string;
  author?: string;
}

export interface Receipt {
  chat_session_id: string;
  active_agent: string;
  lifecycle_state: 'ACTIVE' | 'ARCHIVED';
  revision: number;
  message_count: number;
}

export type Updated = Receipt & { applied_revision: number; duplicate: boolean };
export type Session = Receipt & { context: { [name: string]: Json } };
export type SessionView = Session & {
  refusals: { count: number; last: { at: string; code: string; field: string }[] } | null;
};

const JOURNEY = 'journey_coexistence_chat_session';

export class ChatSessions {
  constructor(
    /** Its option `queryRejectCondition` is NOT_OPEN, so that a query does not replay a closed run. */
    private readonly client: Client,
    private readonly taskQueue: string,
    private readonly tenant: string,
  ) {}

  /** Create the session, or get it as it is now. */
  async initialize(of: SessionOf): Promise<Session & { created: boolean }> {
    const { tenant_id, user_id, ...initialize } = of;
    const chat_session_id = sessionId(of);
    return await this.client.workflow.executeUpdateWithStart('initialize_chat_session', {
      args: [of],
      updateId: `initialize_chat_session/${randomUUID()}`,
      startWorkflowOperation: this.start({ chat_session_id, tenant_id, user_id, initialize }),
    });
  }

  /** Change the context or the transcript, and wait until both stores hold the change. */
  async update(id: string, change: Change, updateId?: string): Promise<Updated> {
    return await this.send('update_chat_context', id, { ...change, returning: 'receipt' }, updateId);
  }

  /** Put the session away, or take it out again. */
  async setState(id: string, lifecycle_state: 'ACTIVE' | 'ARCHIVED'): Promise<Updated> {
    return await this.send('update_chat_session', id, { lifecycle_state });
  }

  /** Send the same changes as `update`, without an answer, whether the session is awake or asleep. */
  async signal(id: string, change: Change & { idempotency_key: string }): Promise<void> {
    const { options } = this.start({ chat_session_id: id, tenant_id: this.tenant });
    await this.client.workflow.signalWithStart(JOURNEY, {
      ...options,
      signal: 'update_chat_context',
      signalArgs: [{ tenant_id: this.tenant, ...change }],
    });
  }

  /** Ask the journey itself, which must be awake. */
  async readLive(id: string, tenant = this.tenant): Promise<SessionView> {
    return await this.client.workflow.getHandle(workflowId(id)).query('get_chat_session', { tenant_id: tenant });
  }

  /** Read the session from the store, whether it is awake or asleep. */
  async readStored(id: string, tenant = this.tenant): Promise<SessionView> {
    const activityId = `get_chat_session/${id}/${randomUUID()}`;
    const view: SessionView = await this.client.activity.execute('get_chat_session', {
      id: activityId,
      taskQueue: this.taskQueue,
      args: [{ tenant_id: tenant, chat_session_id: id }],
      startToCloseTimeout: '3 s',
      scheduleToCloseTimeout: '5 s',
      retry: { maximumAttempts: 3, initialInterval: '100 ms' },
    });
    // Temporal would keep the result until the namespace's retention has passed.
    const { namespace } = this.client.options;
    await this.client.workflowService.deleteActivityExecution({ namespace, activityId });
    return view;
  }

  /** Send an update under one ID, and resume the session if it is asleep. */
  private async send<Answer>(
    intent: string,
    id: string,
    fields: object,
    updateId = `${intent}/${randomUUID()}`,
  ): Promise<Answer> {
    const args: [object] = [{ tenant_id: this.tenant, ...fields }];
    try {
      return await this.client.workflow.getHandle(workflowId(id)).executeUpdate<Answer, [object]>(intent, {
        args,
        updateId,
      });
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
    await this.readStored(id); // without this check, a made-up ID would leave a failed run
    return await this.client.workflow.executeUpdateWithStart(intent, {
      args,
      updateId,
      startWorkflowOperation: this.start({ chat_session_id: id, tenant_id: this.tenant }),
    });
  }

  private start(argument: { chat_session_id: string; [name: string]: unknown }) {
    return new WithStartWorkflowOperation(JOURNEY, {
      workflowId: workflowId(argument.chat_session_id),
      taskQueue: this.taskQueue,
      args: [argument],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'ALLOW_DUPLICATE',
      workflowTaskTimeout: '1.5 s', // after this time another worker takes over from a dead one
    });
  }
}
