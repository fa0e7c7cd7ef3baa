// The panels at both sides. If the window is too narrow for them, they open over the conversation.

import { byId } from './dom.js';

const SHADE = byId('shade');

export function setUpDrawers() {
  for (const opener of document.querySelectorAll('[data-opens]')) {
    opener.addEventListener('click', () => open(/** @type {HTMLElement} */ (opener)));
  }
  for (const closer of document.querySelectorAll('[data-closes]')) closer.addEventListener('click', closeDrawers);
  SHADE.addEventListener('click', closeDrawers);
  addEventListener('resize', () => {
    const drawer = document.querySelector('.side.open');
    if (drawer && !openerOf(drawer)?.checkVisibility()) closeDrawers(); // it has a place of its own now
  });
  addEventListener('keydown', ({ key }) => {
    if (key === 'Escape' && !document.querySelector('dialog[open]')) closeDrawers();
  });
}

/** @param {HTMLElement} opener */
function open(opener) {
  closeDrawers();
  const drawer = byId(String(opener.dataset.opens));
  drawer.classList.add('open');
  opener.setAttribute('aria-expanded', 'true');
  SHADE.hidden = false;
  drawer.querySelector('button')?.focus();
}

/** Close the open drawer, and give the focus back to its opener. */
export function closeDrawers() {
  for (const drawer of document.querySelectorAll('.side.open')) {
    drawer.classList.remove('open');
    const opener = openerOf(drawer);
    opener?.setAttribute('aria-expanded', 'false');
    if (drawer.contains(document.activeElement) && opener instanceof HTMLElement) opener.focus();
  }
  SHADE.hidden = true;
}

/** @param {Element} drawer */
function openerOf(drawer) {
  return document.querySelector(`[data-opens="${drawer.id}"]`);
}
