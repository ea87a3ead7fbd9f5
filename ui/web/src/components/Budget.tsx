import type { BurnPair, Slo } from '../api/reliability';
import { STATUS_GLYPH, type Status } from '../design/tokens';
import { type Key, useI18n } from '../i18n';
import { type PairState, pairState, sloStatus, stateOf } from '../state/burn';
import './reliability.css';
import { pairText, severityKey, span } from './words';

const STATE: Record<Slo['state'], Key> = {
  ok: 'slo.state.ok',
  burning: 'slo.state.burning',
  exhausted: 'slo.state.exhausted',
  no_traffic: 'slo.state.no_traffic',
  missing_data: 'slo.state.missing_data',
};

export function SloMark({ slo, named = false }: { slo: Slo; named?: boolean }) {
  const { t } = useI18n();
  const status = sloStatus(slo);
  const name = t(STATE[stateOf(slo)]);
  return named ? (
    <span className="status" data-status={status}>
      <b aria-hidden="true">{STATUS_GLYPH[status]}</b> {name}
    </span>
  ) : (
    <span className="state-word" data-status={status}>
      <b aria-hidden="true">{STATUS_GLYPH[status]}</b> {name}
    </span>
  );
}

/** How much of the error budget is left, as a bar and a number; an overspent budget grows to the left of zero. */
export function BudgetBar({ slo }: { slo: Slo }) {
  const { t, num, percent } = useI18n();
  const left = slo.budget_left_ratio;
  // A budget spent ten times over is told in budgets: its percentage would not fit, nor say more.
  const overspent = (spent: number) => (spent < 10 ? `−${percent(spent)}` : `−${num(Math.round(spent))}×`);
  if (left === null) return <span className="faint no-budget">–</span>;
  const status = sloStatus(slo);
  return (
    <span className="budget" title={t(left < 0 ? 'slo.overspent' : 'slo.left', { left: percent(Math.abs(left)) })}>
      <i aria-hidden="true">
        <b
          data-status={left <= 0 ? 'crit' : status === 'unknown' ? 'unknown' : left < 0.25 ? 'warn' : 'ok'}
          style={{ width: `${Math.max(2, Math.min(1, Math.abs(left)) * 100)}%` }}
        />
      </i>
      <span className={left <= 0 ? 'crit-text' : ''}>{left < 0 ? overspent(-left) : percent(left)}</span>
    </span>
  );
}

/** Only what fires is marked as bad: an objective that is on track has no warnings in its table. */
function pairStatus(pair: BurnPair, state: PairState): Status {
  if (state === 'firing') return pair.severity === 'page' ? 'crit' : 'warn';
  return state === 'calm' ? 'ok' : 'unknown';
}

/** Both windows of every alert in numbers and words; the words come from the same decision as the state. */
export function BurnTable({ slo }: { slo: Slo }) {
  const i18n = useI18n();
  const { t, num } = i18n;
  const rate = (value: number | null, factor: number) => (
    <span className={value !== null && value >= factor ? 'strong' : 'ink2'}>
      {value === null ? '–' : `×${num(value, 1)}`}
    </span>
  );
  return (
    <table className="plain-rows burn">
      <thead>
        <tr>
          <th scope="col">{t('burn.alert')}</th>
          <th scope="col">{t('burn.threshold')}</th>
          <th scope="col">{t('burn.shortWindow')}</th>
          <th scope="col">{t('burn.longWindow')}</th>
          <th scope="col" className="words">
            {t('burn.meaning')}
          </th>
        </tr>
      </thead>
      <tbody>
        {slo.burn_rates.map((pair) => {
          const state = pairState(pair);
          return (
            <tr key={`${pair.severity} ${pair.long_window_seconds}`}>
              <td>{t(severityKey(pair.severity))}</td>
              <td className="num">×{num(pair.factor, 1)}</td>
              <td className="num">
                {rate(pair.short, pair.factor)} <span className="faint">{span(i18n, pair.short_window_seconds)}</span>
              </td>
              <td className="num">
                {rate(pair.long, pair.factor)} <span className="faint">{span(i18n, pair.long_window_seconds)}</span>
              </td>
              <td className="words">
                <span className="glyph" data-status={pairStatus(pair, state)} aria-hidden="true">
                  {STATUS_GLYPH[pairStatus(pair, state)]}
                </span>{' '}
                {pairText(i18n, pair, state)}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
