import type { Cause } from '../api/reliability';
import { To } from '../app/navigation';
import { useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { CandidateList, Notes } from './CauseView';
import './reliability.css';

const WIDER = [2, 6] as const;

function LookedAt({ cause }: { cause: Cause }) {
  const { t, num, duration } = useI18n();
  const { spans, logs, points, elapsed_ms } = cause.stats;
  const facts = [
    ['signal.spans', spans],
    ['signal.logs', logs],
    ['cause.points', points],
  ] as const;
  return (
    <dl className="looked-at">
      {facts.map(([name, count]) => (
        <div key={name}>
          <dt>{t(name)}</dt>
          <dd className="num">
            {count ? null : (
              <span className="glyph" data-status="unknown" aria-hidden="true">
                ◌
              </span>
            )}
            {num(count)}
          </dd>
        </div>
      ))}
      <div>
        <dt>{t('cause.took')}</dt>
        <dd className="num">{duration(elapsed_ms)}</dd>
      </div>
    </dl>
  );
}

/** Ways on: the same question over a longer window, and the raw data. */
function WaysOn({ cause }: { cause: Cause }) {
  const { t, duration } = useI18n();
  const [from, to] = [epochMs(cause.window.from), epochMs(cause.window.to)];
  const window = { from: String(from), to: String(to) };
  const service = cause.service;
  return (
    <p className="ways-on">
      {service
        ? WIDER.map((times) => (
            <To
              key={times}
              path="/causes/new"
              search={{ service, from: String(to - (to - from) * times), to: String(to) }}
              className="link"
            >
              {t('cause.askWider', { length: duration((to - from) * times) })}
            </To>
          ))
        : null}
      {service ? (
        <To path={`/services/${encodeURIComponent(service)}`} search={window} className="link">
          {t('evidence.openService')}
        </To>
      ) : null}
      <To path="/map" search={window} className="link">
        {t('nav.map')}
      </To>
    </p>
  );
}

/** "No root cause found" and "not enough data" are answers: what was looked at, why it was not enough, where to go on. */
export function NoCause({ cause }: { cause: Cause }) {
  const { t } = useI18n();
  const few = cause.outcome === 'not_enough_data';
  return (
    <div className="no-cause" role="status" data-outcome={cause.outcome}>
      <h3>
        <span className="glyph" data-status="unknown" aria-hidden="true">
          ◌
        </span>
        {t(few ? 'cause.few' : 'cause.none')}
      </h3>
      <p className="ink2">{t(few ? 'cause.fewWhy' : 'cause.noneWhy')}</p>
      <LookedAt cause={cause} />
      <Notes cause={cause} />
      <WaysOn cause={cause} />
      {cause.candidates.length ? (
        <section className="weak">
          <h3>{t('cause.tooWeak')}</h3>
          <CandidateList cause={cause} selected={-1} onSelect={() => undefined} />
        </section>
      ) : null}
    </div>
  );
}
