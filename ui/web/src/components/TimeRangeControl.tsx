import { Button, NativeSelect, Popover, TextInput } from '@mantine/core';
import { IconClock } from '@tabler/icons-react';
import { useState } from 'react';
import { useUrl } from '../app/navigation';
import { usePreferences } from '../app/preferences';
import { useWindow } from '../app/window';
import { type Key, useI18n } from '../i18n';
import { useKeys } from '../state/keys';
import { parseTime, shifted, type Window, zoomedOut } from '../state/window';

const PRESETS: readonly [string, Key][] = [
  ['now-5m', 'range.5m'],
  ['now-15m', 'range.15m'],
  ['now-30m', 'range.30m'],
  ['now-1h', 'range.1h'],
  ['now-3h', 'range.3h'],
  ['now-6h', 'range.6h'],
  ['now-12h', 'range.12h'],
  ['now-24h', 'range.24h'],
  ['now-2d', 'range.2d'],
  ['now-7d', 'range.7d'],
  ['now-30d', 'range.30d'],
];

/** Name of the active time zone as it stands beside the range. */
export function zoneName(zone: string): string {
  if (zone === 'utc') return 'UTC';
  return zone === 'local' ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone;
}

export function TimeRangeControl() {
  const { t, dateTime, clock } = useI18n();
  const { window, setWindow } = useWindow();
  const [search, patch] = useUrl();
  const preferences = usePreferences();
  const [open, setOpen] = useState(false);
  const zone = search.tz ?? preferences.zone;
  useKeys({
    t: () => setOpen(true),
    '[': () => {
      const { from, to } = shifted(window, -1, Date.now());
      setWindow(from, to);
    },
    ']': () => {
      const { from, to } = shifted(window, 1, Date.now());
      setWindow(from, to);
    },
    z: () => {
      const { from, to } = zoomedOut(window, Date.now());
      setWindow(from, to);
    },
    Escape: () => (open ? setOpen(false) : false),
  });
  const preset = PRESETS.find(([from]) => from === window.fromText && window.toText === 'now');
  const sameDay = window.to - window.from < 86_400e3;
  const text = preset ? t(preset[1]) : `${dateTime(window.from)} – ${sameDay ? clock(window.to) : dateTime(window.to)}`;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" withinPortal trapFocus returnFocus>
      <Popover.Target>
        <Button
          variant="default"
          size="compact-sm"
          className="range"
          leftSection={<IconClock size={14} />}
          onClick={() => setOpen(!open)}
          aria-expanded={open}
          aria-haspopup="dialog"
        >
          {text} <span className="zone">{zoneName(zone)}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t('range.title')} className="range-pop">
        <div className="presets">
          {PRESETS.map(([from, name]) => (
            <button
              key={from}
              type="button"
              aria-pressed={preset?.[0] === from}
              onClick={() => {
                setWindow(from, 'now');
                setOpen(false);
              }}
            >
              {t(name)}
            </button>
          ))}
        </div>
        <Absolute
          key={`${window.fromText} ${window.toText}`}
          window={window}
          onApply={(from, to) => {
            setWindow(from, to);
            setOpen(false);
          }}
        />
        <NativeSelect
          size="xs"
          label={t('range.zone')}
          value={zone}
          onChange={(event) =>
            patch({ tz: event.currentTarget.value === preferences.zone ? undefined : event.currentTarget.value })
          }
          data={[...new Set(['local', 'utc', zone])].map((value) => ({
            value,
            label: value === 'local' ? `${t('range.local')} (${zoneName('local')})` : zoneName(value),
          }))}
        />
      </Popover.Dropdown>
    </Popover>
  );
}

const asText = (text: string, at: number): string =>
  /^\d+$/.test(text) ? new Date(at).toISOString().replace('.000Z', 'Z') : text;

function Absolute({
  window,
  onApply,
}: {
  window: Window;
  onApply: (from: string | number, to: string | number) => void;
}) {
  const { t } = useI18n();
  const [from, setFrom] = useState(asText(window.fromText, window.from));
  const [to, setTo] = useState(asText(window.toText, window.to));
  const now = Date.now();
  const [start, end] = [parseTime(from, now), parseTime(to, now)];
  const order = start !== null && end !== null && start >= end;
  const keep = (text: string, at: number | null): string | number => (text.startsWith('now') ? text : (at ?? text));
  return (
    <form
      className="absolute"
      onSubmit={(event) => {
        event.preventDefault();
        if (start !== null && end !== null && !order) onApply(keep(from, start), keep(to, end));
      }}
    >
      <TextInput
        size="xs"
        label={t('range.from')}
        value={from}
        onChange={(event) => setFrom(event.currentTarget.value)}
        error={start === null ? t('range.unreadable') : undefined}
        data-autofocus
      />
      <TextInput
        size="xs"
        label={t('range.to')}
        value={to}
        onChange={(event) => setTo(event.currentTarget.value)}
        error={end === null ? t('range.unreadable') : order ? t('range.order') : undefined}
      />
      <p className="hint">{t('range.hint')}</p>
      <Button type="submit" size="compact-sm" disabled={start === null || end === null || order}>
        {t('range.apply')}
      </Button>
    </form>
  );
}
