// Questions that people have to answer before they go on.

import { make } from './dom.js';

/**
 * @param {{title: string, text?: string, confirm: string, input?: {label: string, value: string}, isDanger?: boolean}} question
 * @returns {Promise<string | null>} the text entered, empty if the question has no input; null if the person declines
 */
export function ask({ title, text, confirm, input, isDanger = false }) {
  const field = input && make('input', { type: 'text', maxlength: 200, id: 'answer', autocomplete: 'off', dir: 'auto' });
  if (field && input) field.value = input.value;
  const form = make(
    'form',
    { method: 'dialog' },
    make('h2', { id: 'question' }, title),
    text ? make('p', {}, text) : null,
    input && field ? make('label', { for: 'answer' }, input.label) : null,
    field,
    make(
      'div',
      { class: 'dialog-actions' },
      make('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, 'Cancel'),
      make('button', { type: 'submit', class: isDanger ? 'danger' : 'primary', value: 'yes' }, confirm),
    ),
  );
  const dialog = make('dialog', { 'aria-labelledby': 'question' }, form);
  // The page's policy forbids every form to be sent, even a dialog's own.
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    dialog.close('yes');
  });
  document.body.append(dialog);
  dialog.showModal();
  if (field) field.select();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes' ? (field?.value.trim() ?? '') : null);
      dialog.remove();
    });
  });
}

/** Take every question back, as if the person had declined. */
export function dropQuestions() {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}
