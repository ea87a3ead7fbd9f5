import { useSyncExternalStore } from 'react';
import type { Lang } from '../i18n';

/** What a person chose for this browser. The URL may override language and theme (`?lang=`, `?theme=`). */
export interface Preferences {
  lang: Lang | 'auto';
  theme: 'auto' | 'light' | 'dark';
  density: 'compact' | 'roomy';
  rail: 'open' | 'closed';
  /** Time zone when the URL names none: `local`, `utc` or a zone name. */
  zone: string;
}

const KEY = 'rootline.preferences';
const DEFAULTS: Preferences = { lang: 'auto', theme: 'auto', density: 'compact', rail: 'open', zone: 'local' };
const listeners = new Set<() => void>();

function read(): Preferences {
  try {
    return { ...DEFAULTS, ...(JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<Preferences>) };
  } catch {
    return DEFAULTS;
  }
}
let current = read();

export function setPreference(patch: Partial<Preferences>): void {
  current = { ...current, ...patch };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // Storage is full or forbidden: the choice holds until the page is closed.
  }
  for (const listener of listeners) listener();
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

/** The language to show: the URL's, the chosen one, else the first of the browser's that we speak. */
export function languageOf(override: Lang | undefined, preferences: Preferences, browser: readonly string[]): Lang {
  if (override) return override;
  if (preferences.lang !== 'auto') return preferences.lang;
  const known = browser.find((tag) => /^(zh|en)\b/i.test(tag));
  return known && /^zh/i.test(known) ? 'zh-CN' : 'en';
}
