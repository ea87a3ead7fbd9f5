import { type Key, useI18n } from '../i18n';
import './reliability.css';

const word = (confidence: number): Key =>
  confidence >= 0.7 ? 'cause.high' : confidence >= 0.4 ? 'cause.medium' : 'cause.low';

/** How sure the report is: a bar, the number, and with `named` a word. */
export function Confidence({ value, named = false }: { value: number | null; named?: boolean }) {
  const { t, percent } = useI18n();
  if (value === null) return <span className="faint">–</span>;
  const rounded = Math.round(value * 100) / 100;
  return (
    <span className="confidence" title={t('cause.confidence', { n: percent(rounded) })}>
      <i aria-hidden="true">
        <b style={{ width: `${rounded * 100}%` }} />
      </i>
      <span className="num">{percent(rounded)}</span>
      {named ? <span className="faint">{t(word(value))}</span> : null}
    </span>
  );
}
