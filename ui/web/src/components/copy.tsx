import { ActionIcon, Button, Menu, Tooltip } from '@mantine/core';
import { IconCheck, IconCopy, IconShare } from '@tabler/icons-react';
import { useEffect, useState } from 'react';
import { address, token } from '../api/client';
import { useWindow } from '../app/window';
import { useI18n } from '../i18n';

/** Puts text on the clipboard, also where the page is not a secure context. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'offscreen';
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

function useCopied(): [boolean, (text: string) => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return [copied, (text) => void copyText(text).then(() => setCopied(true))];
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const { t } = useI18n();
  const [copied, copy] = useCopied();
  return (
    <Tooltip label={copied ? t('action.copied') : label}>
      <ActionIcon variant="subtle" color="gray" size={24} aria-label={label} onClick={() => copy(text)}>
        {copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
      </ActionIcon>
    </Tooltip>
  );
}

const shell = (text: string): string => `'${text.replace(/'/g, "'\\''")}'`;

/** A request as a command; the token is named, never written out. */
export function curl(path: string, params: Record<string, string | number | undefined>): string {
  const auth = token.get() ? ' -H "Authorization: Bearer $ROOTLINE_TOKEN"' : '';
  return `curl -s${auth} ${shell(address(path, params))}`;
}

/** Copies the screen as a link, as a link to this moment, and as what else the screen offers. */
export function ShareMenu({ more = [] }: { more?: { label: string; text: () => string }[] }) {
  const { t } = useI18n();
  const { window } = useWindow();
  const [copied, copy] = useCopied();
  const moment = (): string => {
    const url = new URL(location.href);
    url.searchParams.set('from', String(window.from));
    url.searchParams.set('to', String(window.to));
    return url.toString();
  };
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button
          variant="default"
          size="compact-sm"
          leftSection={copied ? <IconCheck size={14} /> : <IconShare size={14} />}
        >
          {copied ? t('action.copied') : t('action.share')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => copy(location.href)}>{t('share.link')}</Menu.Item>
        <Menu.Item onClick={() => copy(moment())}>{t('share.moment')}</Menu.Item>
        {more.map((item) => (
          <Menu.Item key={item.label} onClick={() => copy(item.text())}>
            {item.label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
