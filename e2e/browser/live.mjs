// The collector's live page: empty, and with traffic and a shim whose every name is an attack, and with a catalog to forward to.

import { Session, must } from './session.mjs';

const session = await Session.start();

await session.step('an empty page says how to send something', async (page) => {
  await page.goto(session.given.url);
  await page.getByText('silhouette_collector').first().waitFor();
  await session.judge('empty');
});

await session.step('what was found is shown, a hostile name as text', async (page) => {
  await session.ask('traffic');
  await page.goto(session.given.url);
  await page.getByText('shop.example').first().waitFor();
  await page.getByText('onerror=alert(1)').first().waitFor();
  must((await page.locator('img[src="x"]').count()) === 0, 'its name became markup');
  await session.judge('found');
});

await session.step('where it forwards to is said', async (page) => {
  await session.ask('register');
  await page.goto(session.given.url);
  await page.locator('#forwarding').getByText('Forwarding to the catalog').waitFor();
  await session.judge('forwarding');
});

await session.end();
