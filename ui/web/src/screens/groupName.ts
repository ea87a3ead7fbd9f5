import { type Key, useI18n } from '../i18n';

const NAMES: Record<string, Record<string, Key>> = {
  kind: {
    service: 'map.service',
    database: 'map.database',
    messaging: 'map.messaging',
    external: 'map.external',
  },
  state: { ok: 'status.ok', warn: 'status.warn', crit: 'status.crit', unknown: 'status.unknown' },
};

/** What a node of the map is called: kinds and states in the language of the page, everything else by its own name. */
export function useGroupName(group: string | undefined): (name: string) => string {
  const { t } = useI18n();
  return (name) => {
    const key = group === undefined ? undefined : NAMES[group]?.[name];
    return key ? t(key) : name;
  };
}
