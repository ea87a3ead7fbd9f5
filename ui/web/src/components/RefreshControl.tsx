import { ActionIcon, Menu, Tooltip } from '@mantine/core';
import { IconChevronDown, IconRefresh } from '@tabler/icons-react';
import { useIsFetching } from '@tanstack/react-query';
import { useUrl } from '../app/navigation';
import { useWindow } from '../app/window';
import { useI18n } from '../i18n';
import { useKeys } from '../state/keys';

const INTERVALS = [5, 10, 30, 60, 300];

export function RefreshControl() {
  const { t } = useI18n();
  const { refresh, interval } = useWindow();
  const [, patch] = useUrl();
  const fetching = useIsFetching() > 0;
  useKeys({ r: refresh });
  return (
    <div className="refresh">
      <Tooltip label={`${t('refresh.now')} (r)`}>
        <ActionIcon
          variant="default"
          size={26}
          aria-label={t('refresh.now')}
          onClick={refresh}
          data-busy={fetching || undefined}
        >
          <IconRefresh size={15} />
        </ActionIcon>
      </Tooltip>
      <Menu position="bottom-end" withinPortal>
        <Menu.Target>
          <ActionIcon
            variant="default"
            size={26}
            w={interval ? 'auto' : 26}
            px={interval ? 6 : 0}
            aria-label={t('refresh.every')}
          >
            {interval ? <span className="num">{interval} s</span> : null}
            <IconChevronDown size={13} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{t('refresh.every')}</Menu.Label>
          <Menu.Item onClick={() => patch({ refresh: undefined })}>{t('refresh.off')}</Menu.Item>
          {INTERVALS.map((seconds) => (
            <Menu.Item
              key={seconds}
              onClick={() => patch({ refresh: String(seconds) })}
              aria-current={seconds === interval}
            >
              {seconds < 60 ? `${seconds} s` : `${seconds / 60} min`}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}
