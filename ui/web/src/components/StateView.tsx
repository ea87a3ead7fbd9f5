import { Button } from '@mantine/core';
import { type ReactNode, useEffect, useState } from 'react';
import { ApiError } from '../api/client';
import { useI18n } from '../i18n';

const SLOW_MS = 400;

/** Seconds that something has been running, as text, once it is worth saying. */
function useElapsed(): string | null {
  const [ms, setMs] = useState(0);
  useEffect(() => {
    const start = performance.now();
    const timer = setInterval(() => setMs(performance.now() - start), 200);
    return () => clearInterval(timer);
  }, []);
  return ms < SLOW_MS ? null : `${(ms / 1000).toFixed(1)} s`;
}

export function Running({ onCancel }: { onCancel?: (() => void) | undefined }) {
  const { t } = useI18n();
  const elapsed = useElapsed();
  return (
    <div className="state" role="status" data-state="running">
      <div className="progress" />
      {elapsed ? (
        <p>
          {t('state.running')} {elapsed}
        </p>
      ) : null}
      {elapsed && onCancel ? (
        <Button size="compact-xs" variant="default" onClick={onCancel}>
          {t('action.cancel')} <span className="kbd">Esc</span>
        </Button>
      ) : null}
    </div>
  );
}

export function Failed({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  const { t } = useI18n();
  const api = error instanceof ApiError ? error : null;
  const title =
    api?.status === 0
      ? t('state.unreachable')
      : api?.status === 401 || api?.status === 403
        ? t('state.forbidden')
        : (api?.problem.title ?? t('state.failed'));
  return (
    <div className="state" role="alert" data-state="failed">
      <p className="state-title">
        <span className="glyph" data-status="crit">
          ✕
        </span>{' '}
        {title}
      </p>
      <p className="state-detail">{error instanceof Error ? error.message : String(error)}</p>
      {api?.problem.hint ? <p>{api.problem.hint}</p> : null}
      {onRetry ? (
        <Button size="compact-xs" variant="default" onClick={onRetry}>
          {t('action.retry')}
        </Button>
      ) : null}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="state" role="status" data-state="empty">
      <p className="state-title">{title}</p>
      {children}
    </div>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  fetchStatus: string;
  refetch: () => unknown;
}

/** One of: running, cancelled, failed, empty, or the answer. Keeps an old answer on screen while the next one runs. */
export function StateView<T>({
  asked,
  onCancel,
  isEmpty,
  empty,
  children,
}: {
  asked: Asked<T>;
  onCancel?: () => void;
  isEmpty?: (data: T) => boolean;
  empty?: ReactNode;
  children: (data: T) => ReactNode;
}) {
  const { t } = useI18n();
  const retry = (): void => void asked.refetch();
  if (asked.error) return <Failed error={asked.error} onRetry={retry} />;
  if (asked.data === undefined) {
    if (asked.fetchStatus !== 'idle') return <Running onCancel={onCancel} />;
    return (
      <Empty title={t('state.cancelled')}>
        <Button size="compact-xs" variant="default" onClick={retry}>
          {t('action.run')}
        </Button>
      </Empty>
    );
  }
  if (isEmpty?.(asked.data)) return <>{empty}</>;
  return <>{children(asked.data)}</>;
}
