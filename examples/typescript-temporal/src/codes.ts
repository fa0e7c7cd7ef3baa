/** Where the contract's error codes are found in the errors of Temporal's TypeScript client. */

import { ApplicationFailure, QueryNotRegisteredError } from '@temporalio/client';

export interface Found {
  code: string;
  /** The field at fault, or '' if no single field is. A query's error does not name it. */
  field: string;
  /** Where this service found the code. */
  where: string;
}

/** The code in an error; undefined if it has none, for example if Temporal or a worker cannot be reached. */
export function findCode(error: unknown): Found | undefined {
  // Only the message of a failed query arrives. The SDK reports every failed query as an unregistered one.
  if (error instanceof QueryNotRegisteredError) {
    const code = /^([A-Z_]+): /.exec(error.message)?.[1];
    return code === undefined ? undefined : { code, field: '', where: 'QueryNotRegisteredError.message' };
  }
  for (const cause of chain(error)) {
    if (cause instanceof ApplicationFailure && cause.type) {
      const [detail] = (cause.details ?? []) as { field?: string }[];
      return { code: cause.type, field: detail?.field ?? '', where: `${errorNames(error)}.type` };
    }
  }
  return undefined;
}

/** The names of an error and its causes. */
export function errorNames(error: unknown): string {
  return chain(error)
    .map((cause) => cause.name)
    .join(' > ');
}

function chain(error: unknown): Error[] {
  return error instanceof Error ? [error, ...chain(error.cause)] : [];
}
