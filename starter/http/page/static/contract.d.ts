/** The gateway's answers, as far as the page reads them. */

export interface PageConfig {
  sign_in: 'development' | 'password' | 'platform' | 'none';
  supabase_url: string | null;
  supabase_anon_key: string | null;
  platform_origins: string[];
  agents: string[];
  answering_agents: string[];
  turn_seconds: number;
  temporal_ui_url: string | null;
  temporal_namespace: string;
}

export interface Session {
  chat_session_id: string;
  title: string | null;
  active_agent: string;
  lifecycle_state: 'ACTIVE' | 'ARCHIVED';
  revision: number;
  turn_revision: number;
  message_count: number;
  created_at: string;
  updated_at: string;
  context: Record<string, unknown>;
}

export interface Message {
  id: string;
  role: string | null;
  author: string | null;
  revision: number;
  created_at: string;
  body: Record<string, unknown> | null;
  truncated?: boolean;
}

export interface Change {
  revision: number;
  idempotency_key: string;
  author: string | null;
  active_agent: string;
  applied_at: string;
  turn?: boolean;
  change: {
    context?: Record<string, unknown> | null;
    append?: Record<string, unknown[]> | null;
    active_agent?: string | null;
    merge_strategy?: string;
    messages?: { id: string }[];
    remove_messages?: string[];
    title?: string;
    lifecycle_state?: string;
  };
}

/** A change that waits until the gateway has taken it. */
export interface Unsent {
  key: string;
  who: string;
  session: string;
  at: number;
  change: {
    messages?: { id: string; text: string }[];
    active_agent?: string;
    turn?: boolean;
  };
  /** Why it is not taken, for people. */
  refused?: string;
  /** Whether it may be taken later, as it is. */
  mayRetry?: boolean;
}
