export { ChatSessions } from "./chat_sessions.js";
export { JourneyError, type Outcome } from "./errors.js";
export type { FollowedSession, SessionAsFollowed, TranscriptMessage } from "./folding.js";
export type { Followed } from "./following.js";
export type * from "./schema.js";
export type { ConnectionOptions } from "./transport.js";
