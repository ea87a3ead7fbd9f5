import {
  type AnyRoute,
  createBrowserHistory,
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
} from '@tanstack/react-router';
import { Failed, Running } from '../components/StateView';
import { parseSearch, validSearch, writeSearch } from '../state/search';
import { NotFound, Root } from './Root';

const root = createRootRoute({ component: Root, notFoundComponent: NotFound, validateSearch: validSearch });

const at = <Module extends Record<string, unknown>>(
  path: string,
  load: () => Promise<Module>,
  name: keyof Module & string,
) =>
  createRoute({
    getParentRoute: () => root,
    path,
    component: lazyRouteComponent(load as never, name as never) as never,
  });

const routes = [
  at('/', () => import('../screens/Home'), 'Home'),
  at('/start', () => import('../screens/Start'), 'Start'),
  at('/services', () => import('../screens/Services'), 'Services'),
  at('/services/$name', () => import('../screens/ServiceDetail'), 'ServiceDetail'),
  at('/map', () => import('../screens/ServiceMap'), 'ServiceMap'),
  at('/logs', () => import('../screens/Logs'), 'Logs'),
  at('/logs/tail', () => import('../screens/LogTail'), 'LogTail'),
  at('/traces', () => import('../screens/Traces'), 'Traces'),
  at('/traces/$id', () => import('../screens/TraceView'), 'TraceView'),
  at('/slos', () => import('../screens/Slos'), 'Slos'),
  at('/slos/$id', () => import('../screens/SloDetail'), 'SloDetail'),
  at('/incidents', () => import('../screens/Incidents'), 'Incidents'),
  at('/incidents/$id', () => import('../screens/IncidentDetail'), 'IncidentDetail'),
  at('/causes', () => import('../screens/Causes'), 'Causes'),
  at('/causes/new', () => import('../screens/NewCause'), 'NewCause'),
  at('/causes/$id', () => import('../screens/CauseReport'), 'CauseReport'),
  at('/sql', () => import('../screens/Sql'), 'Sql'),
  at('/ingest', () => import('../screens/Ingest'), 'Ingest'),
  at('/settings', () => import('../screens/Settings'), 'Settings'),
];

export const router = createRouter({
  // The screens read their URL state loosely (`state/search.ts` validates it), so the tree's own types are not needed.
  routeTree: root.addChildren(routes as never) as unknown as AnyRoute,
  history: createBrowserHistory(),
  basepath: new URL(document.baseURI).pathname,
  parseSearch,
  stringifySearch: writeSearch,
  defaultPreload: 'intent',
  defaultPendingMs: 200,
  defaultPendingComponent: () => <Running />,
  defaultErrorComponent: ({ error }) => <Failed error={error} onRetry={() => location.reload()} />,
});
