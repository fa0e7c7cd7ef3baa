// The form to sign in with: as anybody in development, else with e-mail and password.

import { byId, make, setText } from './dom.js';

const NOTES = {
  development: 'For development only: on this machine, everybody may be anybody. Name a tenant and a user.',
  password: 'Use the e-mail address and password of your account.',
  platform: 'Open the chat on your platform, which signs you in.',
  none: 'Nobody can sign in yet: the gateway has neither SUPABASE_URL and SUPABASE_ANON_KEY nor JOURNEY_PAGE_ORIGINS.',
};

/**
 * @param {import('./sign_in.js').SignIn} signIn
 * @param {string} [reason] why the person sees the form
 */
export function showSignInForm(signIn, reason = '') {
  const kind = signIn.config.sign_in;
  const form = /** @type {HTMLFormElement} */ (byId('sign-in-form'));
  setText(byId('sign-in-note'), `${reason} ${NOTES[kind]}`.trim());
  const problem = make('p', { class: 'problem', role: 'alert' });
  const first =
    kind === 'development'
      ? field('Tenant', { autocomplete: 'organization', value: signIn.last?.tenant ?? 'acme' })
      : field('E-mail', { type: 'email', autocomplete: 'username' });
  const second =
    kind === 'development'
      ? field('User', { autocomplete: 'username', value: signIn.last?.user ?? '' })
      : field('Password', { type: 'password', autocomplete: 'current-password' });
  if (kind === 'platform' || kind === 'none') {
    form.replaceChildren();
    return;
  }
  const button = make('button', { type: 'submit', class: 'primary wide' }, 'Sign in');
  form.replaceChildren(first.label, second.label, problem, button);
  form.onsubmit = async (event) => {
    event.preventDefault();
    const [name, secret] = [first.input.value.trim(), second.input.value];
    if (!name || !secret.trim()) {
      setText(problem, 'Fill in both fields.');
      (name ? second : first).input.focus();
      return;
    }
    button.disabled = true;
    setText(problem, '');
    try {
      if (kind === 'development') await signIn.forDevelopment(name, secret.trim());
      else await signIn.withPassword(name, secret);
    } catch (error) {
      setText(problem, error instanceof TypeError ? 'The service cannot be reached.' : /** @type {Error} */ (error).message);
    }
    button.disabled = false;
  };
  (first.input.value ? second : first).input.focus();
}

/**
 * @param {string} label
 * @param {Record<string, string>} attributes
 */
function field(label, attributes) {
  const input = make('input', { type: 'text', required: true, autocapitalize: 'none', spellcheck: 'false', ...attributes });
  return { input, label: make('label', {}, label, input) };
}
