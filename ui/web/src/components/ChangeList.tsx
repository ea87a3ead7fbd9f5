import { useSlots } from '../api/queries';
import type { Change } from '../api/reliability';
import { To } from '../app/navigation';
import { useI18n } from '../i18n';
import { Dot } from './marks';
import { PlaceLink } from './PlaceLink';
import './reliability.css';
import { changeText } from './words';

/** Changes, newest first, each with its time, service, what changed and by whom. */
export function ChangeList({
  changes,
  most,
  own = false,
}: {
  changes: readonly Change[];
  most: number;
  own?: boolean;
}) {
  const i18n = useI18n();
  const { t, num, clock, dateTime } = i18n;
  const slotOf = useSlots();
  const newest = [...changes].sort((a, b) => Date.parse(b.time) - Date.parse(a.time));
  const first = newest.at(-1);
  const days = first ? Date.now() - Date.parse(first.time) > 12 * 3600e3 : false;
  return (
    <ul className="rows changes">
      {newest.slice(0, most).map((change) => (
        <li key={change.id}>
          <span className="num faint">{days ? dateTime(change.time).replace(/:\d\d$/, '') : clock(change.time)}</span>
          {own ? null : (
            <To path={`/services/${encodeURIComponent(change.service)}`} className="chip cell-link strong">
              <Dot slot={slotOf(change.service)} />
              <span>{change.service}</span>
            </To>
          )}
          <span className="change-text" title={change.message ?? undefined}>
            {changeText(i18n, change)}
            {change.message ? <span className="faint"> {change.message}</span> : null}
          </span>
          <span className="grow" />
          {change.author ? <span className="faint">{change.author}</span> : null}
          <PlaceLink link={change.link}>{t('change.open')}</PlaceLink>
        </li>
      ))}
      {newest.length > most ? <li className="faint">{t('more', { n: num(newest.length - most) })}</li> : null}
    </ul>
  );
}
