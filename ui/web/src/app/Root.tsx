import { MantineProvider } from '@mantine/core';
import { useEffect } from 'react';
import { Shell } from '../components/Shell';
import { Empty } from '../components/StateView';
import { I18nProvider, useI18n } from '../i18n';
import { To, useUrl } from './navigation';
import { languageOf, usePreferences } from './preferences';
import { theme } from './theme';
import { WindowProvider } from './window';

const nonce = (): string => document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';

export function Root() {
  const [search] = useUrl();
  const preferences = usePreferences();
  const lang = languageOf(search.lang, preferences, navigator.languages);
  const zone = search.tz ?? preferences.zone;
  const scheme = search.theme ?? (preferences.theme === 'auto' ? undefined : preferences.theme);
  useEffect(() => {
    document.documentElement.lang = lang;
    document.documentElement.dataset.density = preferences.density;
  }, [lang, preferences.density]);
  return (
    <MantineProvider
      theme={theme}
      getStyleNonce={nonce}
      defaultColorScheme="auto"
      {...(scheme ? { forceColorScheme: scheme } : {})}
    >
      <I18nProvider lang={lang} timeZone={zone === 'local' ? undefined : zone === 'utc' ? 'UTC' : zone}>
        <WindowProvider>
          <Shell />
        </WindowProvider>
      </I18nProvider>
    </MantineProvider>
  );
}

export function NotFound() {
  const { t } = useI18n();
  return (
    <Empty title={t('notfound.title')}>
      <To path="/" className="link">
        {t('notfound.home')}
      </To>
    </Empty>
  );
}
