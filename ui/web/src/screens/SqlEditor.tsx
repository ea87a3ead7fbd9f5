import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { PostgreSQL, type SQLNamespace, sql } from '@codemirror/lang-sql';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { Compartment, EditorState, Prec, StateEffect, StateField } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, lineNumbers, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { useEffect, useRef } from 'react';

const colours = HighlightStyle.define([
  { tag: tags.keyword, class: 'cm-kw' },
  { tag: [tags.string, tags.special(tags.string)], class: 'cm-str' },
  { tag: tags.number, class: 'cm-num' },
  { tag: tags.comment, class: 'cm-com' },
  { tag: [tags.function(tags.variableName), tags.standard(tags.name)], class: 'cm-fn' },
]);

const setProblem = StateEffect.define<{ from: number; to: number } | null>();
const problemField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    let next = transaction.docChanged ? Decoration.none : marks;
    for (const effect of transaction.effects) {
      if (effect.is(setProblem))
        next = effect.value
          ? Decoration.set(Decoration.mark({ class: 'cm-problem' }).range(effect.value.from, effect.value.to))
          : Decoration.none;
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/**
 * Typing over a selection, done by us: the browser would keep the look of the replaced text in a style attribute, which
 * the content security policy blocks with an error.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main } = view.state.selection;
    const text = event.data;
    if (event.inputType !== 'insertText' || !text || main.empty || event.isComposing) return false;
    event.preventDefault();
    const plain = () =>
      view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handler) => handler(view, main.from, main.to, text, plain))) view.dispatch(plain());
    return true;
  },
});

interface SqlEditorProps {
  value: string;
  label: string;
  tables: SQLNamespace;
  problem: { from: number; to: number } | null;
  onChange: (text: string) => void;
  onRun: () => void;
}

/** CodeMirror with the tables and columns of the server as completions. `mod+Enter` runs. */
export default function SqlEditor({ value, label, tables, problem, onChange, onRun }: SqlEditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const language = useRef(new Compartment());
  const latest = useRef({ onChange, onRun, value, tables });
  latest.current = { onChange, onRun, value, tables };

  useEffect(() => {
    if (!host.current) return;
    const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
    const editor = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: latest.current.value,
        extensions: [
          EditorView.cspNonce.of(nonce),
          typeOver,
          lineNumbers(),
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion({ icons: false }),
          EditorView.lineWrapping,
          Prec.highest(
            keymap.of([
              {
                key: 'Mod-Enter',
                run: () => {
                  latest.current.onRun();
                  return true;
                },
              },
            ]),
          ),
          keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
          language.current.of(sql({ dialect: PostgreSQL, upperCaseKeywords: true, schema: latest.current.tables })),
          syntaxHighlighting(colours),
          problemField,
          placeholder('SELECT …'),
          EditorView.contentAttributes.of({ 'aria-label': label }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current.onChange(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => {
      view.current = null;
      editor.destroy();
    };
  }, [label]);

  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== value)
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
  }, [value]);
  useEffect(() => {
    view.current?.dispatch({
      effects: language.current.reconfigure(sql({ dialect: PostgreSQL, upperCaseKeywords: true, schema: tables })),
    });
  }, [tables]);
  useEffect(() => {
    const editor = view.current;
    const length = editor?.state.doc.length ?? 0;
    editor?.dispatch({
      effects: setProblem.of(problem && problem.from < problem.to && problem.to <= length ? problem : null),
    });
  }, [problem]);
  return <div className="cm-host" ref={host} />;
}
