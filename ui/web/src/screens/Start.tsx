import '@mantine/core/styles/Tabs.css';
import { Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { postJson } from '../api/client';
import type { ServerStatus, SqlAnswer } from '../api/types';
import { To } from '../app/navigation';
import { CopyButton } from '../components/copy';
import { StatusMark } from '../components/marks';
import { Panel } from '../components/Panel';
import { StateView } from '../components/StateView';
import type { Status } from '../design/tokens';
import { type Key, useI18n } from '../i18n';
import { NOTHING, rates, type Sample, SIGNALS } from '../state/arrival';
import { SIGNAL_NAME } from './Ingest';
import { useArrival } from './useArrival';

/** Commands that send telemetry to this server, with its real addresses. */
export function commandsFor(grpc: string, http: string): Record<'curl' | 'sdk' | 'collector' | 'demo', string> {
  return {
    curl: `curl -sS http://${http}/v1/logs -H 'Content-Type: application/json' -d '{
  "resourceLogs": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "hello"}}]},
    "scopeLogs": [{"logRecords": [{
      "timeUnixNano": "'"$(date +%s)"'000000000", "severityNumber": 9, "severityText": "INFO",
      "body": {"stringValue": "hello from curl"}
    }]}]
  }]
}'`,
    sdk: `export OTEL_SERVICE_NAME=my-service
export OTEL_EXPORTER_OTLP_ENDPOINT=http://${grpc}
export OTEL_EXPORTER_OTLP_PROTOCOL=grpc
# over HTTP instead:
# export OTEL_EXPORTER_OTLP_ENDPOINT=http://${http}
# export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`,
    collector: `exporters:
  otlp/rootline:
    endpoint: ${grpc}
    compression: zstd
    tls:
      insecure: true
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp/rootline]}
    traces: {receivers: [otlp], exporters: [otlp/rootline]}
    metrics: {receivers: [otlp], exporters: [otlp/rootline]}`,
    demo: `rootline demo --target ${grpc}`,
  };
}

const TABS: readonly ['curl' | 'sdk' | 'collector' | 'demo', Key][] = [
  ['curl', 'start.curl'],
  ['sdk', 'start.sdk'],
  ['collector', 'start.collector'],
  ['demo', 'start.demo'],
];

function Strip({ status, samples }: { status: ServerStatus; samples: readonly Sample[] }) {
  const { t, num, perSecond } = useI18n();
  const links: Record<string, string> = { logs: '/logs', spans: '/traces', metrics: '/sql' };
  return (
    <ul className="strip" aria-live="polite">
      {SIGNALS.map((signal) => {
        const counts = status.ingest[signal] ?? NOTHING;
        const rate = rates(samples.slice(-4), signal);
        const recent = rate.length ? rate.reduce((a, b) => a + b, 0) / rate.length : 0;
        const state: Status = counts.accepted
          ? counts.rejected > counts.accepted
            ? 'warn'
            : 'ok'
          : counts.rejected
            ? 'crit'
            : 'unknown';
        return (
          <li key={signal} data-status={state} data-signal={signal}>
            <StatusMark status={state} />
            <b>{t(SIGNAL_NAME[signal])}</b>
            <span className="num">
              {counts.accepted
                ? t('start.arrived', { n: num(counts.accepted) })
                : t(counts.rejected ? 'start.onlyRejected' : 'start.waiting')}
            </span>
            {counts.rejected ? (
              <span className="crit-text num">✕ {t('ingest.rejected', { n: num(counts.rejected) })}</span>
            ) : null}
            <span className="grow" />
            {recent ? <span className="num faint">{perSecond(recent)}</span> : null}
            {counts.accepted ? (
              <To path={links[signal] ?? '/'} className="link">
                {t('start.look')}
              </To>
            ) : null}
          </li>
        );
      })}
    </ul>
  );
}

function SelfCheck({ status }: { status: ServerStatus }) {
  const { t, bytes, duration, num } = useI18n();
  const query = useQuery({
    queryKey: ['self-check'],
    queryFn: async ({ signal }) => {
      const start = performance.now();
      const answer = await postJson<SqlAnswer>(
        '/api/sql',
        { query: 'SELECT count(*) FROM logs', from: 'now-15m', to: 'now' },
        signal,
      );
      return { ms: performance.now() - start, rows: Number(answer.rows[0]?.[0] ?? 0) };
    },
    refetchInterval: 10_000,
    retry: false,
  });
  const { listeners, storage, ingest } = status;
  const receivers = [listeners.otlp_grpc, listeners.otlp_http].filter(Boolean);
  const accepted = SIGNALS.reduce((sum, signal) => sum + (ingest[signal]?.accepted ?? 0), 0);
  const stored = storage.tables.reduce((sum, table) => sum + table.segment_rows + table.memtable_rows, 0);
  const low = (storage.disk_free_bytes ?? Number.POSITIVE_INFINITY) < 2 ** 30;
  const stages: [Key, Status, string][] = [
    ['check.ready', status.ready ? 'ok' : 'warn', t(status.ready ? 'ingest.ready' : 'ingest.notReady')],
    ['check.receivers', receivers.length ? 'ok' : 'crit', receivers.join(' · ') || t('ingest.off')],
    [
      'check.disk',
      low ? 'warn' : 'ok',
      storage.disk_free_bytes ? t('check.free', { free: bytes(storage.disk_free_bytes) }) : '–',
    ],
    ['check.received', accepted ? 'ok' : 'unknown', t('check.items', { n: num(accepted) })],
    ['check.stored', stored ? 'ok' : 'unknown', t('logs.rows', { n: num(stored) })],
    [
      'check.query',
      query.error ? 'crit' : query.data ? 'ok' : 'unknown',
      query.error
        ? query.error.message
        : query.data
          ? `${duration(query.data.ms)} · ${t('check.recent', { n: num(query.data.rows) })}`
          : '…',
    ],
  ];
  return (
    <ul className="checks">
      {stages.map(([name, state, text]) => (
        <li key={name}>
          <StatusMark status={state} />
          <b>{t(name)}</b>
          <span className="num faint">{text}</span>
        </li>
      ))}
    </ul>
  );
}

/** Addresses as a client on another host or in a container would have to write them are not known here: the listener's are shown. */
export function Start() {
  const { t } = useI18n();
  const { asked, samples } = useArrival();
  return (
    <div className="screen narrow">
      <div className="crumb">
        <h1>{t('start.title')}</h1>
      </div>
      <p className="lead">{t('start.lead')}</p>
      <StateView asked={asked}>
        {(status) => {
          const commands = commandsFor(
            status.listeners.otlp_grpc ?? '127.0.0.1:4317',
            status.listeners.otlp_http ?? '127.0.0.1:4318',
          );
          return (
            <>
              <Panel title={t('start.arrivals')}>
                <Strip status={status} samples={samples} />
              </Panel>
              <Panel title={t('start.send')}>
                <Tabs defaultValue="curl" className="tabs">
                  <Tabs.List>
                    {TABS.map(([value, name]) => (
                      <Tabs.Tab key={value} value={value}>
                        {t(name)}
                      </Tabs.Tab>
                    ))}
                  </Tabs.List>
                  {TABS.map(([value, name]) => (
                    <Tabs.Panel key={value} value={value}>
                      <div className="command">
                        <pre tabIndex={0}>{commands[value]}</pre>
                        <CopyButton text={commands[value]} label={`${t('action.copy')}: ${t(name)}`} />
                      </div>
                    </Tabs.Panel>
                  ))}
                </Tabs>
              </Panel>
              <Panel title={t('start.check')}>
                <SelfCheck status={status} />
              </Panel>
            </>
          );
        }}
      </StateView>
    </div>
  );
}
