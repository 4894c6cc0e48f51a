// drive.mjs URL: the person at the browser. It opens URL in real Chromium, on
// the display it was started on, signs in on the server's pages, consents, waits
// for the page of the application and describes it in E2E_OUT/browser.json,
// with a screenshot beside it. E2E_OUT/person.json has the login, and what the
// person does instead of consenting: "deny", "close", or "wait" until the file
// says otherwise.
//
// It is what the private desktop's https handler runs, so it is reached
// through xdg-open as any browser is. It writes no URL with a query: that would
// put the code into a file.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const { E2E_OUT: out = '.', E2E_CHROMIUM: executablePath = '/usr/bin/chromium' } = process.env;
const start = new URL(process.argv[2]);
const report = { start: start.origin + start.pathname, asked: [...start.searchParams.keys()].sort(), steps: [], console: [], requests: [] };
const write = () => writeFileSync(join(out, 'browser.json'), JSON.stringify(report, null, 1));
const person = () => JSON.parse(readFileSync(join(out, 'person.json')));
const bare = (url) => { const u = new URL(url); return u.origin + u.pathname; };

let browser;
try {
  browser = await chromium.launch({
    executablePath,
    headless: !process.env.DISPLAY,
    // The sandbox needs a user who is not root; the pages are our own.
    args: ['--no-sandbox', '--disable-gpu', '--disable-sync', '--no-first-run', '--disable-component-update', '--disable-background-networking'],
  });
  const page = await browser.newPage({ viewport: { width: 900, height: 600 } });
  page.setDefaultTimeout(15000);
  const left = () => page.url() !== 'about:blank' && new URL(page.url()).origin !== start.origin;
  page.on('console', (m) => { if (left() && !m.location().url.endsWith('/favicon.ico')) report.console.push(`${m.type()}: ${m.text().split('?')[0]}`); });
  page.on('request', (r) => { if (left() || r.isNavigationRequest()) report.requests.push(`${r.method()} ${bare(r.url())}`); });
  await page.goto(start.href);
  if (person().does === 'wait') writeFileSync(join(out, 'waiting'), '');
  while (person().does === 'wait' && browser.isConnected()) await sleep(50);
  const { login, does } = person();
  while (does !== 'close' && new URL(page.url()).origin === start.origin) {
    const at = await page.title();
    if (report.steps.length > 6) throw new Error(`no way on from the page “${at}”`);
    report.steps.push(at);
    const signIn = await page.locator('input[name=login]').count();
    if (signIn) {
      await page.fill('input[name=login]', login);
      await page.fill('input[name=password]', 'any');
    }
    await Promise.all([page.waitForNavigation(), page.click(does === 'deny' && !signIn ? 'a[href$="/abort"]' : 'form button')]);
  }
  await page.waitForLoadState();
  await page.waitForTimeout(300); // long enough for a favicon or a script to show itself
  const end = new URL(page.url());
  Object.assign(report, {
    end: bare(page.url()),
    query: [...end.searchParams.keys()],
    title: await page.title(),
    text: await page.innerText('body'),
  });
  await page.screenshot({ path: join(out, 'last-page.png') });
} catch (e) {
  report.error = String(e).split('?')[0];
  process.exitCode = 1;
} finally {
  await browser?.close();
  write();
}
