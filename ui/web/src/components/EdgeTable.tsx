import { useSlots } from '../api/queries';
import type { MapEdge } from '../api/reliability';
import { To } from '../app/navigation';
import { useI18n } from '../i18n';
import { atLeast, term } from '../state/filter';
import { edgeHealth } from '../state/graph';
import { Change } from './Change';
import { Dot, StatusMark } from './marks';
import './reliability.css';

/** Calls in one direction: who, how many, how many fail, how slow, against the period before. */
export function EdgeTable({
  title,
  edges,
  end,
  onPick,
  called,
  most = 12,
}: {
  title: string;
  edges: readonly MapEdge[];
  /** Which end of the call is named. */
  end: 'caller' | 'callee';
  onPick?: (name: string) => void;
  /** What a name is shown as, where the ends are groups: their numbers lead to no list. */
  called?: (name: string) => string;
  most?: number;
}) {
  const { t, num, perSecond, percent, duration } = useI18n();
  const slotOf = useSlots();
  const busiest = [...edges].sort((a, b) => (b.error_ratio ?? 0) - (a.error_ratio ?? 0) || b.rate - a.rate);
  return (
    <table className="plain-rows edges">
      <thead>
        <tr>
          <th scope="col">{title}</th>
          <th scope="col">{t('column.rate')}</th>
          <th scope="col">{t('column.errors')}</th>
          <th scope="col">p95</th>
          <th scope="col">{t('map.change')}</th>
        </tr>
      </thead>
      <tbody>
        {busiest.slice(0, most).map((edge) => {
          const name = edge[end];
          const health = edgeHealth(edge);
          const traced = end === 'caller' ? edge.callee : edge.callee_kind === 'service' ? edge.callee : edge.caller;
          const chip = (
            <>
              {called ? null : <Dot slot={slotOf(name)} />}
              <span>{called ? called(name) : name}</span>
            </>
          );
          const share = (
            <span className={health === 'crit' ? 'crit-text' : health === 'warn' ? 'warn-text' : 'faint'}>
              {percent(edge.error_ratio)}
            </span>
          );
          return (
            <tr key={`${name} ${edge.callee_kind}`}>
              <td>
                <StatusMark status={health} />{' '}
                {onPick ? (
                  <button type="button" className="chip cell-button strong" onClick={() => onPick(name)}>
                    {chip}
                  </button>
                ) : end === 'callee' && edge.callee_kind !== 'service' ? (
                  <span className="chip strong">{chip}</span>
                ) : (
                  <To path={`/services/${encodeURIComponent(name)}`} className="chip cell-link strong">
                    {chip}
                  </To>
                )}
              </td>
              <td className="num">
                {edge.exemplar_trace_id ? (
                  <To path={`/traces/${edge.exemplar_trace_id}`} className="cell-link" title={t('map.example')}>
                    {perSecond(edge.rate)}
                  </To>
                ) : (
                  perSecond(edge.rate)
                )}
              </td>
              <td className="num">
                {called ? (
                  share
                ) : (
                  <To path="/traces" search={{ q: term('service', traced), status: 'error' }} className="cell-link">
                    {share}
                  </To>
                )}
              </td>
              <td className="num">
                {edge.client_p95_ms === null ? (
                  '–'
                ) : (
                  <To
                    path="/traces"
                    search={{ q: term('service', traced), min: atLeast(edge.client_p95_ms) }}
                    className="cell-link"
                  >
                    {duration(edge.client_p95_ms)}
                  </To>
                )}
              </td>
              <td className="num">
                <Change now={edge.client_p95_ms} before={edge.previous?.client_p95_ms} />
              </td>
            </tr>
          );
        })}
        {busiest.length > most ? (
          <tr>
            <td colSpan={5} className="faint">
              {t('more', { n: num(busiest.length - most) })}
            </td>
          </tr>
        ) : null}
      </tbody>
    </table>
  );
}
