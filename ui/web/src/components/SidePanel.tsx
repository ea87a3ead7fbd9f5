import { ActionIcon, Tooltip } from '@mantine/core';
import { IconArrowsMaximize, IconArrowsMinimize, IconX } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { useI18n } from '../i18n';
import { useKeys } from '../state/keys';

/** Details beside a list; can be widened over the list; `Esc` closes it. */
export function SidePanel({
  title,
  actions,
  onClose,
  children,
}: {
  title: ReactNode;
  actions?: ReactNode;
  onClose: () => void;
  children: ReactNode;
}) {
  const { t } = useI18n();
  const [wide, setWide] = useState(false);
  useKeys({ Escape: onClose });
  const size = wide ? t('panel.narrow') : t('panel.widen');
  return (
    <aside className="side" data-wide={wide || undefined} aria-label={t('panel.details')}>
      <header>
        <h2>{title}</h2>
        <span className="grow" />
        {actions}
        <Tooltip label={size}>
          <ActionIcon variant="subtle" color="gray" size={24} aria-label={size} onClick={() => setWide(!wide)}>
            {wide ? <IconArrowsMinimize size={14} /> : <IconArrowsMaximize size={14} />}
          </ActionIcon>
        </Tooltip>
        <ActionIcon variant="subtle" color="gray" size={24} aria-label={t('action.close')} onClick={onClose}>
          <IconX size={15} />
        </ActionIcon>
      </header>
      <section className="side-body" tabIndex={0} aria-label={t('panel.details')}>
        {children}
      </section>
    </aside>
  );
}
