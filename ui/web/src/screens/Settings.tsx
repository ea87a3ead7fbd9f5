import { Button, NativeSelect, PasswordInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { address, getJson, token } from '../api/client';
import { useStatus } from '../api/queries';
import { useUrl } from '../app/navigation';
import { type Preferences, setPreference, usePreferences } from '../app/preferences';
import { Panel } from '../components/Panel';
import { zoneName } from '../components/TimeRangeControl';
import { useI18n } from '../i18n';

export function Settings() {
  const { t } = useI18n();
  const preferences = usePreferences();
  const [search, patch] = useUrl();
  const queries = useQueryClient();
  const [secret, setSecret] = useState('');
  const status = useStatus();
  const whoami = useQuery({
    queryKey: ['whoami'],
    queryFn: ({ signal }) => getJson<{ role: string }>('/api/whoami', {}, signal),
    retry: false,
  });
  const zones = [...new Set(['local', 'utc', preferences.zone])];
  const choose = (change: Partial<Preferences>): void => {
    setPreference(change);
    if (search.lang || search.theme || search.tz) patch({ lang: undefined, theme: undefined, tz: undefined });
  };
  return (
    <div className="screen narrow">
      <div className="crumb">
        <h1>{t('nav.settings')}</h1>
      </div>
      <Panel title={t('settings.preferences')} sub={t('settings.thisBrowser')}>
        <div className="form">
          <NativeSelect
            size="xs"
            label={t('language.label')}
            value={preferences.lang}
            onChange={(event) => choose({ lang: event.currentTarget.value as Preferences['lang'] })}
            data={[
              { value: 'auto', label: t('settings.auto') },
              { value: 'en', label: 'English' },
              { value: 'zh-CN', label: '简体中文' },
            ]}
          />
          <NativeSelect
            size="xs"
            label={t('settings.theme')}
            value={preferences.theme}
            onChange={(event) => choose({ theme: event.currentTarget.value as Preferences['theme'] })}
            data={[
              { value: 'auto', label: t('settings.auto') },
              { value: 'light', label: t('theme.light') },
              { value: 'dark', label: t('theme.dark') },
            ]}
          />
          <NativeSelect
            size="xs"
            label={t('settings.density')}
            value={preferences.density}
            onChange={(event) => choose({ density: event.currentTarget.value as Preferences['density'] })}
            data={[
              { value: 'compact', label: t('settings.compact') },
              { value: 'roomy', label: t('settings.roomy') },
            ]}
          />
          <NativeSelect
            size="xs"
            label={t('range.zone')}
            value={preferences.zone}
            onChange={(event) => choose({ zone: event.currentTarget.value })}
            data={zones.map((value) => ({
              value,
              label: value === 'local' ? `${t('range.local')} (${zoneName('local')})` : zoneName(value),
            }))}
          />
        </div>
      </Panel>
      <Panel title={t('token.title')} sub={whoami.data ? t('settings.role', { role: whoami.data.role }) : undefined}>
        <form
          className="form"
          onSubmit={(event) => {
            event.preventDefault();
            token.set(secret.trim() || null);
            setSecret('');
            void queries.resetQueries();
          }}
        >
          <PasswordInput
            size="xs"
            label={t('token.label')}
            description={t('token.hint')}
            value={secret}
            onChange={(event) => setSecret(event.currentTarget.value)}
            autoComplete="off"
          />
          <div className="row">
            <Button type="submit" size="compact-sm" disabled={!secret.trim()}>
              {t('token.use')}
            </Button>
            {token.get() ? (
              <Button
                size="compact-sm"
                variant="default"
                onClick={() => {
                  token.set(null);
                  void queries.resetQueries();
                }}
              >
                {t('token.forget')}
              </Button>
            ) : null}
          </div>
        </form>
      </Panel>
      <Panel title={t('settings.about')}>
        <div className="form">
          <p>
            Rootline {status.data?.version}{' '}
            {status.data?.commit ? <span className="mono faint">{status.data.commit.slice(0, 12)}</span> : null}
          </p>
          <p>
            <a className="link" href={address('/licences.txt')} target="_blank" rel="noreferrer">
              {t('settings.licences')}
            </a>{' '}
            ·{' '}
            <a className="link" href={address('/api/openapi.json')} target="_blank" rel="noreferrer">
              OpenAPI
            </a>
          </p>
        </div>
      </Panel>
    </div>
  );
}
