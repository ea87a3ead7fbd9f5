/** JSON shapes of the server's HTTP API, as `ui/src/wire.rs` writes them. */

/** RFC 9457 problem body. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  /** Byte offset in the query text that the error is about. */
  position?: number;
  hint?: string;
}

/** What an answer cost and whether it is whole. */
export interface Stats {
  rows?: number;
  elapsed_ms?: number;
  rows_scanned?: number;
  bytes_scanned?: number;
  segments_scanned?: number;
  segments_pruned?: number;
  memory_peak_bytes?: number;
  complete?: boolean;
}

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Attributes = { [key: string]: Json };

export interface TableStatus {
  name: string;
  segments: number;
  segment_rows: number;
  segment_bytes: number;
  memtable_rows: number;
  memtable_bytes: number;
  oldest?: string | null;
  newest?: string | null;
}
export interface SignalCounts {
  received: number;
  accepted: number;
  rejected: number;
  duplicate: number;
}
export interface ServerStatus {
  version: string;
  commit?: string | null;
  started_at: string;
  uptime_seconds: number;
  roles: string[];
  ready: boolean;
  listeners: { http?: string | null; otlp_grpc?: string | null; otlp_http?: string | null };
  storage: {
    tables: TableStatus[];
    wal_bytes: number;
    disk_free_bytes?: number | null;
    disk_used_bytes?: number | null;
  };
  ingest: { [signal: string]: SignalCounts };
  memory: { budget_bytes?: number | null; rss_bytes?: number | null };
  limits?: { [name: string]: Json };
}

export interface Sparkline {
  start: string;
  step_ms: number;
  calls: (number | null)[];
  errors: (number | null)[];
  p95_ms: (number | null)[];
}
export interface Service {
  name: string;
  /** Requests per second that reach the service (spans of kind server and consumer; root spans where it has none). */
  rate: number;
  calls: number;
  errors: number;
  error_ratio: number | null;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
  previous: { rate: number; error_ratio: number | null; p95_ms: number | null } | null;
  sparkline?: Sparkline | null;
  version?: string | null;
  log_errors?: number | null;
  slot: number;
}
export interface ServicesAnswer {
  services: Service[];
  stats?: Stats;
}

export interface LogRow {
  id: string;
  timestamp: string;
  observed_timestamp?: string | null;
  severity_number: number;
  severity_text?: string | null;
  service: string;
  body: Json;
  body_truncated?: boolean;
  event_name?: string | null;
  trace_id?: string | null;
  span_id?: string | null;
  flags?: number;
  scope_name?: string | null;
  scope_version?: string | null;
  attributes?: Attributes;
  resource_attributes?: Attributes;
  scope_attributes?: Attributes;
}
export interface LogPage {
  rows: LogRow[];
  next_cursor?: string | null;
  stats?: Stats;
}
export interface HistogramAnswer {
  start: string;
  step_ms: number;
  series: { severity: string; counts: number[] }[];
  total: number;
  stats?: Stats;
}
export interface FieldsAnswer {
  /** A `sampled` field was counted in `sampled_rows` of the newest records only. */
  fields: { name: string; sampled?: boolean; values: { value: Json; count: number }[] }[];
  sampled_rows?: number;
  stats?: Stats;
}

export interface TraceSummary {
  trace_id: string;
  start_time: string;
  duration_ms: number;
  root_service: string | null;
  root_name: string | null;
  span_count: number;
  error_count: number;
  services: { name: string; slot?: number; spans: number }[];
  matched?: { span_id: string; service: string; name: string; duration_ms: number } | null;
}
export interface TracesAnswer {
  traces: TraceSummary[];
  stats?: Stats;
}

export interface SpanEvent {
  timestamp: string;
  offset_ms: number;
  name: string;
  attributes?: Attributes;
}
export interface SpanLink {
  trace_id: string;
  span_id: string;
  trace_state?: string | null;
  attributes?: Attributes;
}
export interface Span {
  span_id: string;
  parent_span_id: string | null;
  name: string;
  kind: string;
  service: string;
  start_time: string;
  /** From the start of the trace, corrected for clock skew between hosts. */
  start_offset_ms: number;
  /** What the clock correction added. */
  clock_shift_ms?: number;
  duration_ms: number;
  self_ms: number;
  status_code: string;
  status_message?: string | null;
  depth: number;
  critical: boolean;
  attributes?: Attributes;
  resource_attributes?: Attributes;
  scope_name?: string | null;
  events?: SpanEvent[];
  links?: SpanLink[];
  anomaly?: string | null;
}
export interface Trace {
  trace_id: string;
  start_time: string;
  duration_ms: number;
  services: { name: string; slot: number; spans: number }[];
  /** Parents before children, siblings by start. */
  spans: Span[];
  gaps?: Json[];
  notes?: string[];
  stats?: Stats;
}

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: Json[][];
  stats?: Stats;
  /** Why the rows end early. */
  error?: Problem;
}
export interface SqlSchema {
  tables: {
    name: string;
    description?: string | null;
    columns: { name: string; type: string; description?: string | null }[];
    attribute_keys?: (string | { name: string })[];
  }[];
}
