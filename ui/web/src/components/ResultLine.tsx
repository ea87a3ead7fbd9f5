import type { ReactNode } from 'react';
import type { Stats } from '../api/types';
import { useI18n } from '../i18n';

/** What the answer is worth and what it cost: exact or partial, rows, scanned, time. */
export function ResultLine({
  stats,
  lead,
  running = false,
  onCancel,
  children,
}: {
  stats: Stats | undefined;
  lead?: ReactNode;
  running?: boolean;
  onCancel?: () => void;
  children?: ReactNode;
}) {
  const { t, num, bytes, duration } = useI18n();
  const partial = stats?.complete === false;
  const facts: string[] = [];
  if (stats?.rows_scanned !== undefined) facts.push(t('result.scanned', { n: num(stats.rows_scanned) }));
  if (stats?.bytes_scanned) facts.push(bytes(stats.bytes_scanned));
  if (stats?.segments_scanned !== undefined)
    facts.push(t('result.segments', { n: num(stats.segments_scanned), pruned: num(stats.segments_pruned ?? 0) }));
  if (stats?.elapsed_ms !== undefined) facts.push(duration(stats.elapsed_ms));
  return (
    <div className="result" role="status" aria-live="polite">
      {running ? <span className="pulse" aria-hidden="true" /> : null}
      {lead ? <span className="result-lead num">{lead}</span> : null}
      {stats ? (
        <span
          className="exactness"
          data-partial={partial || undefined}
          title={t(partial ? 'result.partial.help' : 'result.exact.help')}
        >
          {partial ? '▲ ' : ''}
          {t(partial ? 'result.partial' : 'result.exact')}
        </span>
      ) : null}
      {facts.length ? <span className="num facts">{facts.join(' · ')}</span> : null}
      {running && onCancel ? (
        <button type="button" className="link" onClick={onCancel}>
          {t('action.cancel')}
        </button>
      ) : null}
      <span className="grow" />
      {children}
    </div>
  );
}
