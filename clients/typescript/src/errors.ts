import type { ProblemDetails } from "./schema.js";

/** What is known of the change after an error. */
export type Outcome = NonNullable<ProblemDetails["outcome"]>;

type Problem = Pick<ProblemDetails, "code" | "detail" | "status" | "field" | "outcome">;

/** Every error of a call. Programs decide by `code`. */
export class JourneyError extends Error {
  override readonly name = "JourneyError";
  /** The gateway's code; `NO_ANSWER` if no gateway has answered. */
  readonly code: string;
  /** The answer's status; 0 if there was no answer. */
  readonly status: number;
  /** The field of the request that is at fault; empty if no single field is. */
  readonly field: string;
  /** Whether the change that was sent is accepted; undefined if it is refused. */
  readonly outcome: Outcome | undefined;

  constructor({ code, detail, status, field, outcome }: Problem, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.code = code;
    this.status = status;
    this.field = field;
    this.outcome = outcome ?? undefined;
  }
}

/** The error that an answer reports; `NO_ANSWER` if a proxy, and no gateway, wrote the answer. */
export function readError(status: number, body: string, defaultOutcome: Outcome): JourneyError {
  const problem = readProblem(body);
  if (!problem) {
    const detail = `a proxy before the gateway has answered with status ${status}`;
    return new JourneyError({ code: "NO_ANSWER", detail, status, field: "", outcome: defaultOutcome });
  }
  // A gateway that has failed does not know whether the change was made.
  return new JourneyError(status === 500 ? { ...problem, outcome: defaultOutcome } : problem);
}

/** The error if no answer came, or only a part of one. */
export function lostAnswer(url: string, outcome: Outcome, cause: unknown): JourneyError {
  return new JourneyError({ code: "NO_ANSWER", detail: `${url} does not answer`, status: 0, field: "", outcome }, { cause });
}

function readProblem(body: string): ProblemDetails | undefined {
  try {
    const problem: unknown = JSON.parse(body);
    return typeof problem === "object" && problem !== null && "code" in problem ? (problem as ProblemDetails) : undefined;
  } catch {
    return undefined;
  }
}
