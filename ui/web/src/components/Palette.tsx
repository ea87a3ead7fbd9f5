import { Spotlight } from '@mantine/spotlight';
import { IconActivity, IconBulb, IconLanguage, IconMoon, IconSearch, IconTopologyStar3 } from '@tabler/icons-react';
import { useMemo, useState } from 'react';
import { useServices } from '../api/queries';
import { useOpen } from '../app/navigation';
import { setPreference } from '../app/preferences';
import { PLACES } from '../app/routes';
import { useI18n } from '../i18n';
import { whyOf } from '../state/cause';
import { useScheme } from './marks';

const MOST_SERVICES = 8;

/** Jumps to a screen, a service, a trace id, or searches the logs for what was typed. */
export function Palette() {
  const { t, lang } = useI18n();
  const open = useOpen();
  const scheme = useScheme();
  const [query, setQuery] = useState('');
  const services = useServices();
  const typed = query.trim();
  const actions = useMemo(() => {
    const matches = (text: string): boolean => text.toLowerCase().includes(typed.toLowerCase());
    const icon = { size: 16, stroke: 1.7 };
    const known = services.data?.services ?? [];
    const found = known.filter((service) => typed && matches(service.name)).slice(0, MOST_SERVICES);
    const why = whyOf(typed);
    const named = (name: string): boolean => name.toLowerCase().includes((why ?? typed).toLowerCase());
    const explained =
      why === null && !found.length
        ? []
        : known.filter((service) => named(service.name)).slice(0, why === null ? 2 : MOST_SERVICES);
    return [
      ...(/^[0-9a-f]{32}$/i.test(typed)
        ? [
            {
              id: 'trace',
              label: t('palette.trace', { id: typed }),
              leftSection: <IconTopologyStar3 {...icon} />,
              onClick: () => open(`/traces/${typed.toLowerCase()}`),
            },
          ]
        : []),
      ...(why === null ? [] : explained).map((service) => ({
        id: `why ${service.name}`,
        label: t('palette.why', { service: service.name }),
        leftSection: <IconBulb {...icon} />,
        description: t('palette.whyHint'),
        onClick: () => open('/causes/new', { service: service.name }),
      })),
      ...PLACES.filter((place) => matches(t(place.title)) || place.path.includes(typed.toLowerCase())).map((place) => ({
        id: place.path,
        label: t(place.title),
        leftSection: <place.icon {...icon} />,
        rightSection: <span className="kbd">g {place.key}</span>,
        onClick: () => open(place.path),
      })),
      ...found.map((service) => ({
        id: `service ${service.name}`,
        label: service.name,
        leftSection: <IconActivity {...icon} />,
        description: t('palette.service'),
        onClick: () => open(`/services/${encodeURIComponent(service.name)}`),
      })),
      ...(why === null ? explained : []).map((service) => ({
        id: `why ${service.name}`,
        label: t('palette.why', { service: service.name }),
        leftSection: <IconBulb {...icon} />,
        onClick: () => open('/causes/new', { service: service.name }),
      })),
      ...(matches(t('cause.reports'))
        ? [
            {
              id: 'causes',
              label: t('cause.reports'),
              leftSection: <IconBulb {...icon} />,
              onClick: () => open('/causes'),
            },
          ]
        : []),
      ...(typed
        ? [
            {
              id: 'search',
              label: t('palette.logs', { q: typed }),
              leftSection: <IconSearch {...icon} />,
              onClick: () => open('/logs', { q: typed }),
            },
          ]
        : []),
      ...(typed === '' || matches(t('palette.theme'))
        ? [
            {
              id: 'theme',
              label: t('palette.theme'),
              leftSection: <IconMoon {...icon} />,
              onClick: () => setPreference({ theme: scheme === 'dark' ? 'light' : 'dark' }),
            },
          ]
        : []),
      ...(typed === '' || matches(t('palette.language'))
        ? [
            {
              id: 'language',
              label: t('palette.language'),
              leftSection: <IconLanguage {...icon} />,
              onClick: () => setPreference({ lang: lang === 'en' ? 'zh-CN' : 'en' }),
            },
          ]
        : []),
    ];
  }, [typed, services.data, t, open, scheme, lang]);
  return (
    <Spotlight
      shortcut="mod + K"
      tagsToIgnore={[]}
      triggerOnContentEditable
      query={query}
      onQueryChange={setQuery}
      filter={(_query, all) => all}
      nothingFound={t('palette.nothing')}
      searchProps={{
        placeholder: t('palette.placeholder'),
        'aria-label': t('palette.placeholder'),
        leftSection: <IconSearch size={16} />,
      }}
      actions={actions}
      scrollable
      maxHeight={420}
    />
  );
}
