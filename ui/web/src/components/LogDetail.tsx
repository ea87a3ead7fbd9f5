import { Button } from '@mantine/core';
import { useState } from 'react';
import type { Attributes, LogRow } from '../api/types';
import { To } from '../app/navigation';
import { severityOf } from '../design/tokens';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { bodyPretty, useLogRecord } from '../screens/logs';
import { term } from '../state/filter';
import { CopyButton } from './copy';
import { type Field, FieldList } from './FieldList';
import { SeverityMark, useSeverityName } from './marks';
import { SidePanel } from './SidePanel';

const AROUND_MS = 30_000;

const attributeFields = (attributes: Attributes | undefined, prefix: string): Field[] =>
  Object.entries(attributes ?? {})
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, value]) => ({ name, value, filter: `${prefix}.${name}` }));

/** Everything that is known of one log record, each value with + and - for the filter. */
export function LogDetail({
  row,
  onClose,
  onFilter,
}: {
  row: LogRow;
  onClose: () => void;
  onFilter?: (field: string, value: string, exclude: boolean) => void;
}) {
  const { t, dateTime } = useI18n();
  const severityName = useSeverityName();
  const [full, setFull] = useState(false);
  const whole = useLogRecord(row.id, true, full && Boolean(row.body_truncated));
  const severity = severityOf(row.severity_number);
  const at = epochMs(row.timestamp);
  const known = (value: string | null | undefined): value is string => Boolean(value);
  const record: Field[] = [
    { name: 'timestamp', value: row.timestamp },
    ...(known(row.observed_timestamp) && row.observed_timestamp !== row.timestamp
      ? [{ name: 'observed_timestamp', value: row.observed_timestamp }]
      : []),
    { name: 'severity', value: `${row.severity_text || severityName(severity)} (${row.severity_number})` },
    {
      name: 'service',
      value: row.service,
      filter: 'service',
      link: (
        <To path={`/services/${encodeURIComponent(row.service)}`} className="link">
          {row.service}
        </To>
      ),
    },
    ...(known(row.event_name) ? [{ name: 'event_name', value: row.event_name, filter: 'event_name' }] : []),
    ...(known(row.trace_id)
      ? [
          {
            name: 'trace_id',
            value: row.trace_id,
            filter: 'trace_id',
            link: (
              <To path={`/traces/${row.trace_id}`} search={{ sel: row.span_id ?? undefined }} className="link mono">
                {row.trace_id}
              </To>
            ),
          },
        ]
      : []),
    ...(known(row.span_id) ? [{ name: 'span_id', value: row.span_id, filter: 'span_id' }] : []),
    ...(known(row.scope_name)
      ? [{ name: 'scope', value: [row.scope_name, row.scope_version].filter(Boolean).join(' ') }]
      : []),
  ];
  return (
    <SidePanel
      title={
        <>
          <SeverityMark severity={severity} /> <span className="num">{dateTime(row.timestamp)}</span>
        </>
      }
      actions={<CopyButton text={JSON.stringify(row, null, 2)} label={t('logs.copyJson')} />}
      onClose={onClose}
    >
      <div className="detail-actions">
        {row.trace_id ? (
          <Button component="div" size="compact-xs" variant="light" p={0}>
            <To path={`/traces/${row.trace_id}`} search={{ sel: row.span_id ?? undefined }} className="button-link">
              {t('logs.viewTrace')} <span className="mono">{row.trace_id.slice(0, 8)}</span>
            </To>
          </Button>
        ) : null}
        <To
          path="/logs"
          search={{
            q: term('service', row.service),
            from: String(Math.floor(at - AROUND_MS)),
            to: String(Math.ceil(at + AROUND_MS)),
            sel: row.id,
          }}
          className="link"
        >
          {t('logs.around')}
        </To>
      </div>
      <pre className="body-text">{bodyPretty(whole.data?.body ?? row.body)}</pre>
      {row.body_truncated && !whole.data ? (
        <p className="hint">
          {t('logs.truncated')}{' '}
          <button type="button" className="link" onClick={() => setFull(true)} disabled={whole.isFetching}>
            {t('logs.wholeText')}
          </button>
        </p>
      ) : null}
      <FieldList title={t('logs.record')} fields={record} {...(onFilter ? { onFilter } : {})} />
      <FieldList
        title={t('logs.attributes')}
        fields={attributeFields(row.attributes, 'attributes')}
        {...(onFilter ? { onFilter } : {})}
      />
      <FieldList
        title={t('logs.resource')}
        fields={attributeFields(row.resource_attributes, 'resource')}
        {...(onFilter ? { onFilter } : {})}
      />
      <FieldList
        title={t('logs.scope')}
        fields={attributeFields(row.scope_attributes, 'scope')}
        {...(onFilter ? { onFilter } : {})}
      />
    </SidePanel>
  );
}
