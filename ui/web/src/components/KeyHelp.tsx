import { Modal } from '@mantine/core';
import { PLACES } from '../app/routes';
import { type Key, useI18n } from '../i18n';

const KEYS: readonly [string, Key][] = [
  ['mod K', 'keys.palette'],
  ['/', 'keys.filter'],
  ['t', 'keys.range'],
  ['r', 'keys.refresh'],
  ['[  ]', 'keys.shift'],
  ['z', 'keys.zoom'],
  ['e', 'keys.errors'],
  ['j  k', 'keys.move'],
  ['Enter', 'keys.open'],
  ['←  →', 'keys.fold'],
  ['mod Enter', 'keys.run'],
  ['Esc', 'keys.close'],
  ['?', 'keys.help'],
];

export function KeyHelp({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useI18n();
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('keys.title')}
      size="md"
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split('  ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
        {PLACES.map((place) => (
          <div key={place.path}>
            <dt>
              <kbd>g</kbd>
              <kbd>{place.key}</kbd>
            </dt>
            <dd>{t(place.title)}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
