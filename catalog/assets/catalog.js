// What the pages do beyond plain links and forms. Everything here is a convenience: without it each of these is a page or a
// form of its own. No evaluation of strings, no inline styles: the content security policy allows neither.
(() => {
  'use strict';
  const root = document.documentElement;
  root.classList.remove('no-js');

  const say = (text, tone) => {
    const toast = document.getElementById('toast');
    if (!toast) return;
    const note = document.createElement('div');
    note.className = `note ${tone}`;
    note.textContent = text;
    toast.replaceChildren(note);
    window.clearTimeout(say.timer);
    say.timer = window.setTimeout(() => toast.replaceChildren(), 8000);
  };

  // The dialog: a link with data-dialog shows its page's #dialog-content in it. Chosen rows of its form go along.
  const dialog = () => document.getElementById('dialog');
  const openDialog = (url) => {
    const box = dialog();
    window.htmx
      .ajax('GET', url, { target: '#dialog-content', select: '#dialog-content', swap: 'outerHTML' })
      .then(() => {
        if (!box.open) box.showModal();
        const first = box.querySelector('[autofocus], .content input:not([type=hidden]), .content select, .content textarea, .content button');
        if (first) first.focus();
      });
  };

  const chosen = (form) => [...form.querySelectorAll('input[name=api]:checked')];
  const count = (form) => {
    const boxes = [...form.querySelectorAll('input[name=api]')];
    const on = chosen(form).length;
    const label = form.querySelector('[data-chosen]');
    if (label) label.textContent = on === 0 ? 'Nothing selected' : `${on} selected`;
    const all = form.querySelector('[data-all]');
    if (all) {
      all.checked = on > 0 && on === boxes.length;
      all.indeterminate = on > 0 && on < boxes.length;
    }
    for (const button of form.querySelectorAll('[data-needs-choice]')) button.disabled = on === 0;
  };
  const ready = (scope) => {
    for (const form of scope.querySelectorAll('form[data-choose]')) count(form);
    if (scope.matches && scope.closest && scope.closest('form[data-choose]')) count(scope.closest('form[data-choose]'));
    for (const copy of scope.querySelectorAll('[data-copy][hidden]')) copy.hidden = false;
    for (const all of scope.querySelectorAll('[data-all]')) all.hidden = false;
  };

  document.addEventListener('click', (event) => {
    const target = event.target.closest('[data-dialog], [data-close], [data-copy], [data-menu], [data-collapse]');
    if (!target) return;
    if (target.matches('[data-dialog]') && window.htmx && dialog() && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      let url = target.getAttribute('href') ?? target.getAttribute('formaction');
      const form = target.closest('form[data-choose]');
      if (form && !target.hasAttribute('href')) {
        const query = new URLSearchParams(chosen(form).map((box) => ['api', box.value]));
        url += `${url.includes('?') ? '&' : '?'}${query}`;
      }
      openDialog(url);
    } else if (target.matches('[data-close]')) {
      const box = target.closest('dialog');
      if (box) {
        event.preventDefault();
        box.close();
      }
    } else if (target.matches('[data-copy]')) {
      const text = document.getElementById(target.dataset.copy)?.textContent ?? '';
      navigator.clipboard.writeText(text.trim()).then(() => say('Copied to the clipboard', 'good'), () => say('The browser did not allow copying; select the text instead', 'bad'));
    } else if (target.matches('[data-menu]')) {
      const side = document.getElementById('side');
      target.setAttribute('aria-expanded', String(side.classList.toggle('open')));
    } else if (target.matches('[data-collapse]') && target.getAttribute('aria-expanded') === 'true') {
      event.preventDefault();
      event.stopImmediatePropagation();
      const row = target.closest('tr');
      if (row.nextElementSibling?.classList.contains('inside')) row.nextElementSibling.remove();
      row.classList.remove('open');
      target.setAttribute('aria-expanded', 'false');
    }
  }, true);

  document.addEventListener('change', (event) => {
    const box = event.target;
    const form = box.closest?.('form[data-choose]');
    if (form && box.matches('[data-all]')) for (const each of form.querySelectorAll('input[name=api]')) each.checked = box.checked;
    if (form) count(form);
    if (box.matches?.('[data-shows]')) show(box);
    if (box.matches?.('select[data-submits]')) box.form.requestSubmit();
  });

  // Radio buttons that show the fields of their choice.
  const show = (box) => {
    for (const part of document.querySelectorAll('[data-shown-by]')) {
      const on = part.dataset.shownBy.split(' ').includes(box.value);
      part.hidden = !on;
      for (const field of part.querySelectorAll('input, textarea, select')) field.disabled = !on;
    }
  };

  document.addEventListener('keydown', (event) => {
    if (event.key === '/' && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest('input, textarea, select')) {
      const search = document.querySelector('[data-search]');
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    if (event.key === 'Escape' && event.target.matches?.('.status')) event.target.blur();
  });

  // A form that asks before it does what cannot be undone.
  document.addEventListener('submit', (event) => {
    const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  document.addEventListener('htmx:afterSwap', (event) => ready(event.detail.target.isConnected ? event.detail.target : document));
  document.addEventListener('htmx:afterSettle', () => ready(document.body));
  document.addEventListener('htmx:responseError', (event) => {
    const status = event.detail.xhr.status;
    if (status === 401) window.location.reload();
    else say(status === 403 ? 'Your role does not allow this' : `That did not work (${status}); try again or reload the page`, 'bad');
  });
  document.addEventListener('htmx:sendError', () => say('The catalog cannot be reached', 'bad'));
  document.addEventListener('htmx:afterRequest', (event) => {
    const button = event.detail.elt;
    if (event.detail.successful && button.matches?.('[data-collapse]')) {
      button.setAttribute('aria-expanded', 'true');
      button.closest('tr').classList.add('open');
    }
  });

  const start = () => {
    ready(document);
    const picked = document.querySelector('[data-shows]:checked');
    if (picked) show(picked);
  };
  if (document.readyState === 'loading') document.addEventListener('DOMContentLoaded', start);
  else start();
})();
