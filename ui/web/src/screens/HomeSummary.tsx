import { useMemo } from 'react';
import { useServices } from '../api/queries';
import type { ServerStatus } from '../api/types';
import { To } from '../app/navigation';
import { StatusMark } from '../components/marks';
import { Tile } from '../components/Panel';
import type { Status } from '../design/tokens';
import { useI18n } from '../i18n';
import { healthOf } from '../state/health';

/** Health of the services and of ingestion in four numbers. */
export function HomeSummary({ status }: { status: ServerStatus }) {
  const { t, num, compact, bytes } = useI18n();
  const services = useServices();
  const counted = useMemo(() => {
    const counts: Record<Status, number> = { ok: 0, warn: 0, crit: 0, unknown: 0 };
    for (const service of services.data?.services ?? []) counts[healthOf(service)] += 1;
    return counts;
  }, [services.data]);
  const accepted = Object.values(status.ingest).reduce((sum, each) => sum + each.accepted, 0);
  const rejected = Object.values(status.ingest).reduce((sum, each) => sum + each.rejected, 0);
  const rows = status.storage.tables.reduce((sum, table) => sum + table.segment_rows + table.memtable_rows, 0);
  const disk =
    status.storage.disk_used_bytes ?? status.storage.tables.reduce((sum, table) => sum + table.segment_bytes, 0);
  const unwell = counted.crit + counted.warn;
  return (
    <div className="tiles">
      <Tile
        label={t('home.unwell')}
        value={services.data ? num(unwell) : '…'}
        unit={services.data ? t('home.ofServices', { n: num(services.data.services.length) }) : ''}
        tone={counted.crit ? 'crit' : undefined}
        note={(['crit', 'warn', 'ok', 'unknown'] as const)
          .filter((each) => counted[each])
          .map((each) => (
            <span key={each} className="tally">
              <StatusMark status={each} /> {num(counted[each])}
            </span>
          ))}
      />
      <Tile label={t('home.accepted')} value={compact(accepted)} note={t('home.sinceStart')} />
      <Tile
        label={t('home.rejected')}
        value={num(rejected)}
        tone={rejected ? 'warn' : undefined}
        note={
          <To path="/ingest" className="link">
            {t('nav.ingest')}
          </To>
        }
      />
      <Tile label={t('home.stored')} value={compact(rows)} unit={t('home.rows')} note={bytes(disk)} />
    </div>
  );
}
