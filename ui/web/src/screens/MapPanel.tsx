import { Button } from '@mantine/core';
import { useSlots } from '../api/queries';
import type { MapNode } from '../api/reliability';
import { To, useOpen, useUrl } from '../app/navigation';
import { EdgeTable } from '../components/EdgeTable';
import { Dot, ServiceChip, StatusMark } from '../components/marks';
import { SidePanel } from '../components/SidePanel';
import { useI18n } from '../i18n';
import { term } from '../state/filter';
import type { Graph } from '../state/graph';

/** A node of the map: its numbers, its calls in both directions, and where to go on from it. */
export function MapPanel({
  node,
  called,
  graph,
  members,
  onClose,
}: {
  node: MapNode;
  called: (name: string) => string;
  graph: Graph;
  /** Names in the group, when the node stands for one. */
  members: string[] | null;
  onClose: () => void;
}) {
  const { t, perSecond, percent, duration } = useI18n();
  const [, patch] = useUrl();
  const open = useOpen();
  const slotOf = useSlots();
  const callers = graph.edges.filter((edge) => edge.callee === node.name);
  const callees = graph.edges.filter((edge) => edge.caller === node.name);
  const filter = term('service', node.name);
  const pick = (name: string): void => patch({ sel: name });
  return (
    <SidePanel
      title={
        <>
          {node.slot === null ? null : <Dot slot={node.slot} />}
          <span>{called(node.name)}</span>
        </>
      }
      onClose={onClose}
    >
      <div className="detail-actions">
        <StatusMark status={node.state} named />
        {node.incident_id ? (
          <To path={`/incidents/${encodeURIComponent(node.incident_id)}`} className="link">
            {t('map.incident')}
          </To>
        ) : null}
      </div>
      <dl className="facts-grid">
        <div>
          <dt>{t('column.rate')}</dt>
          <dd className="num">{perSecond(node.rate)}</dd>
        </div>
        <div>
          <dt>{t('chart.errorRatio')}</dt>
          <dd className={`num ${node.state === 'crit' ? 'crit-text' : ''}`}>{percent(node.error_ratio)}</dd>
        </div>
        <div>
          <dt>p95</dt>
          <dd className="num">{duration(node.p95_ms)}</dd>
        </div>
      </dl>
      {members ? (
        <ul className="member-list">
          {members.map((name) => (
            <li key={name}>
              <To path={`/services/${encodeURIComponent(name)}`} className="cell-link">
                <ServiceChip name={name} slot={slotOf(name)} />
              </To>
            </li>
          ))}
        </ul>
      ) : (
        <div className="detail-actions">
          {node.kind === 'service' ? (
            <>
              <To path={`/services/${encodeURIComponent(node.name)}`} className="link">
                {t('evidence.openService')}
              </To>
              <To path="/traces" search={{ q: filter }} className="link">
                {t('nav.traces')}
              </To>
              <To path="/logs" search={{ q: filter }} className="link">
                {t('nav.logs')}
              </To>
              <Button size="compact-xs" variant="default" onClick={() => open('/causes/new', { service: node.name })}>
                {t('cause.why')}
              </Button>
            </>
          ) : null}
          <Button size="compact-xs" variant="default" onClick={() => patch({ q: node.name, view: undefined })}>
            {t('map.focusHere')}
          </Button>
        </div>
      )}
      {callers.length ? (
        <EdgeTable
          {...(members ? { called } : {})}
          title={t('map.callers')}
          edges={callers}
          end="caller"
          onPick={pick}
        />
      ) : null}
      {callees.length ? (
        <EdgeTable
          {...(members ? { called } : {})}
          title={t('map.callees')}
          edges={callees}
          end="callee"
          onPick={pick}
        />
      ) : null}
      {callers.length + callees.length ? null : <p className="hint">{t('map.noCalls')}</p>}
    </SidePanel>
  );
}
