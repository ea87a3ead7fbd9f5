/** JSON shapes of objectives, alerts, incidents, causes, changes and the map, as `ui/src/wire.rs` writes them. */
import type { Json, Service, Stats } from './types';

/** A text in both languages of the UI. */
export interface Texts {
  en: string;
  zh: string;
}

export type SloState = 'ok' | 'burning' | 'exhausted' | 'no_traffic' | 'missing_data';
export type Severity = 'page' | 'ticket';

/** One pair of windows of a burn-rate alert. A rate of 1 spends the whole budget in exactly the window. */
export interface BurnPair {
  severity: Severity;
  short_window_seconds: number;
  long_window_seconds: number;
  factor: number;
  short: number | null;
  long: number | null;
  firing: boolean;
}

export interface Slo {
  id: string;
  slo: string;
  display_name?: string | null;
  description?: string | null;
  service: string;
  operation: string | null;
  indicator: { kind: 'availability' | 'latency'; threshold_ms: number | null };
  target_ratio: number;
  window_seconds: number;
  budgeting_method: string;
  state: SloState;
  sli: number | null;
  good: number;
  total: number;
  /** Negative when overspent. */
  budget_left_ratio: number | null;
  burn_rates: BurnPair[];
  /** When the budget is spent at the present speed. */
  exhausted_at: string | null;
  evaluated_at: string;
  incident_id: string | null;
  slot: number;
}
export interface ObjectiveFile {
  path: string;
  objectives: number;
  error: { line: number | null; column: number | null; field: string | null; message: string } | null;
  loaded_at: string;
}
export interface SlosAnswer {
  slos: Slo[];
  files: ObjectiveFile[];
  evaluated_at: string | null;
}

export interface Notification {
  receiver: string;
  /** What it is about. */
  event?: 'firing' | 'resolved';
  state: 'delivered' | 'waiting' | 'failed';
  attempts: number;
  at: string;
  error: string | null;
}
export interface Alert {
  id: string;
  slo: string;
  service: string;
  severity: Severity;
  state: 'firing' | 'resolved';
  started_at: string;
  resolved_at: string | null;
  short_window_seconds: number;
  long_window_seconds: number;
  factor: number;
  burn_short: number | null;
  burn_long: number | null;
  incident_id: string | null;
  summary: Texts;
  notifications: Notification[];
}
export interface SloDetail extends Slo {
  definition: string;
  source: string;
  history: { timestamp: string; sli: number | null; budget_left_ratio: number | null; good: number; total: number }[];
  alerts: Alert[];
  spend: { cause: string | null; incident_id: string | null; share: number }[];
}

export interface Indicator {
  kind: string;
  name: string;
}
export type CauseState = 'running' | 'found' | 'none' | 'not_enough_data' | 'failed';
export interface Incident {
  id: string;
  state: 'open' | 'resolved';
  severity: Severity;
  started_at: string;
  resolved_at: string | null;
  title: Texts;
  /** Where people notice it; the cause may be another service. */
  service: string;
  services: string[];
  alert_count: number;
  cause: {
    state: CauseState;
    report_id: string | null;
    service: string | null;
    indicator: Indicator | null;
    confidence: number | null;
    summary: Texts | null;
  };
  slot: number;
}
export interface IncidentsAnswer {
  incidents: Incident[];
}
export type EventKind = 'alert_firing' | 'alert_resolved' | 'change' | 'onset' | 'report' | 'notification' | 'note';
export interface TimelineEvent {
  timestamp: string;
  kind: EventKind;
  title: Texts;
  service: string | null;
  link: string | null;
}
export interface IncidentDetail extends Incident {
  alerts: Alert[];
  timeline: TimelineEvent[];
  report: Cause | null;
}

export interface TimeSpan {
  from: string;
  to: string;
}
export interface Evidence {
  family: string;
  text: string;
  texts?: Texts | null;
  query: string;
  link: string | null;
  value: number | null;
  expected: number | null;
  unit: string | null;
  contradicts: boolean;
  result?: { columns: (string | { name: string })[]; rows: Json[][] } | null;
}
export interface Candidate {
  rank: number;
  service: string;
  slot: number;
  indicator: Indicator;
  score: number;
  first_deviation: string | null;
  evidence: Evidence[];
  /** From where it was noticed to where it began. */
  path: string[];
  scope: { attribute: string; value: string; bad_ratio: number; good_ratio: number; count: number }[];
}
export interface Change {
  id: string;
  time: string;
  service: string;
  kind: string;
  version: string | null;
  version_from: string | null;
  author: string | null;
  link: string | null;
  message: string | null;
  source: string;
}
export interface Cause {
  id: string;
  created_at: string;
  service: string | null;
  slo: string | null;
  window: TimeSpan;
  baseline: TimeSpan;
  onset: TimeSpan | null;
  outcome: 'found' | 'none' | 'not_enough_data';
  confidence: number | null;
  candidates: Candidate[];
  impact: { calls: number; failed: number; slow: number; error_budget_spent_ratio: number | null };
  changes: Change[];
  notes: Texts[];
  report: Texts;
  stats: { elapsed_ms: number; spans: number; logs: number; points: number; sampled: boolean };
}
export interface CauseSummary {
  id: string;
  created_at: string;
  service: string | null;
  outcome: Cause['outcome'];
  top: { service: string; indicator: Indicator } | null;
  confidence: number | null;
}

export type NodeKind = 'service' | 'database' | 'messaging' | 'external';
export type Health = 'ok' | 'warn' | 'crit' | 'unknown';
export interface MapNode {
  name: string;
  kind: NodeKind;
  slot: number | null;
  calls: number;
  rate: number;
  errors: number;
  error_ratio: number | null;
  p95_ms: number | null;
  state: Health;
  incident_id: string | null;
  /** Resource attributes to group by, where the server tells them. */
  labels?: { [key: string]: string };
}
export interface MapEdge {
  caller: string;
  callee: string;
  callee_kind: NodeKind;
  calls: number;
  rate: number;
  errors: number;
  error_ratio: number | null;
  client_p95_ms: number | null;
  server_p95_ms: number | null;
  previous: { rate: number; error_ratio: number | null; client_p95_ms: number | null } | null;
  exemplar_trace_id: string | null;
}
export interface MapAnswer {
  nodes: MapNode[];
  edges: MapEdge[];
  stats?: Stats;
}

export interface Operation {
  name: string;
  kind: string;
  calls: number;
  rate: number;
  errors: number;
  error_ratio: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  previous: { rate: number; error_ratio: number | null; p95_ms: number | null } | null;
  exemplar_trace_id: string | null;
}
export interface Pattern {
  pattern_id: string;
  template: string;
  severity: string;
  records: number;
  new: boolean;
  first_seen: string;
}
export interface ServiceAnswer {
  service: Service;
  series: {
    start: string;
    step_ms: number;
    calls: (number | null)[];
    errors: (number | null)[];
    p50_ms: (number | null)[];
    p95_ms: (number | null)[];
    p99_ms: (number | null)[];
  };
  operations: Operation[];
  callers: MapEdge[];
  callees: MapEdge[];
  versions: { version: string; first_seen: string; last_seen: string; calls: number }[];
  changes: Change[];
  patterns: Pattern[];
  slos: Slo[];
  incidents: Incident[];
  stats?: Stats;
}
