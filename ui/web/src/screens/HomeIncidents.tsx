import { useIncidents } from '../api/reliability-queries';
import { To } from '../app/navigation';
import { CauseBanner } from '../components/CauseBanner';
import { StateView } from '../components/StateView';
import { useNow } from '../components/useNow';
import { textOf } from '../components/words';
import { useI18n } from '../i18n';
import { byUrgency } from '../state/cause';

const MOST_OPEN = 4;
/** One more than is shown: enough to say that nothing is open and what was last. */
const ASKED = 20;

/** Open incidents, each with its cause; when all is calm, one line that says so. */
export function HomeIncidents() {
  const i18n = useI18n();
  const { t, num, ago } = i18n;
  const now = useNow();
  const asked = useIncidents(undefined, ASKED);
  return (
    <StateView asked={asked}>
      {({ incidents }) => {
        const ordered = [...incidents].sort(byUrgency);
        const open = ordered
          .filter((incident) => incident.state === 'open')
          .sort((a, b) => Number(b.severity === 'page') - Number(a.severity === 'page'));
        const last = ordered[0];
        if (!open.length) {
          return (
            <p className="calm">
              <span className="glyph" data-status="ok" aria-hidden="true">
                ●
              </span>
              <b>{t('home.calm')}</b>
              {last ? (
                <span className="ink2">
                  {t('home.lastIncident')}{' '}
                  <To path={`/incidents/${encodeURIComponent(last.id)}`} className="link">
                    {textOf(i18n, last.title)}
                  </To>{' '}
                  <span className="faint">{ago(last.started_at, now)}</span>
                </span>
              ) : null}
              <span className="grow" />
              <To path="/incidents" className="link">
                {t('nav.incidents')}
              </To>
            </p>
          );
        }
        return (
          <section className="banners" aria-label={t('home.incidents')}>
            {open.slice(0, MOST_OPEN).map((incident) => (
              <CauseBanner key={incident.id} incident={incident} now={now} />
            ))}
            {open.length > MOST_OPEN ? (
              <To path="/incidents" search={{ view: 'open' }} className="link">
                {t('more', { n: num(open.length - MOST_OPEN) })}
              </To>
            ) : null}
          </section>
        );
      }}
    </StateView>
  );
}
