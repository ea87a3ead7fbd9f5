import { Button, Textarea } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { postJson } from '../api/client';
import type { IncidentDetail } from '../api/reliability';
import { useI18n } from '../i18n';

const MOST_CHARACTERS = 4000;

/** Adds a note to the timeline of an incident. */
export function NoteForm({ incident }: { incident: string }) {
  const { t } = useI18n();
  const [text, setText] = useState('');
  const queries = useQueryClient();
  const add = useMutation({
    mutationFn: (note: string) =>
      postJson<IncidentDetail>(`/api/incidents/${encodeURIComponent(incident)}/notes`, { text: note }),
    onSuccess: (detail) => {
      queries.setQueryData(['incident', incident], detail);
      setText('');
    },
  });
  const note = text.trim();
  const submit = (): void => {
    if (note && !add.isPending) add.mutate(note);
  };
  return (
    <form
      className="note-form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Textarea
        size="xs"
        autosize={false}
        rows={2}
        maxLength={MOST_CHARACTERS}
        aria-label={t('incident.note')}
        placeholder={t('incident.notePlaceholder')}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
        }}
        error={add.error ? add.error.message : undefined}
      />
      <Button type="submit" size="compact-sm" variant="default" disabled={!note} loading={add.isPending}>
        {t('incident.addNote')}
      </Button>
    </form>
  );
}
