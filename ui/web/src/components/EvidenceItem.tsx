import { useState } from 'react';
import type { Evidence, TimeSpan } from '../api/reliability';
import { To } from '../app/navigation';
import { type Key, useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { columnNames, columnPeak, factorOf, isWebLink, placeOfLink } from '../state/cause';
import { cellText } from '../state/table';
import { CopyButton } from './copy';
import { PlaceLink } from './PlaceLink';
import { amount, familyText, textOf } from './words';

const MOST_ROWS = 20;

/** What a link shows, said before it is followed. */
function linkKey(link: string): Key {
  const path = placeOfLink(link)?.path ?? '';
  if (path.startsWith('/traces/')) return 'evidence.openTrace';
  if (path.startsWith('/traces')) return 'evidence.openTraces';
  if (path.startsWith('/logs')) return 'evidence.openLogs';
  if (path.startsWith('/services/')) return 'evidence.openService';
  if (path.startsWith('/sql')) return 'evidence.openSql';
  return 'evidence.open';
}

/** The value above what was expected, as two bars on one scale. */
function Against({ evidence }: { evidence: Evidence }) {
  const i18n = useI18n();
  const { t, num } = i18n;
  const { value, expected, unit } = evidence;
  // That there was a change is no amount.
  if (value === null || (evidence.family === 'change' && unit === 'count')) return <span className="against" />;
  const factor = factorOf(evidence);
  const most = Math.max(Math.abs(value), Math.abs(expected ?? 0)) || 1;
  return (
    <span className="against">
      <span className="num">
        <b>{amount(i18n, value, unit)}</b>
        {expected === null ? null : (
          <span className="faint"> {t('evidence.expected', { value: amount(i18n, expected, unit) })}</span>
        )}
      </span>
      {expected === null ? null : (
        <span className="against-bars" aria-hidden="true">
          <i style={{ width: `${(Math.abs(value) / most) * 100}%` }} data-value="" />
          <i style={{ width: `${(Math.abs(expected) / most) * 100}%` }} />
        </span>
      )}
      {factor !== null && (factor >= 1.2 || factor <= 0.8) ? (
        <span className="factor num">×{num(factor, factor < 10 ? 1 : 0)}</span>
      ) : null}
    </span>
  );
}

function Result({ evidence }: { evidence: Evidence }) {
  const { t, num } = useI18n();
  const { result } = evidence;
  if (!result?.rows.length) return <p className="hint">{t('evidence.noRows')}</p>;
  const columns = columnNames(result.columns).map((name, i) => ({ name, peak: columnPeak(result.rows, i) }));
  return (
    <div className="evidence-table">
      <table>
        <thead>
          <tr>
            {columns.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {result.rows.slice(0, MOST_ROWS).map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a stored result never changes its rows
            <tr key={i}>
              {columns.map(({ name, peak }, column) => {
                const cell = row[column];
                return (
                  <td key={name} data-number={peak === null ? undefined : ''}>
                    {peak ? <i style={{ width: `${(Number(cell) / peak) * 100}%` }} aria-hidden="true" /> : null}
                    <span>
                      {typeof cell === 'number' ? num(cell, Math.abs(cell) < 10 ? 3 : 1) : cellText(cell) || '–'}
                    </span>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {result.rows.length > MOST_ROWS ? (
        <p className="hint">{t('more', { n: num(result.rows.length - MOST_ROWS) })}</p>
      ) : null}
    </div>
  );
}

/** One statement of a report with the numbers behind it, the query that gave them, its stored result, and where to look on. */
export function EvidenceItem({
  evidence,
  window,
  open = false,
}: {
  evidence: Evidence;
  window: TimeSpan;
  open?: boolean;
}) {
  const i18n = useI18n();
  const { t } = i18n;
  const [shown, setShown] = useState(open);
  const { link, query } = evidence;
  const leads = link && (placeOfLink(link) || isWebLink(link));
  return (
    <li className="evidence" data-contradicts={evidence.contradicts || undefined}>
      <span
        className="evidence-mark"
        role="img"
        aria-label={t(evidence.contradicts ? 'evidence.against' : 'evidence.for')}
      >
        {evidence.contradicts ? '−' : '+'}
      </span>
      <div className="evidence-main">
        <p>{textOf(i18n, evidence.texts) || evidence.text}</p>
        <p className="evidence-links">
          <span className="faint">{familyText(i18n, evidence.family)}</span>
          {leads ? <PlaceLink link={link}>{t(linkKey(link))}</PlaceLink> : null}
          {query ? (
            <button type="button" className="link" aria-expanded={shown} onClick={() => setShown(!shown)}>
              {t(shown ? 'evidence.hideQuery' : 'evidence.showQuery')}
            </button>
          ) : null}
        </p>
      </div>
      <Against evidence={evidence} />
      {shown && query ? (
        <div className="evidence-query">
          <div className="evidence-sql">
            <pre tabIndex={0}>{query}</pre>
            <span className="evidence-tools">
              <CopyButton text={query} label={t('share.sql')} />
              <To
                path="/sql"
                search={{ sql: query, from: String(epochMs(window.from)), to: String(epochMs(window.to)) }}
                className="link"
              >
                {t('evidence.runAgain')}
              </To>
            </span>
          </div>
          <Result evidence={evidence} />
        </div>
      ) : null}
    </li>
  );
}
