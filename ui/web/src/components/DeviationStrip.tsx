import type { Cause } from '../api/reliability';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { Dot } from './marks';
import { timeTicks } from './ticks';
import { changeText } from './words';

const MOST_ROWS = 6;
const MOST_TICKS = 8;

/** When each candidate first went astray, under the changes of the same time: the order that the report argues with. */
export function DeviationStrip({ cause, selected }: { cause: Cause; selected: number | undefined }) {
  const i18n = useI18n();
  const { t, clock, num } = i18n;
  const [from, to] = [epochMs(cause.window.from), epochMs(cause.window.to)];
  const at = (time: string): number => ((epochMs(time) - from) / Math.max(1, to - from)) * 100;
  const inside = (time: string): boolean => at(time) >= 0 && at(time) <= 100;
  const changes = cause.changes.filter((change) => inside(change.time));
  const rows = cause.candidates.filter((each) => each.first_deviation);
  if (!rows.length && !changes.length) return null;
  const onset = cause.onset && inside(cause.onset.from) ? at(cause.onset.from) : null;
  return (
    <figure className="strip-chart" aria-label={t('cause.order')}>
      <div className="strip-row" data-axis="">
        <span className="strip-name faint">{t('cause.changes')}</span>
        <span className="strip-track">
          {onset === null ? null : <i className="strip-onset" style={{ left: `${onset}%` }} />}
          {changes.map((change) => (
            <span
              key={change.id}
              className="strip-change"
              data-left={at(change.time) > 70 || undefined}
              style={{ left: `${at(change.time)}%` }}
              title={`${clock(change.time)} ${change.service}: ${changeText(i18n, change)}`}
            >
              <b aria-hidden="true">◆</b>
              <span>
                {change.service} {changeText(i18n, change)}
              </span>
            </span>
          ))}
        </span>
      </div>
      {rows.slice(0, MOST_ROWS).map((candidate) => {
        const start = Math.max(0, Math.min(100, at(candidate.first_deviation ?? '')));
        return (
          <div key={candidate.rank} className="strip-row" data-selected={candidate.rank === selected || undefined}>
            <span className="strip-name chip">
              <Dot slot={candidate.slot} />
              <span>{candidate.service}</span>
            </span>
            <span className="strip-track">
              <i
                className="strip-bar"
                data-first={candidate.rank === 1 || undefined}
                style={{ left: `${start}%`, width: `${100 - start}%` }}
              />
              <span className="strip-time num" data-left={start > 85 || undefined} style={{ left: `${start}%` }}>
                {clock(candidate.first_deviation ?? '')}
              </span>
              {onset === null ? null : <i className="strip-onset" style={{ left: `${onset}%` }} />}
            </span>
          </div>
        );
      })}
      <div className="strip-row" data-axis="">
        <span className="strip-name faint">
          {rows.length > MOST_ROWS ? t('more', { n: num(rows.length - MOST_ROWS) }) : ''}
        </span>
        <span className="strip-track strip-ticks">
          {timeTicks(from, to, MOST_TICKS)
            .filter((tick) => (tick - from) / (to - from) > 0.02 && (tick - from) / (to - from) < 0.98)
            .map((tick) => (
              <span key={tick} className="num" style={{ left: `${((tick - from) / (to - from)) * 100}%` }}>
                {clock(tick).slice(0, 5)}
              </span>
            ))}
        </span>
      </div>
    </figure>
  );
}
