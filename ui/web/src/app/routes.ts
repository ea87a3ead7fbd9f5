import {
  IconActivity,
  IconAlertTriangle,
  IconDatabase,
  IconFileText,
  IconHome,
  IconPlayerPlay,
  IconRocket,
  IconRoute,
  IconSettings,
  IconSitemap,
  IconSql,
  IconTarget,
} from '@tabler/icons-react';
import type { Key } from '../i18n';

export interface Place {
  path: string;
  title: Key;
  icon: typeof IconHome;
  group: 'observe' | 'work' | 'server';
  /** Second key after `g`. */
  key: string;
  /** Further paths that belong to it. */
  also?: string;
}

/** Screens that exist, in the order of the rail. */
export const PLACES: readonly Place[] = [
  { path: '/', title: 'nav.home', icon: IconHome, group: 'observe', key: 'h' },
  { path: '/services', title: 'nav.services', icon: IconActivity, group: 'observe', key: 's' },
  { path: '/map', title: 'nav.map', icon: IconSitemap, group: 'observe', key: 'm' },
  { path: '/logs', title: 'nav.logs', icon: IconFileText, group: 'observe', key: 'l' },
  { path: '/logs/tail', title: 'nav.tail', icon: IconPlayerPlay, group: 'observe', key: 'f' },
  { path: '/traces', title: 'nav.traces', icon: IconRoute, group: 'observe', key: 't' },
  { path: '/slos', title: 'nav.slos', icon: IconTarget, group: 'observe', key: 'o' },
  {
    path: '/incidents',
    title: 'nav.incidents',
    icon: IconAlertTriangle,
    group: 'observe',
    key: 'n',
    also: '/causes',
  },
  { path: '/sql', title: 'nav.sql', icon: IconSql, group: 'work', key: 'q' },
  { path: '/ingest', title: 'nav.ingest', icon: IconDatabase, group: 'server', key: 'i' },
  { path: '/settings', title: 'nav.settings', icon: IconSettings, group: 'server', key: ',' },
  { path: '/start', title: 'nav.start', icon: IconRocket, group: 'server', key: 'b' },
];

/** The place that a path belongs to: the longest path that it starts with. */
export function placeOf(path: string): Place | undefined {
  const isBelow = (parent: string): boolean =>
    parent === '/' ? path === '/' : path === parent || path.startsWith(`${parent}/`);
  return [...PLACES]
    .sort((a, b) => b.path.length - a.path.length)
    .find((place) => isBelow(place.path) || (place.also !== undefined && isBelow(place.also)));
}
