import { Button } from '@mantine/core';
import { IconArrowBarToDown, IconPlayerPause, IconPlayerPlay, IconTrash } from '@tabler/icons-react';
import { useCallback, useEffect, useRef, useState } from 'react';
import { address } from '../api/client';
import { follow } from '../api/events';
import type { LogRow } from '../api/types';
import { To, useUrl } from '../app/navigation';
import { FilterBar } from '../components/FilterBar';
import { LogDetail } from '../components/LogDetail';
import { LogList, type LogListHandle } from '../components/LogList';
import { Empty, Failed } from '../components/StateView';
import { useI18n } from '../i18n';
import { showsErrorsOnly, textTerms, toggleErrors, withTerm } from '../state/filter';
import { useKeys } from '../state/keys';
import { arrived, EMPTY_TAIL, type Tail } from '../state/tail';

type Connection = 'connecting' | 'open' | 'ended';
const AGAIN_MS = 2000;

/** Follows the rows that match `q`; connects again when the stream ends. */
function useTail(q: string, held: boolean): { tail: Tail; connection: Connection; error: unknown; clear: () => void } {
  const [tail, setTail] = useState(EMPTY_TAIL);
  const [connection, setConnection] = useState<Connection>('connecting');
  const [error, setError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  const hold = useRef(held);
  hold.current = held;
  useEffect(() => {
    if (!held) setTail((now) => (now.waiting.length ? arrived(now, [], false) : now));
  }, [held]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another filter starts an empty list
  useEffect(() => setTail(EMPTY_TAIL), [q]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new attempt connects again
  useEffect(() => {
    const abort = new AbortController();
    let again: ReturnType<typeof setTimeout> | undefined;
    // Rows of one frame are shown together: a burst costs one drawing, not one per event.
    let batch: LogRow[] = [];
    let frame = 0;
    const flush = (): void => {
      frame = 0;
      const rows = batch;
      batch = [];
      setTail((now) => arrived(now, rows, hold.current || document.hidden));
    };
    setConnection('connecting');
    follow(
      address('/api/logs/tail', { q }),
      () => {
        setConnection('open');
        setError(null);
      },
      (event) => {
        if (event.event === 'dropped') {
          const { count } = JSON.parse(event.data) as { count: number };
          setTail((now) => ({ ...now, dropped: now.dropped + count }));
        } else if (event.event === 'rows') {
          batch.push(...(JSON.parse(event.data) as { rows: LogRow[] }).rows);
          frame ||= window.setTimeout(flush, 100);
        }
      },
      abort.signal,
    )
      .catch((cause: unknown) => {
        if (!abort.signal.aborted) setError(cause);
      })
      .finally(() => {
        if (abort.signal.aborted) return;
        setConnection('ended');
        again = setTimeout(() => setAttempt((now) => now + 1), AGAIN_MS);
      });
    return () => {
      abort.abort();
      clearTimeout(again);
      clearTimeout(frame);
    };
  }, [q, attempt]);
  return { tail, connection, error, clear: useCallback(() => setTail(EMPTY_TAIL), []) };
}

export function LogTail() {
  const { t, num } = useI18n();
  const [search, patch] = useUrl();
  const q = search.q ?? '';
  const [paused, setPaused] = useState(false);
  const [away, setAway] = useState(false);
  const [selected, setSelected] = useState<LogRow | null>(null);
  const list = useRef<LogListHandle>(null);
  const held = paused || away || selected !== null;
  const { tail, connection, error, clear } = useTail(q, held);
  useEffect(() => {
    if (!held && tail.rows.length) list.current?.toEnd();
  }, [held, tail.rows]);
  const setFilter = (next: string): void => patch({ q: next || undefined });
  const resume = (): void => {
    setPaused(false);
    setAway(false);
    setSelected(null);
  };
  useKeys({ e: () => setFilter(toggleErrors(q)), r: () => (held ? resume() : setPaused(true)) });
  return (
    <div className="screen" data-fill="">
      <div className="crumb">
        <To path="/logs" search={{ q: search.q }} className="link">
          {t('nav.logs')}
        </To>
        <span className="faint">/</span>
        <h1>{t('nav.tail')}</h1>
        <span className="status" data-status={connection === 'open' ? (held ? 'unknown' : 'ok') : 'warn'} role="status">
          <b aria-hidden="true">{connection === 'open' ? (held ? '❚❚' : '●') : '▲'}</b>{' '}
          {connection === 'open'
            ? t(held ? 'tail.paused' : 'tail.live')
            : t(connection === 'connecting' ? 'tail.connecting' : 'tail.ended')}
        </span>
        <span className="grow" />
        <Button size="compact-sm" variant="default" leftSection={<IconTrash size={14} />} onClick={clear}>
          {t('tail.clear')}
        </Button>
        <Button
          size="compact-sm"
          variant={held ? 'filled' : 'default'}
          leftSection={held ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
          onClick={() => (held ? resume() : setPaused(true))}
        >
          {t(held ? 'tail.resume' : 'tail.pause')}
        </Button>
      </div>
      <FilterBar value={q} onChange={setFilter} placeholder={t('logs.placeholder')}>
        <Button
          size="compact-sm"
          variant={showsErrorsOnly(q) ? 'filled' : 'default'}
          aria-pressed={showsErrorsOnly(q)}
          onClick={() => setFilter(toggleErrors(q))}
        >
          {t('filter.errors')} <span className="kbd">e</span>
        </Button>
      </FilterBar>
      <div className="split">
        <section className="panel" data-fill="" aria-label={t('nav.tail')}>
          <div className="result" role="status">
            <span className="num result-lead">{t('logs.rows', { n: num(tail.rows.length) })}</span>
            {tail.dropped ? (
              <span className="warn-text num">▲ {t('tail.dropped', { n: num(tail.dropped) })}</span>
            ) : null}
            <span className="grow" />
            {tail.waiting.length ? (
              <Button size="compact-xs" variant="light" leftSection={<IconArrowBarToDown size={13} />} onClick={resume}>
                {t('tail.waiting', { n: num(tail.waiting.length) })}
              </Button>
            ) : null}
          </div>
          {tail.rows.length ? (
            <LogList
              label={t('nav.tail')}
              rows={tail.rows}
              selected={selected?.id}
              active={-1}
              words={textTerms(q)}
              onSelect={(index) => setSelected(tail.rows[index] ?? null)}
              onScroll={(element) => setAway(element.scrollHeight - element.scrollTop - element.clientHeight > 60)}
              handle={list}
            />
          ) : error ? (
            <Failed error={error} />
          ) : (
            <Empty title={t('tail.empty')}>
              <p>{t('tail.emptyHint')}</p>
            </Empty>
          )}
        </section>
        {selected ? (
          <LogDetail
            key={selected.id}
            row={selected}
            onClose={() => setSelected(null)}
            onFilter={(field, value, exclude) => setFilter(withTerm(q, field, value, exclude))}
          />
        ) : null}
      </div>
    </div>
  );
}
