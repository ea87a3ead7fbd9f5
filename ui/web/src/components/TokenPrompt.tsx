import { Button, Modal, PasswordInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { token } from '../api/client';
import { useI18n } from '../i18n';

/** Asks for an access token when the server refuses a request for want of one. */
export function TokenPrompt() {
  const { t } = useI18n();
  const [open, setOpen] = useState(false);
  const [value, setValue] = useState('');
  const queries = useQueryClient();
  useEffect(() => token.onRefused(() => setOpen(true)), []);
  return (
    <Modal
      opened={open}
      onClose={() => setOpen(false)}
      title={t('token.title')}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          token.set(value.trim() || null);
          setOpen(false);
          setValue('');
          void queries.resetQueries();
        }}
      >
        <p className="hint">{t('token.hint')}</p>
        <PasswordInput
          label={t('token.label')}
          value={value}
          onChange={(event) => setValue(event.currentTarget.value)}
          autoComplete="off"
          data-autofocus
        />
        <Button type="submit" size="compact-md">
          {t('token.use')}
        </Button>
      </form>
    </Modal>
  );
}
