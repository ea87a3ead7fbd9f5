import { Link, useLocation, useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useCallback, useMemo } from 'react';
import { carried, patched, type Search, validSearch } from '../state/search';

export type SearchPatch = Parameters<typeof patched>[1];

/** The URL state of the screen. `typing` replaces the history entry, everything else adds one. */
export function useUrl(): [Search, (patch: SearchPatch, how?: 'typing') => void] {
  const raw = useSearch({ strict: false }) as Record<string, unknown>;
  const search = useMemo(() => validSearch(raw), [raw]);
  const navigate = useNavigate();
  const patch = useCallback(
    (change: SearchPatch, how?: 'typing') => {
      void navigate({
        to: '.',
        search: ((now: Record<string, unknown>) => patched(validSearch(now), change)) as never,
        replace: how === 'typing',
        resetScroll: false,
      });
    },
    [navigate],
  );
  return [search, patch];
}

/** Opens a screen with the window carried over and `search` as its own state. */
export function useOpen(): (path: string, search?: SearchPatch) => void {
  const navigate = useNavigate();
  return useCallback(
    (path, search = {}) => {
      void navigate({
        to: path as never,
        search: ((now: Record<string, unknown>) => patched(carried(validSearch(now)), search)) as never,
      });
    },
    [navigate],
  );
}

interface ToProps {
  path: string;
  search?: SearchPatch;
  className?: string | undefined;
  title?: string | undefined;
  label?: string | undefined;
  /** Left out of the tab order, where its row can be opened by keyboard. */
  inRow?: boolean;
  children: ReactNode;
}

/** A link to a screen that carries the window. */
export function To({ path, search = {}, className, title, label, inRow, children }: ToProps) {
  return (
    <Link
      to={path as never}
      search={((now: Record<string, unknown>) => patched(carried(validSearch(now)), search)) as never}
      className={className}
      title={title}
      aria-label={label}
      tabIndex={inRow ? -1 : undefined}
      activeOptions={{ exact: true, includeSearch: false }}
    >
      {children}
    </Link>
  );
}

export const usePath = (): string => useLocation({ select: (location) => location.pathname });
