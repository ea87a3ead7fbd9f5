import { ActionIcon, Button, SegmentedControl, Tooltip } from '@mantine/core';
import { spotlight } from '@mantine/spotlight';
import {
  IconKeyboard,
  IconLayoutSidebarLeftCollapse,
  IconLayoutSidebarLeftExpand,
  IconMoon,
  IconSearch,
  IconSun,
} from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { To, useOpen, usePath, useUrl } from '../app/navigation';
import { setPreference, usePreferences } from '../app/preferences';
import { PLACES, type Place, placeOf } from '../app/routes';
import { type Lang, useI18n } from '../i18n';
import { useKeys } from '../state/keys';
import { KeyHelp } from './KeyHelp';
import { useScheme } from './marks';
import { Palette } from './Palette';
import { RefreshControl } from './RefreshControl';
import { TimeRangeControl } from './TimeRangeControl';
import { TokenPrompt } from './TokenPrompt';

const GROUPS = ['observe', 'work', 'server'] as const;
/** Screens that show the present only: neither a time range nor a refresh means anything there. */
const LIVE = ['/start', '/settings', '/logs/tail', '/ingest'];
/** Screens whose content has times of its own; they can be refreshed. */
const OWN_TIMES = /^\/(slos|incidents)(\/|$)|^\/causes\/(?!new$)/;

export function Logo() {
  return (
    <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true">
      <path
        d="M16 3v10M16 13c0 6-8 5-8 15M16 13c0 6 8 5 8 15M16 13v15"
        fill="none"
        stroke="var(--accent)"
        strokeWidth="3"
        strokeLinecap="round"
      />
    </svg>
  );
}

function Rail({ here }: { here: Place | undefined }) {
  const { t } = useI18n();
  const { rail } = usePreferences();
  const closed = rail === 'closed';
  const toggle = t(closed ? 'nav.expand' : 'nav.collapse');
  return (
    <nav className="rail" aria-label={t('nav.label')}>
      {GROUPS.map((group) => (
        <ul key={group}>
          {PLACES.filter((place) => place.group === group).map((place) => (
            <li key={place.path} data-here={place === here || undefined}>
              <To path={place.path} title={closed ? t(place.title) : undefined} label={t(place.title)}>
                <place.icon size={16} stroke={1.7} aria-hidden="true" />
                <span>{t(place.title)}</span>
              </To>
            </li>
          ))}
        </ul>
      ))}
      <span className="grow" />
      <button
        type="button"
        className="rail-toggle"
        onClick={() => setPreference({ rail: closed ? 'open' : 'closed' })}
        aria-label={toggle}
        title={toggle}
      >
        {closed ? <IconLayoutSidebarLeftExpand size={16} /> : <IconLayoutSidebarLeftCollapse size={16} />}
        <span>{toggle}</span>
      </button>
    </nav>
  );
}

export function Shell() {
  const { t, lang } = useI18n();
  const scheme = useScheme();
  const { rail } = usePreferences();
  const [search, patch] = useUrl();
  const [help, setHelp] = useState(false);
  const open = useOpen();
  const path = usePath();
  const queries = useQueryClient();
  const here = placeOf(path);
  useEffect(() => {
    document.title = here ? `${t(here.title)} · Rootline` : 'Rootline';
  }, [here, t]);
  useKeys({
    '?': () => setHelp(true),
    Escape: () => void queries.cancelQueries({ fetchStatus: 'fetching' }),
    ...Object.fromEntries(PLACES.map((place) => [`g ${place.key}`, () => open(place.path)])),
  });
  const themeLabel = t(scheme === 'light' ? 'theme.dark' : 'theme.light');
  return (
    <div className="shell" data-rail={rail}>
      <a
        className="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        {t('nav.skip')}
      </a>
      <header className="head">
        <To path="/" className="brand" label="Rootline">
          <Logo />
          <span>Rootline</span>
        </To>
        <div className="top">
          <Button
            variant="default"
            size="compact-sm"
            className="search"
            leftSection={<IconSearch size={14} />}
            rightSection={<span className="kbd">{/Mac/.test(navigator.platform) ? '⌘' : 'Ctrl'} K</span>}
            onClick={() => spotlight.open()}
          >
            {t('palette.placeholder')}
          </Button>
          <span className="grow" />
          {LIVE.includes(path) ? null : (
            <>
              {OWN_TIMES.test(path) ? null : <TimeRangeControl />}
              <RefreshControl />
            </>
          )}
          <SegmentedControl
            size="xs"
            value={lang}
            aria-label={t('language.label')}
            onChange={(value) => {
              setPreference({ lang: value as Lang });
              if (search.lang) patch({ lang: undefined });
            }}
            data={[
              { value: 'en', label: 'EN' },
              { value: 'zh-CN', label: '中' },
            ]}
          />
          <Tooltip label={themeLabel}>
            <ActionIcon
              variant="default"
              size={26}
              aria-label={themeLabel}
              onClick={() => {
                setPreference({ theme: scheme === 'light' ? 'dark' : 'light' });
                if (search.theme) patch({ theme: undefined });
              }}
            >
              {scheme === 'light' ? <IconMoon size={15} /> : <IconSun size={15} />}
            </ActionIcon>
          </Tooltip>
          <Tooltip label={`${t('keys.title')} (?)`}>
            <ActionIcon variant="default" size={26} aria-label={t('keys.title')} onClick={() => setHelp(true)}>
              <IconKeyboard size={15} />
            </ActionIcon>
          </Tooltip>
        </div>
      </header>
      <Rail here={here} />
      <main id="main" tabIndex={-1}>
        <Outlet />
      </main>
      <Palette />
      <KeyHelp opened={help} onClose={() => setHelp(false)} />
      <TokenPrompt />
    </div>
  );
}
