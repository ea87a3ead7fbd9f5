import { ActionIcon, Tooltip } from '@mantine/core';
import { IconMinus, IconPlus } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { Json } from '../api/types';
import { useI18n } from '../i18n';
import { CopyButton } from './copy';

/** A value as people read it: text without quotes, everything else as JSON. */
export function valueText(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export interface Field {
  name: string;
  value: Json;
  /** Name in the search language; absent where it cannot be filtered by. */
  filter?: string | undefined;
  link?: ReactNode;
}

/** Names and values, each value with + and - for the filter and a copy button. */
export function FieldList({
  title,
  fields,
  onFilter,
}: {
  title: string;
  fields: readonly Field[];
  onFilter?: (field: string, value: string, exclude: boolean) => void;
}) {
  const { t } = useI18n();
  if (!fields.length) return null;
  return (
    <section className="fields">
      <h3>{title}</h3>
      <dl>
        {fields.map(({ name, value, filter, link }) => {
          const text = valueText(value);
          return (
            <div key={name} className="field">
              <dt title={name}>{name}</dt>
              <dd data-type={typeof value}>
                {link ?? text}
                <span className="field-actions">
                  {filter && onFilter && typeof value !== 'object' ? (
                    <>
                      <Tooltip label={t('filter.only')}>
                        <ActionIcon
                          variant="subtle"
                          color="gray"
                          size={24}
                          aria-label={`${t('filter.only')}: ${name}`}
                          onClick={() => onFilter(filter, text, false)}
                        >
                          <IconPlus size={13} />
                        </ActionIcon>
                      </Tooltip>
                      <Tooltip label={t('filter.exclude')}>
                        <ActionIcon
                          variant="subtle"
                          color="gray"
                          size={24}
                          aria-label={`${t('filter.exclude')}: ${name}`}
                          onClick={() => onFilter(filter, text, true)}
                        >
                          <IconMinus size={13} />
                        </ActionIcon>
                      </Tooltip>
                    </>
                  ) : null}
                  <CopyButton text={text} label={`${t('action.copy')}: ${name}`} />
                </span>
              </dd>
            </div>
          );
        })}
      </dl>
    </section>
  );
}
