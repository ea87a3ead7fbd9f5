import { ActionIcon, Button, TextInput } from '@mantine/core';
import { IconFilter, IconX } from '@tabler/icons-react';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useI18n } from '../i18n';
import { terms, withoutTerm } from '../state/filter';
import { useKeys } from '../state/keys';

interface FilterBarProps {
  value: string;
  onChange: (filter: string) => void;
  placeholder: string;
  /** Byte offset that the server complained about. */
  problem?: string | undefined;
  children?: ReactNode;
}

/** Filter text and its field terms as chips. Typing asks nothing; `Enter` does. `/` moves the focus here. */
export function FilterBar({ value, onChange, placeholder, problem, children }: FilterBarProps) {
  const { t } = useI18n();
  const [text, setText] = useState(value);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(value), [value]);
  useKeys({
    '/': () => {
      input.current?.focus();
      input.current?.select();
    },
  });
  const chips = terms(value).filter((each) => /^-?[\w.\-/"]+(:|>=|<=|>|<)/.test(each));
  return (
    <div className="filter">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onChange(text.trim());
        }}
      >
        <TextInput
          ref={input}
          size="xs"
          className="filter-input"
          leftSection={<IconFilter size={14} />}
          rightSection={
            text ? (
              <ActionIcon
                variant="subtle"
                color="gray"
                size={22}
                aria-label={t('filter.clear')}
                onClick={() => {
                  setText('');
                  onChange('');
                }}
              >
                <IconX size={13} />
              </ActionIcon>
            ) : (
              <span className="kbd">/</span>
            )
          }
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Escape') return;
            event.preventDefault();
            event.stopPropagation();
            setText(value);
            event.currentTarget.blur();
          }}
          placeholder={placeholder}
          aria-label={t('filter.label')}
          aria-invalid={problem ? true : undefined}
          spellCheck={false}
          autoComplete="off"
        />
        <Button type="submit" size="compact-sm" variant={text.trim() === value ? 'default' : 'filled'}>
          {t('filter.apply')}
        </Button>
        {children}
      </form>
      {chips.length ? (
        <ul className="chips" aria-label={t('filter.terms')}>
          {chips.map((chip) => (
            <li key={chip} className="term" data-exclude={chip.startsWith('-') || undefined}>
              <span>{chip}</span>
              <button
                type="button"
                aria-label={`${t('filter.remove')}: ${chip}`}
                onClick={() => onChange(withoutTerm(value, chip))}
              >
                <IconX size={12} />
              </button>
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}
