import { useEffect, useRef } from 'react';

/** Actions by key: a single key (`j`, `/`, `[`), `Escape`, or a sequence (`g l`). */
export type KeyMap = Record<string, (event: KeyboardEvent) => unknown>;

const layers: { current: KeyMap }[] = [];
let prefix = '';
let prefixUntil = 0;

const SEQUENCE_MS = 1200;

/** Whether keys pressed there are text. */
export function isEditing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.tagName === 'TEXTAREA' || target.tagName === 'SELECT') return true;
  return target instanceof HTMLInputElement && !['checkbox', 'radio', 'button', 'range'].includes(target.type);
}

/** The newest layer that knows the key acts; an action that answers `false` passes it on. */
function act(key: string, event: KeyboardEvent): boolean {
  for (let i = layers.length - 1; i >= 0; i--) {
    const action = layers[i]?.current[key];
    if (action && action(event) !== false) {
      event.preventDefault();
      return true;
    }
  }
  return false;
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  if (event.key === 'Escape') {
    prefix = '';
    act('Escape', event);
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isEditing(event.target)) return;
  if (document.querySelector('[aria-modal="true"]')) return;
  if (prefix && event.timeStamp < prefixUntil) {
    const sequence = `${prefix} ${event.key}`;
    prefix = '';
    act(sequence, event);
    return;
  }
  if (event.key === 'g') {
    prefix = 'g';
    prefixUntil = event.timeStamp + SEQUENCE_MS;
    return;
  }
  act(event.key, event);
}

/** Registers keys while the component is mounted. No single key acts while text is being edited; `Escape` always does. */
export function useKeys(map: KeyMap): void {
  const layer = useRef(map);
  layer.current = map;
  useEffect(() => {
    if (!layers.length) document.addEventListener('keydown', onKeyDown);
    layers.push(layer);
    return () => {
      layers.splice(layers.indexOf(layer), 1);
      if (!layers.length) document.removeEventListener('keydown', onKeyDown);
    };
  }, []);
}
