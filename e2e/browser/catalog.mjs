// The catalog as people use it: from the first sign-in to an API that is linked, unlinked and hidden again; then without a
// mouse. Every page on the way is judged (axe in light and dark, 360 pixels), empty ones too.

import { Session, must } from './session.mjs';

const session = await Session.start();
const { base, email, password, source } = session.given;

const go = (page, path) => page.goto(base + path);
const results = (page) => page.locator('#results');
const rows = (page) => page.locator('[data-test=api-row]');

async function signIn(page) {
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await session.leads(() => page.getByRole('button', { name: 'Sign in' }).click());
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

await session.step('who is not signed in is asked to, and wrong passwords are refused', async (page) => {
  await go(page, '/discovery');
  await session.judge('sign in');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill('this is not the password');
  session.expect(/answer 4\d\d: POST .*sign-in/, /console: .*status of 4\d\d/);
  await session.leads(() => page.getByRole('button', { name: 'Sign in' }).click());
  await page.locator('[data-test=error]').waitFor();
});

await session.step('signing in leads to where one wanted to go', async (page) => {
  await go(page, '/discovery');
  await signIn(page);
  await page.getByRole('heading', { name: 'API discovery', level: 1 }).waitFor();
});

await session.step('empty pages say what to do next', async (page) => {
  for (const [path, heading] of [
    ['/', 'Overview'],
    ['/sources', 'API sources'],
    ['/discovery', 'API discovery'],
    ['/catalog', 'API catalog'],
    ['/targets', 'Targets'],
    ['/scans', 'Scans'],
  ]) {
    await go(page, path);
    await page.getByRole('heading', { name: heading, level: 1 }).waitFor();
    const advice = page.locator('main [data-test=empty], main [data-test=next-steps]').first();
    must(await advice.locator('a, button').count(), `${path} says nothing to do next`);
    await session.judge(`empty ${heading}`);
  }
});

await session.step('a source is added, and gives the command that connects a collector', async (page) => {
  await go(page, '/sources');
  await session.leads(() => page.getByRole('link', { name: 'Add source' }).first().click());
  await session.judge('add source');
  await page.getByRole('radio', { name: /Traffic analyzer/ }).check();
  await page.getByLabel('Name').fill(source);
  must(await page.getByLabel('Exclude empty specifications').isChecked(), 'empty specifications are not excluded by default');
  await session.leads(() => page.getByRole('button', { name: 'Add source' }).click());
  await page.getByRole('heading', { name: source, level: 1 }).waitFor();
  await page.getByText('Awaiting setup').first().waitFor();
  await session.judge('source with token');
  const command = (await page.locator('[data-test=register-command]').innerText()).trim();
  must(/^silhouette-collector register /.test(command), `not a command: ${command}`);
  await session.ask('register', command);
  // The page looks again by itself.
  await page.getByText('Awaiting for sync').first().waitFor();
});

await session.step('a token is shown once', async (page) => {
  await go(page, '/sources');
  await session.leads(() => page.locator('[data-test=source-row]').getByRole('link', { name: source }).first().click());
  await page.getByRole('heading', { name: source, level: 1 }).waitFor();
  must((await page.locator('[data-test=registration-token]').count()) === 0, 'it is shown again');
});

await session.step('traffic becomes a discovered API', async (page) => {
  await session.ask('traffic');
  await go(page, '/sources');
  await page.locator('[data-test=source-row]').getByText('Sync completed').first().waitFor();
  await session.judge('sources');
  await go(page, '/discovery');
  await rows(page).filter({ hasText: session.given.host }).waitFor();
  must((await rows(page).count()) === 1, `${await rows(page).count()} APIs instead of one`);
  await session.judge('discovery');
});

await session.step('the API says what it is', async (page) => {
  await session.leads(() => rows(page).getByRole('rowheader').getByRole('link').click());
  await page.getByRole('heading', { level: 1 }).waitFor();
  for (const path of session.given.paths) await page.getByText(path).first().waitFor();
  await session.judge('api operations');
  const tabs = page.getByRole('navigation', { name: 'About this API' }).getByRole('link');
  for (let n = 0; n < (await tabs.count()); n += 1) {
    await session.leads(() => tabs.nth(n).click());
    await session.judge(`api tab ${n + 1}`);
  }
});

await session.step('linking to a target that does not fit is refused, and offers the one that does', async (page) => {
  await go(page, '/targets');
  await page.getByRole('link', { name: 'Create target' }).first().click();
  const form = page.getByRole('dialog');
  await form.getByLabel('URL').fill(`${session.given.origin}/elsewhere`);
  await session.judge('target dialog');
  await session.leads(() => form.getByRole('button', { name: /^Create/ }).click());
  await page.locator('[data-test=target-row]').getByText('/elsewhere').first().waitFor();
  await session.judge('targets');
  await go(page, '/discovery');
  await page.getByRole('link', { name: /^Link .* to a target$/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Target').selectOption({ index: 0 });
  await session.judge('link dialog');
  session.expect(/answer (409|422): POST .*link/, /console: .*status of (409|422)/);
  await dialog.getByRole('button', { name: 'Link', exact: true }).click();
  await dialog.locator('[data-test=error]').waitFor();
  await session.judge('link refused');
  await session.leads(() => dialog.getByRole('button', { name: /and link$/ }).click());
  await page.locator('[data-test=flash]').waitFor();
  await page.reload();
  must((await page.locator('[data-test=flash]').count()) === 0, 'what was done is told again');
});

await session.step('a linked API is in the catalog and no longer in discovery', async (page) => {
  await go(page, '/discovery');
  await results(page).waitFor();
  must((await rows(page).count()) === 0, 'it is still in discovery');
  await go(page, '/catalog');
  await rows(page).filter({ hasText: session.given.host }).waitFor();
  await page.getByRole('button', { name: /^Endpoints of/ }).click();
  await page.locator('[data-test=endpoints]').getByText(session.given.paths[0]).first().waitFor();
  await session.judge('catalog');
});

await session.step('unlinking brings it back', async (page) => {
  await session.leads(() => page.getByRole('button', { name: /^Unlink/ }).click());
  await page.locator('[data-test=flash]').waitFor();
  await go(page, '/catalog');
  must((await rows(page).count()) === 0, 'it is still in the catalog');
  await go(page, '/discovery');
  must((await rows(page).count()) === 1, 'it is not in discovery');
});

await session.step('a hidden API is shown only when asked for', async (page) => {
  await page.getByRole('checkbox', { name: /^Select .*[^e]$/ }).last().check();
  await session.leads(() => page.getByRole('button', { name: 'Hide', exact: true }).click());
  await page.locator('[data-test=flash]').waitFor();
  must((await rows(page).count()) === 0, 'it is still shown');
  await page.getByLabel('Show hidden APIs').check();
  await rows(page).getByText('Hidden').waitFor();
  must(/hidden/.test(new URL(page.url()).search), `the filter is not in the URL: ${page.url()}`);
  await session.judge('hidden');
  await page.reload();
  await rows(page).getByText('Hidden').waitFor();
  await page.getByRole('checkbox', { name: /^Select .*[^e]$/ }).last().check();
  await session.leads(() => page.getByRole('button', { name: 'Show again' }).click());
  await go(page, '/discovery');
  await rows(page).waitFor();
});

await session.step('pages that are not empty any more, and the others', async (page) => {
  for (const path of ['/', '/targets', '/audit', '/settings', '/settings/users', '/settings/roles', '/settings/keys']) {
    await go(page, path);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await session.judge(`page ${path}`);
  }
});

await session.step('what is not there says so, with a way on', async (page) => {
  session.expect(/answer 404/, /console: .*status of 404/);
  await go(page, '/apis/00000000-0000-7000-8000-000000000000');
  await page.getByRole('link').first().waitFor();
  await session.judge('not found');
});

await session.step('Swagger UI lists four definitions', async (page) => {
  await go(page, '/swagger/');
  const select = page.locator('select#select');
  await select.waitFor();
  const names = await select.locator('option').allInnerTexts();
  const expected = ['Inventory REST API', 'API Importers API', 'External Scan API', 'Identity API'];
  must(JSON.stringify(names) === JSON.stringify(expected), `${names}`);
  await page.locator('.opblock').first().waitFor();
});

await session.step('signing out ends the session', async (page) => {
  await go(page, '/');
  await session.leads(() => page.getByRole('button', { name: 'Sign out' }).click());
  await page.getByLabel('Password').waitFor();
  await go(page, '/discovery');
  await page.getByLabel('Password').waitFor();
});

await session.step('all of it goes without a mouse', async (page) => {
  await go(page, '/discovery');
  await session.tabTo(page.getByLabel('E-mail address'));
  await page.keyboard.type(email);
  await session.tabTo(page.getByLabel('Password'));
  await page.keyboard.type(password);
  await session.leads(() => page.keyboard.press('Enter'));
  await page.getByRole('heading', { name: 'API discovery', level: 1 }).waitFor();

  // The first stop leads past the navigation.
  await session.tabTo(page.getByRole('link', { name: 'Skip to the page' }), 1);
  await page.keyboard.press('Enter');
  await page.keyboard.press('/');
  must(await page.getByRole('searchbox').evaluate((field) => field === document.activeElement), 'the key / does not lead to the search');

  const link = page.getByRole('link', { name: /^Link .* to a target$/ });
  await session.tabTo(link);
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  for (let n = 0; n < 12; n += 1) {
    await page.keyboard.press('Tab');
    const outside = await page.evaluate(() => {
      const focused = document.activeElement;
      return focused !== document.body && !focused.closest('dialog') ? focused.outerHTML.slice(0, 120) : null;
    });
    must(outside === null, `the focus leaves the dialog: ${outside}`);
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  must(await link.evaluate((element) => element === document.activeElement), 'the focus does not come back from the dialog');

  await session.tabTo(page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'API sources' }));
  await session.leads(() => page.keyboard.press('Enter'));
  await page.getByRole('heading', { name: 'API sources', level: 1 }).waitFor();
  await session.tabTo(page.getByRole('link', { name: source }).first());
  await session.leads(() => page.keyboard.press('Enter'));
  await page.getByRole('heading', { name: source, level: 1 }).waitFor();
});

await session.end();
