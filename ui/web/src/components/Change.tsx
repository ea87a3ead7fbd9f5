import { useI18n } from '../i18n';
import { ratioTo, SLOWER_FACTOR } from '../state/health';

/** p95 against the period before: `×2.1` when it grew, `−12%` when it is a small change. */
export function Change({ now, before }: { now: number | null; before: number | null | undefined }) {
  const { num, percent } = useI18n();
  const change = ratioTo(now, before);
  if (change === null) return <span className="faint">–</span>;
  const worse = change >= SLOWER_FACTOR;
  const signed = (by: number): string => `${by > 0 ? '+' : by < 0 ? '−' : '±'}${percent(Math.abs(by))}`;
  const text = change >= SLOWER_FACTOR ? `×${num(change, 1)}` : signed(Math.round((change - 1) * 100) / 100);
  return (
    <span className={worse ? 'warn-text' : 'faint'}>
      {worse ? '▲ ' : ''}
      {text}
    </span>
  );
}
