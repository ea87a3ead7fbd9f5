import type { Attributes, Span } from '../api/types';
import { To } from '../app/navigation';
import { useI18n } from '../i18n';
import { term } from '../state/filter';
import { isError } from '../state/trace';
import { CopyButton } from './copy';
import { type Field, FieldList, valueText } from './FieldList';
import { Dot } from './marks';
import { SidePanel } from './SidePanel';

const fieldsOf = (attributes: Attributes | undefined): Field[] =>
  Object.entries(attributes ?? {})
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, value]) => ({ name, value }));

export function SpanDetail({
  span,
  traceId,
  slot,
  onClose,
}: {
  span: Span;
  traceId: string;
  slot: number;
  onClose: () => void;
}) {
  const { t, duration } = useI18n();
  const failed = isError(span);
  return (
    <SidePanel
      title={
        <>
          <Dot slot={slot} /> <span title={span.name}>{span.name}</span>
        </>
      }
      actions={<CopyButton text={JSON.stringify(span, null, 2)} label={t('logs.copyJson')} />}
      onClose={onClose}
    >
      <dl className="facts-grid">
        <div>
          <dt>{t('column.duration')}</dt>
          <dd className="num">{duration(span.duration_ms)}</dd>
        </div>
        <div>
          <dt>{t('trace.self')}</dt>
          <dd className="num">{duration(span.self_ms)}</dd>
        </div>
        <div>
          <dt>{t('trace.start')}</dt>
          <dd className="num">+{duration(Math.max(0, span.start_offset_ms))}</dd>
        </div>
        <div>
          <dt>{t('column.kind')}</dt>
          <dd>{span.kind}</dd>
        </div>
      </dl>
      {failed ? (
        <p className="callout" data-tone="crit">
          <b>✕ {t('trace.failed')}</b> {span.status_message}
        </p>
      ) : null}
      {span.anomaly ? (
        <p className="callout" data-tone="warn">
          <b>▲</b> {span.anomaly}
        </p>
      ) : null}
      <div className="detail-actions">
        <To path={`/services/${encodeURIComponent(span.service)}`} className="link">
          {span.service}
        </To>
        <To
          path="/traces"
          search={{ q: `${term('service', span.service)} ${term('name', span.name)}` }}
          className="link"
        >
          {t('trace.sameOperation')}
        </To>
        <To path="/logs" search={{ q: term('span_id', span.span_id) }} className="link">
          {t('trace.spanLogs')}
        </To>
      </div>
      {span.events?.length ? (
        <section className="fields">
          <h3>{t('trace.events')}</h3>
          {span.events.map((event, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: events have no id
            <details key={i} className="event" open={span.events?.length === 1}>
              <summary>
                <b>{event.name}</b> <span className="faint num">+{duration(Math.max(0, event.offset_ms))}</span>
              </summary>
              <dl>
                {Object.entries(event.attributes ?? {}).map(([name, value]) => (
                  <div key={name} className="field">
                    <dt title={name}>{name}</dt>
                    <dd className="keep-lines">{valueText(value)}</dd>
                  </div>
                ))}
              </dl>
            </details>
          ))}
        </section>
      ) : null}
      {span.links?.length ? (
        <section className="fields">
          <h3>{t('trace.links')}</h3>
          <ul className="plain">
            {span.links.map((link) => (
              <li key={`${link.trace_id}${link.span_id}`}>
                <To path={`/traces/${link.trace_id}`} search={{ sel: link.span_id }} className="link mono">
                  {link.trace_id.slice(0, 16)}… / {link.span_id}
                </To>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      <FieldList title={t('logs.attributes')} fields={fieldsOf(span.attributes)} />
      <FieldList title={t('logs.resource')} fields={fieldsOf(span.resource_attributes)} />
      <FieldList
        title={t('trace.identity')}
        fields={[
          { name: 'trace_id', value: traceId },
          { name: 'span_id', value: span.span_id },
          ...(span.parent_span_id ? [{ name: 'parent_span_id', value: span.parent_span_id }] : []),
          { name: 'start_time', value: span.start_time },
          ...(span.clock_shift_ms ? [{ name: 'clock_shift', value: duration(span.clock_shift_ms) }] : []),
          { name: 'status', value: span.status_code },
          ...(span.scope_name ? [{ name: 'scope', value: span.scope_name }] : []),
        ]}
      />
    </SidePanel>
  );
}
