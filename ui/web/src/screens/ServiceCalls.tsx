import { useMemo } from 'react';
import { useSlots } from '../api/queries';
import type { MapEdge, MapNode, ServiceAnswer } from '../api/reliability';
import { To, useOpen, useUrl } from '../app/navigation';
import { EdgeTable } from '../components/EdgeTable';
import { Panel } from '../components/Panel';
import { ServiceGraph } from '../components/ServiceGraph';
import { Empty } from '../components/StateView';
import { useSize } from '../components/useSize';
import { useI18n } from '../i18n';
import { oneHop } from '../state/boxes';
import { edgeHealth, type Graph } from '../state/graph';
import { healthOf } from '../state/health';

const MOST_SIDE = 7;

/** The service and its direct neighbours as a graph; a neighbour is as unwell as the calls with it. */
function graphOf(answer: ServiceAnswer, slotOf: (name: string) => number): Graph {
  const { service, callers, callees } = answer;
  const neighbour = (name: string, edge: MapEdge, kind: MapNode['kind']): MapNode => ({
    name,
    kind,
    slot: kind === 'service' ? slotOf(name) : null,
    calls: edge.calls,
    rate: edge.rate,
    errors: edge.errors,
    error_ratio: edge.error_ratio,
    p95_ms: edge.client_p95_ms,
    state: edgeHealth(edge),
    incident_id: null,
  });
  const own: MapNode = {
    name: service.name,
    kind: 'service',
    slot: service.slot,
    calls: service.calls,
    rate: service.rate,
    errors: service.errors,
    error_ratio: service.error_ratio,
    p95_ms: service.p95_ms,
    state: healthOf(service),
    incident_id: null,
  };
  const nodes = new Map<string, MapNode>();
  for (const edge of callers) nodes.set(edge.caller, neighbour(edge.caller, edge, 'service'));
  for (const edge of callees) nodes.set(edge.callee, neighbour(edge.callee, edge, edge.callee_kind));
  nodes.set(service.name, own);
  return { nodes: [...nodes.values()], edges: [...callers, ...callees] };
}

const byNeed = (edges: readonly MapEdge[]): MapEdge[] =>
  [...edges].sort((a, b) => (b.error_ratio ?? 0) * b.rate - (a.error_ratio ?? 0) * a.rate || b.rate - a.rate);

/** Who calls the service and whom it calls: as a map of one hop and as tables. */
export function ServiceCalls({ answer }: { answer: ServiceAnswer }) {
  const { t, num } = useI18n();
  const [search] = useUrl();
  const open = useOpen();
  const slotOf = useSlots();
  const [place, size] = useSize();
  const { service, callers, callees } = answer;
  const graph = useMemo(() => graphOf(answer, slotOf), [answer, slotOf]);
  const layout = useMemo(
    () =>
      size &&
      oneHop(
        service.name,
        byNeed(callers).map((edge) => edge.caller),
        byNeed(callees).map((edge) => edge.callee),
        size.width,
        MOST_SIDE,
      ),
    [size, service.name, callers, callees],
  );
  const leftOut = Math.max(0, callers.length - MOST_SIDE) + Math.max(0, callees.length - MOST_SIDE);
  if (!callers.length && !callees.length) {
    return (
      <Panel title={t('service.dependencies')}>
        <Empty title={t('map.noCalls')} />
      </Panel>
    );
  }
  const kinds = new Map(callees.map((edge) => [edge.callee, edge.callee_kind]));
  const go = (name: string): void => {
    if (name === service.name || (kinds.get(name) ?? 'service') !== 'service') open('/map', { q: name, sel: name });
    else open(`/services/${encodeURIComponent(name)}`, { theme: search.theme });
  };
  return (
    <Panel
      title={t('service.dependencies')}
      sub={leftOut ? t('more', { n: num(leftOut) }) : undefined}
      actions={
        <To path="/map" search={{ q: service.name, sel: service.name }} className="link pad">
          {t('nav.map')}
        </To>
      }
    >
      <div ref={place} className="hop-place">
        {layout ? (
          <ServiceGraph
            graph={graph}
            layout={layout}
            label={t('service.dependencies')}
            selected={service.name}
            onSelect={go}
          />
        ) : null}
      </div>
      <div className="grid two edge-tables">
        {callers.length ? (
          <EdgeTable title={t('map.callers')} edges={callers} end="caller" />
        ) : (
          <p className="hint pad">{t('map.noCallers')}</p>
        )}
        {callees.length ? (
          <EdgeTable title={t('map.callees')} edges={callees} end="callee" />
        ) : (
          <p className="hint pad">{t('map.noCallees')}</p>
        )}
      </div>
    </Panel>
  );
}
