import { useEffect } from 'react';
import { useLogHistogram, useStatus } from '../api/queries';
import type { ServerStatus } from '../api/types';
import { To, useOpen } from '../app/navigation';
import { useWindow } from '../app/window';
import { ShareMenu } from '../components/copy';
import { Histogram } from '../components/Histogram';
import { Panel } from '../components/Panel';
import { Empty, StateView } from '../components/StateView';
import { useI18n } from '../i18n';
import { has, isEmpty } from '../state/arrival';
import { HomeIncidents } from './HomeIncidents';
import { HomeChanges, HomeObjectives } from './HomeObjectives';
import { HomeSummary } from './HomeSummary';
import { FailedTraces, NeedingAttention } from './HomeTraffic';

function LogVolume() {
  const { t, num } = useI18n();
  const { setWindow } = useWindow();
  const histogram = useLogHistogram('', 90);
  return (
    <Panel
      title={t('logs.volume')}
      sub={histogram.data ? t('logs.total', { n: num(histogram.data.total) }) : undefined}
      actions={
        <To path="/logs" className="link pad">
          {t('nav.logs')}
        </To>
      }
    >
      <div className="hist-place">
        <StateView asked={histogram}>{(answer) => <Histogram answer={answer} onZoom={setWindow} />}</StateView>
      </div>
    </Panel>
  );
}

/** What depends on a signal is drawn only where the signal has arrived: one signal alone makes a whole page. */
function Body({ status }: { status: ServerStatus }) {
  const { t } = useI18n();
  const [spans, logs] = [has(status, 'spans'), has(status, 'logs')];
  return (
    <>
      <HomeIncidents />
      <HomeSummary status={status} />
      <div className="grid wide-left even">
        <HomeObjectives />
        <HomeChanges />
      </div>
      {spans ? (
        <div className="grid wide-left even">
          <NeedingAttention />
          <FailedTraces />
        </div>
      ) : (
        <section className="panel">
          <Empty title={t('home.noSpans')}>
            <To path="/start" className="link">
              {t('nav.start')}
            </To>
          </Empty>
        </section>
      )}
      {logs ? <LogVolume /> : null}
    </>
  );
}

export function Home() {
  const { t } = useI18n();
  const open = useOpen();
  const status = useStatus();
  const empty = status.data ? isEmpty(status.data) : false;
  useEffect(() => {
    if (empty) open('/start');
  }, [empty, open]);
  return (
    <div className="screen">
      <div className="crumb">
        <h1>{t('home.title')}</h1>
        <span className="grow" />
        <ShareMenu />
      </div>
      <StateView asked={status}>{(data) => <Body status={data} />}</StateView>
    </div>
  );
}
