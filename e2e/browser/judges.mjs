// Shows each page it is given, as every script does: so that it is known that the session finds what is wrong with them.

import { Session } from './session.mjs';

const session = await Session.start();
for (const { name, url } of session.given.pages) {
  await session.step(name, async (page) => {
    await page.goto(url);
    await session.judge(name);
  });
}
await session.step('what is expected may come', async (page) => {
  session.expect(/answer 404/, /console: .*404/);
  await page.goto(session.given.missing);
});
await session.step('what is expected has to come', async (page) => {
  session.expect(/answer 500/);
  await page.goto(session.given.pages[0].url);
});
await session.step('the keyboard gets to a button, and it shows', async (page) => {
  await page.goto(session.given.pages[0].url);
  await session.tabTo(page.getByRole('button', { name: 'Press' }));
  await page.keyboard.press('Enter');
  await page.getByText('pressed').waitFor();
});
await session.step('an answer that is an error fails the step', async () => {
  await session.ask('impossible');
});
await session.step('an answer is handed over', async () => {
  const answer = await session.ask('double', 21);
  if (answer !== 42) throw new Error(`${answer}`);
});
await session.end();
