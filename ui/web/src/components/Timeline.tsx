import { IconBell, IconBellCheck, IconBulb, IconFlag3, IconMessage, IconRocket, IconSend } from '@tabler/icons-react';
import { useSlots } from '../api/queries';
import type { EventKind, TimelineEvent } from '../api/reliability';
import { type Key, useI18n } from '../i18n';
import { epochMs } from '../i18n/format';
import { isWebLink, placeOfLink } from '../state/cause';
import { Dot } from './marks';
import { PlaceLink } from './PlaceLink';
import './reliability.css';
import { textOf } from './words';

const KIND: Record<EventKind, { icon: typeof IconBell; name: Key; tone?: 'crit' | 'ok' | 'accent' }> = {
  alert_firing: { icon: IconBell, name: 'event.alert_firing', tone: 'crit' },
  alert_resolved: { icon: IconBellCheck, name: 'event.alert_resolved', tone: 'ok' },
  change: { icon: IconRocket, name: 'event.change' },
  onset: { icon: IconFlag3, name: 'event.onset', tone: 'crit' },
  report: { icon: IconBulb, name: 'event.report', tone: 'accent' },
  notification: { icon: IconSend, name: 'event.notification' },
  note: { icon: IconMessage, name: 'event.note', tone: 'accent' },
};

/** Everything that happened, oldest first: alerts, changes, onset, report, notifications, notes. */
export function Timeline({ events }: { events: readonly TimelineEvent[] }) {
  const i18n = useI18n();
  const { t, clock, dateTime } = i18n;
  const slotOf = useSlots();
  const ordered = [...events].sort((a, b) => epochMs(a.timestamp) - epochMs(b.timestamp));
  const [first, last] = [ordered[0], ordered.at(-1)];
  const days = first && last ? epochMs(last.timestamp) - epochMs(first.timestamp) > 12 * 3600e3 : false;
  return (
    <ol className="timeline">
      {ordered.map((event, i) => {
        const kind = KIND[event.kind] ?? KIND.note;
        const text = textOf(i18n, event.title);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: two events may say the same at the same time
          <li key={`${event.timestamp} ${i}`} data-tone={kind.tone}>
            <span className="timeline-icon" title={t(kind.name)}>
              <kind.icon size={13} stroke={1.9} role="img" aria-label={t(kind.name)} />
            </span>
            <span className="timeline-time num">{days ? dateTime(event.timestamp) : clock(event.timestamp)}</span>
            <span className="timeline-text">
              {event.service ? <Dot slot={slotOf(event.service)} /> : null}
              {placeOfLink(event.link) || isWebLink(event.link) ? (
                <PlaceLink link={event.link}>{text}</PlaceLink>
              ) : (
                <span className={event.kind === 'note' ? 'keep-lines' : ''}>{text}</span>
              )}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
