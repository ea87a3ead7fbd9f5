import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { resolveWindow, type Window, windowKeys } from '../state/window';
import { useUrl } from './navigation';

interface WindowState {
  window: Window;
  /** Moves a relative window to the present and asks everything again. */
  refresh: () => void;
  setWindow: (from: string | number, to: string | number) => void;
  /** Seconds between automatic refreshes, 0 when off. */
  interval: number;
}

const Context = createContext<WindowState | null>(null);

export function WindowProvider({ children }: { children: ReactNode }) {
  const [search, patch] = useUrl();
  const [now, setNow] = useState(() => Date.now());
  const queries = useQueryClient();
  const window = useMemo(() => resolveWindow(search.from, search.to, now), [search.from, search.to, now]);
  const refresh = useCallback(() => {
    setNow(Date.now());
    void queries.invalidateQueries({ refetchType: 'active' });
  }, [queries]);
  const setWindow = useCallback(
    (from: string | number, to: string | number) => {
      setNow(Date.now());
      patch(windowKeys(String(from), String(to)));
    },
    [patch],
  );
  const interval = Number(search.refresh ?? 0);
  useEffect(() => {
    if (!interval) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') refresh();
    }, interval * 1000);
    return () => clearInterval(timer);
  }, [interval, refresh]);
  const value = useMemo(() => ({ window, refresh, setWindow, interval }), [window, refresh, setWindow, interval]);
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useWindow(): WindowState {
  const value = useContext(Context);
  if (!value) throw new Error('useWindow outside WindowProvider');
  return value;
}
