import { useChanges, useSlos } from '../api/reliability-queries';
import { To } from '../app/navigation';
import { BudgetBar, SloMark } from '../components/Budget';
import { ChangeList } from '../components/ChangeList';
import { ServiceChip } from '../components/marks';
import { Panel } from '../components/Panel';
import { Empty, StateView } from '../components/StateView';
import { promise } from '../components/words';
import { useI18n } from '../i18n';
import { byBudget } from '../state/burn';

const MOST_SLOS = 8;
const MOST_CHANGES = 8;

/** Objectives, the least budget first. */
export function HomeObjectives() {
  const i18n = useI18n();
  const { t, num } = i18n;
  const asked = useSlos();
  return (
    <Panel
      title={t('nav.slos')}
      sub={t('home.leastFirst')}
      actions={
        <To path="/slos" className="link pad">
          {t('home.all')}
        </To>
      }
    >
      <StateView
        asked={asked}
        isEmpty={(data) => !data.slos.length}
        empty={
          <Empty title={t('slo.none')}>
            <To path="/slos" className="link">
              {t('home.howSlo')}
            </To>
          </Empty>
        }
      >
        {({ slos }) => (
          <>
            <ul className="rows slo-rows">
              {[...slos]
                .sort(byBudget)
                .slice(0, MOST_SLOS)
                .map((slo) => (
                  <li key={slo.id}>
                    <SloMark slo={slo} />
                    <To
                      path={`/slos/${encodeURIComponent(slo.id)}`}
                      className="cell-link slo-name"
                      title={promise(i18n, slo)}
                    >
                      <b>{slo.display_name || slo.id}</b>
                    </To>
                    <span className="grow" />
                    <To path={`/services/${encodeURIComponent(slo.service)}`} className="cell-link slo-service">
                      <ServiceChip name={slo.service} slot={slo.slot} />
                    </To>
                    <BudgetBar slo={slo} />
                  </li>
                ))}
            </ul>
            {slos.length > MOST_SLOS ? (
              <p className="hint pad">
                <To path="/slos" className="link">
                  {t('more', { n: num(slos.length - MOST_SLOS) })}
                </To>
              </p>
            ) : null}
          </>
        )}
      </StateView>
    </Panel>
  );
}

/** What was changed in the time range, newest first. */
export function HomeChanges() {
  const { t } = useI18n();
  const asked = useChanges();
  return (
    <Panel title={t('home.changes')}>
      <StateView
        asked={asked}
        isEmpty={(data) => !data.changes.length}
        empty={
          <Empty title={t('home.noChanges')}>
            <p>{t('home.noChangesHint')}</p>
          </Empty>
        }
      >
        {({ changes }) => <ChangeList changes={changes} most={MOST_CHANGES} />}
      </StateView>
    </Panel>
  );
}
