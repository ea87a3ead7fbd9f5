import { createContext, type ReactNode, useContext, useMemo } from 'react';
import { en, type Key } from './en';
import { type Format, fill, type Lang, makeFormat } from './format';
import { zh } from './zh-CN';

export type { Key } from './en';
export type { Lang } from './format';

const CATALOGUES: Record<Lang, Record<Key, string>> = { en, 'zh-CN': zh };

export interface I18n extends Format {
  lang: Lang;
  timeZone: string | undefined;
  t: (key: Key, params?: Record<string, string | number>) => string;
}

export function makeI18n(lang: Lang, timeZone: string | undefined): I18n {
  const catalogue = CATALOGUES[lang];
  return {
    ...makeFormat(lang, timeZone),
    lang,
    timeZone,
    t: (key, params) => (params ? fill(catalogue[key], lang, params) : catalogue[key]),
  };
}

const Context = createContext<I18n | null>(null);

export function I18nProvider({
  lang,
  timeZone,
  children,
}: {
  lang: Lang;
  timeZone: string | undefined;
  children: ReactNode;
}) {
  const value = useMemo(() => makeI18n(lang, timeZone), [lang, timeZone]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useI18n(): I18n {
  const value = useContext(Context);
  if (!value) throw new Error('useI18n outside I18nProvider');
  return value;
}
