import type { ServiceAnswer } from '../api/reliability';
import { To } from '../app/navigation';
import { SeverityMark } from '../components/marks';
import { Panel } from '../components/Panel';
import { Empty } from '../components/StateView';
import { SEVERITIES, type Severity } from '../design/tokens';
import { useI18n } from '../i18n';
import { patternFilter } from '../state/pattern';

const MOST = 12;

const severityOf = (name: string): Severity => SEVERITIES.find((each) => each === name) ?? 'unspecified';

/** What the service logs, new patterns first: each opens its records. */
export function ServicePatterns({ answer }: { answer: ServiceAnswer }) {
  const { t, num, compact, dateTime } = useI18n();
  const { patterns, service } = answer;
  const rows = [...patterns].sort((a, b) => Number(b.new) - Number(a.new) || b.records - a.records);
  return (
    <Panel title={t('service.patterns')} sub={rows.length ? num(rows.length) : undefined}>
      {rows.length ? (
        <ul className="rows patterns">
          {rows.slice(0, MOST).map((pattern) => (
            <li key={pattern.pattern_id} data-new={pattern.new || undefined}>
              <SeverityMark severity={severityOf(pattern.severity)} />
              <To
                path="/logs"
                search={{ q: patternFilter(service.name, pattern.template) }}
                className="cell-link mono pattern"
                title={pattern.template}
              >
                {pattern.template}
              </To>
              <span className="grow" />
              {pattern.new ? (
                <span className="new-mark" title={dateTime(pattern.first_seen)}>
                  {t('service.new')}
                </span>
              ) : null}
              <To
                path="/logs"
                search={{ q: patternFilter(service.name, pattern.template) }}
                className="cell-link num end"
                label={t('service.patternRecords', { n: compact(pattern.records) })}
              >
                {compact(pattern.records)}
              </To>
            </li>
          ))}
          {rows.length > MOST ? <li className="faint">{t('more', { n: num(rows.length - MOST) })}</li> : null}
        </ul>
      ) : (
        <Empty title={t('service.noPatterns')} />
      )}
    </Panel>
  );
}
