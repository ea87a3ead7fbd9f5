import type { ReactNode } from 'react';
import { To } from '../app/navigation';
import { isWebLink, placeOfLink } from '../state/cause';

/** A link as an answer carries it: a screen of ours with its state, or a page elsewhere; nothing where it leads nowhere. */
export function PlaceLink({
  link,
  className = 'link',
  children,
}: {
  link: string | null | undefined;
  className?: string;
  children: ReactNode;
}) {
  const place = placeOfLink(link);
  if (place) {
    return (
      <To path={place.path} search={place.search} className={className}>
        {children}
      </To>
    );
  }
  if (!isWebLink(link)) return null;
  return (
    <a href={link} className={className} target="_blank" rel="noreferrer">
      {children}
    </a>
  );
}
