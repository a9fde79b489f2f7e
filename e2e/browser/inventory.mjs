// The catalog's pages once there is much on them: documents beside traffic, drift, differences, findings, one operation,
// people's rights. Each is judged with what it shows at its fullest, and with what it says when something is refused.

import { Session, must } from './session.mjs';

const session = await Session.start();
const { base, email, password, host, origin } = session.given;

const go = (page, path) => page.goto(base + path);
const press = (name, within = session.page) => session.leads(() => within.getByRole('button', { name, exact: true }).click());
const file = (name, value) => ({ name, mimeType: 'application/json', buffer: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)) });
let api = '';

/** A document of the bookshop: `paths` as `{ '/books': { get: {…} } }`. */
const document = (paths) => ({ openapi: '3.1.0', info: { title: 'Bookshop', version: '1' }, servers: [{ url: `${origin}/api/v1` }], paths });
const answers = { 200: { description: 'What was asked for', content: { 'application/json': { schema: { type: 'object', required: ['title'], properties: { title: { type: 'string', maxLength: 80 }, tags: { type: 'array', items: { type: 'string' } } } } } } } };
const first = document({
  '/books': { get: { summary: 'All books', deprecated: true, responses: answers } },
  '/books/{isbn}/reviews/archived': { get: { summary: 'Reviews of former years', responses: answers } },
  '/me': { get: { summary: 'Who one is', parameters: [{ name: 'verbose', in: 'query', schema: { type: 'boolean' } }], responses: answers } },
});
const second = structuredClone(first);
delete second.paths['/books/{isbn}/reviews/archived'];
second.paths['/me'].get.parameters[0].required = true;
second.paths['/me'].get.responses[404] = { description: 'Nobody' };

await session.step('the bookshop is there', async (page) => {
  await go(page, '/');
  await page.getByLabel('E-mail address').fill(email);
  await page.getByLabel('Password').fill(password);
  await press('Sign in');
  api = await session.ask('traffic');
  must(/^[0-9a-f-]{36}$/.test(api), `no API: ${api}`);
});

await session.step('a document that cannot be read is refused at its line', async (page) => {
  await go(page, '/sources/new');
  await page.getByRole('radio', { name: /OpenAPI 3 or Swagger 2 documents/ }).check();
  await page.getByLabel('Name', { exact: true }).fill('Documents');
  await press('Add source');
  await page.getByLabel('File').setInputFiles(file('broken.yaml', 'openapi: 3.1.0\ninfo:\n  title: Broken\n  version: "1\npaths: {}\n'));
  session.expect(/answer 422/, /console: .*status of 422/);
  await press('Import');
  await page.locator('[data-test=import-error]').getByText('▶').waitFor();
  await session.judge('upload refused');
});

await session.step('a document with odd places is taken, and they are listed', async (page) => {
  const odd = structuredClone(first);
  odd.paths['/me'].get.parameters[0].in = 'nowhere';
  await page.getByLabel('File').setInputFiles(file('bookshop.json', odd));
  await press('Import');
  await page.getByRole('heading', { level: 1 }).waitFor();
  must(new URL(page.url()).pathname === `/apis/${api}`, `it is not the API that is seen: ${page.url()}`);
  await go(page, `/apis/${api}/schema`);
  const select = page.getByLabel('Document', { exact: true });
  const documented = await select.locator('option', { hasText: '(documented)' }).getAttribute('value');
  await go(page, `/apis/${api}/schema?definition=${documented}`);
  await page.getByText(/^Odd places in the document/).click();
  await session.judge('schema with odd places');
});

await session.step('what changed between two revisions is told', async (page) => {
  for (const [name, value] of [['first', first], ['second', second]]) {
    await go(page, '/sources');
    await session.leads(() => page.getByRole('link', { name: 'Documents' }).first().click());
    await page.getByLabel('File').setInputFiles(file(`${name}.json`, value));
    await page.getByLabel('Name of the document').fill('bookshop.json');
    await press('Import');
    await page.locator('[data-test=flash]').getByText('is imported').waitFor();
  }
  await go(page, `/apis/${api}/revisions`);
  await session.judge('revisions');
  await session.leads(() => page.getByRole('link', { name: 'Changes of revision 3' }).click());
  await page.locator('[data-test=diff-finding]').first().waitFor();
  await page.getByText('breaking', { exact: true }).first().waitFor();
  await session.judge('revision diff');
});

await session.step('drift is shown, and leads to the operation', async (page) => {
  await go(page, `/apis/${api}/drift`);
  await page.locator('[data-test=drift-shadow]').waitFor();
  await page.locator('[data-test=drift-zombie]').waitFor();
  await session.judge('drift');
  await session.leads(() => page.locator('[data-test=drift-zombie]').getByRole('link').first().click());
  await page.locator('[data-test=operation]').getByText('deprecated').waitFor();
  await page.locator('[data-test=operation-drift]').first().waitFor();
});

await session.step('scans fill findings, those that fit no API apart', async (page) => {
  const result = (rule, level, severity, text, url) => ({
    rule: { id: rule, name: text, properties: { 'security-severity': severity } },
    result: { ruleId: rule, level, message: { text: `${text} was found while scanning.` }, webRequest: { method: 'GET', target: url } },
  });
  const all = [
    result('sqli', 'error', '9.8', 'SQL injection', `${origin}/api/v1/books`),
    result('headers', 'note', '2.0', 'A header is missing', `${origin}/api/v1/me`),
    result('open', 'warning', '5.0', 'An open directory', 'http://unknown.example/backup/'),
  ];
  const report = { version: '2.1.0', runs: [{ tool: { driver: { name: 'Prober', version: '3.2', rules: all.map(({ rule }) => rule) } }, results: all.map(({ result: one }) => one) }] };
  await go(page, '/scans');
  await page.getByRole('link', { name: 'Import results' }).first().click();
  await page.getByRole('dialog').getByLabel('SARIF file').setInputFiles(file('report.sarif', report));
  await press('Import', page.getByRole('dialog'));
  await page.locator('[data-test=scan-row]').waitFor();
  await session.judge('scans');
  await session.leads(() => page.getByRole('link', { name: '1 fit no API' }).click());
  await page.getByText('An open directory', { exact: true }).waitFor();
  await session.judge('findings that fit no API');
  await go(page, `/apis/${api}/findings`);
  must((await page.locator('[data-test=finding-row]').count()) === 2, 'not two findings');
  await session.judge('findings');
});

await session.step('the overview leads to drift and findings, in the catalog too', async (page) => {
  await go(page, '/discovery');
  await page.getByRole('link', { name: /^Link .* to a target$/ }).click();
  await session.leads(() => page.getByRole('dialog').getByRole('button', { name: /and link$/ }).click());
  await go(page, '/catalog');
  await page.getByLabel('Source', { exact: true }).fill('edge');
  await page.keyboard.press('Enter');
  await page.waitForURL(/source=edge/);
  await page.locator('[data-test=api-row]').filter({ hasText: host }).waitFor();
  await page.getByRole('button', { name: /^Endpoints of/ }).click();
  await page.locator('[data-test=endpoints]').getByText('shadow').first().waitFor();
  await session.judge('catalog with drift and findings');
  await go(page, '/');
  await page.locator('[data-test=totals]').waitFor();
  must((await page.locator('[data-test=next-steps]').count()) === 0, 'everything is done already');
  await session.judge('overview with drift and findings');
  await session.leads(() => page.getByRole('link', { name: /^Shadow: .* in the catalog$/ }).click());
  await page.locator('[data-test=api-row]').waitFor();
});

await session.step('one operation says all that is known of it', async (page) => {
  await go(page, `/apis/${api}`);
  await session.leads(() => page.getByRole('link', { name: '/api/v1/books', exact: true }).first().click());
  for (const heading of ['Request and response', 'Drift', 'Open findings', 'Known from', 'Who calls this API']) {
    await page.getByRole('heading', { name: heading }).waitFor();
  }
  await page.getByText('SQL injection', { exact: true }).waitFor();
  await session.judge('operation');
});

await session.step('filters can be cleared as soon as there are some, and the order stays', async (page) => {
  await go(page, `/apis/${api}`);
  const clear = page.getByRole('link', { name: 'Clear filters' });
  must((await clear.count()) === 0, 'there is nothing to clear yet');
  await page.locator('#results').getByRole('link', { name: /^Calls/ }).click();
  await page.waitForURL(/sort=/);
  await page.getByLabel('Method').selectOption('GET');
  await page.waitForURL(/method=GET/);
  must(/sort=/.test(page.url()), `the order is gone: ${page.url()}`);
  await session.leads(() => clear.click());
  must(!/method=/.test(page.url()), `it is still filtered: ${page.url()}`);
});

await session.step('users, roles and keys are made, and refused', async (page) => {
  await go(page, '/settings/users');
  await page.getByLabel('E-mail address').fill('ana@bookshop.example');
  await page.getByLabel('Name', { exact: true }).fill('Ana');
  await press('Add user');
  await page.locator('[data-test=secret]').waitFor();
  await session.judge('users with a first password');
  await page.getByLabel('E-mail address').fill('ana@bookshop.example');
  session.expect(/answer 4\d\d/, /console: .*status of 4\d\d/);
  await press('Add user');
  await page.getByRole('alert').first().waitFor();
  await session.judge('user refused');
  await go(page, '/settings/roles');
  await page.getByLabel('Name', { exact: true }).fill('Reviewers');
  await page.locator('form[action="/settings/roles"]').getByRole('checkbox').first().check();
  await press('Create role');
  await page.getByRole('region', { name: 'Reviewers' }).waitFor();
  await session.judge('roles with one of their own');
  await go(page, '/settings/keys');
  await page.getByLabel('Name', { exact: true }).fill('nightly export');
  await press('Create key');
  await page.locator('[data-test=secret]').waitFor();
  await session.judge('keys with a new one');
});

await session.step('a definition is detached, and its API deleted', async (page) => {
  await go(page, `/apis/${api}/revisions`);
  await page.getByRole('link', { name: 'Move bookshop.json to another API' }).click();
  const dialog = page.getByRole('dialog');
  await session.judge('move dialog');
  await press('Make it an API of its own', dialog);
  await page.locator('[data-test=flash]').getByText('an API of its own').waitFor();
  const own = new URL(page.url()).pathname;
  must(own !== `/apis/${api}`, 'it is where it was');
  await page.getByRole('link', { name: 'Delete', exact: true }).click();
  await dialog.getByText('cannot be brought back').waitFor();
  await session.judge('delete dialog');
  await press('Delete the API', dialog);
  await page.locator('[data-test=flash]').getByText('is deleted').waitFor();
  must(new URL(page.url()).pathname === '/discovery', `not where it was: ${page.url()}`);
  must((await page.locator('[data-test=api-row]').count()) === 0, 'it is still there');
  await go(page, '/catalog');
  await page.locator('[data-test=api-row]').filter({ hasText: host }).waitFor();
});

await session.end();
